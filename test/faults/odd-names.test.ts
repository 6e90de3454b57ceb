import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { inHarbour } from '../support/daemon.ts';
import { addSite, authorised, configured, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { git } from '../support/plain-git.ts';

/** Words from a repository that want to be commands: to git, to a shell, to a terminal, to a browser. */
const odd = suite('odd names');

odd(
  'S9: branches named like options and commands: listed as unusable, never started, and harmless ones just work',
  () =>
    inHarbour(async (harbour) => {
      const { world, url } = harbour;
      const marker = join(harbour.dir, 'it-ran');
      const tip = (await world.website.head()) ?? '';
      const unusable = [`--upload-pack=touch${'\u00a0'}${marker}`, '-rf', '--x'];
      const harmless = '$(touch-it)`touch-it`;&|';
      for (const name of [...unusable, harmless]) git(world.website.repoPath, 'update-ref', `refs/heads/${name}`, tip);
      const clicker = await signedIn(harbour);
      await configured(harbour, clicker);
      await addSite(harbour, clicker, 'Odd', await makeFolder(harbour.sites, 'odd', {}));
      await authorised(harbour, clicker);
      await clicker.press('Search', { 'Search repositories': 'website' });
      const page = await clicker.press('Choose branch', { 'harbour/website': true });
      const options = [...page.html.matchAll(/<option[^>]*>[^<]*/g)].map(([text]) => text);
      for (const name of unusable) {
        const option = options.find((text) => text.includes(`value="${name}"`)) ?? '';
        assert.match(option, 'disabled', name);
        assert.match(option, 'unsupported name', name);
      }
      // Asked for all the same.
      const sent = clicker.request('Continue');
      for (const name of unusable) {
        const fields = new URLSearchParams(sent.fields);
        fields.set('branch', name);
        const answer = await clicker.send({ ...sent, fields });
        assert.ok(
          answer.status >= 400 || !answer.words.includes('Connect Self Hosted GitLab'),
          `${name}: ${answer.words}`,
        );
        await clicker.open(page.url);
      }
      const site = await mooredSite(harbour, { clicker, name: 'Harmless', project: world.website, branch: harmless });
      await site.settled();
      await site.write('ours.txt', 'ours\n');
      await until('the edit arrives', async () => (await world.website.files(harmless)).has('ours.txt'));
      assert.is(await world.website.head(), tip, 'another branch moved');
      assert.not(existsSync(marker));
      assert.is((await clicker.open(`${url}/`)).status, 200);
    }),
);

odd(
  'S10: author, subject, file name and GitLab’s own words with terminal codes and HTML: shown as text, logged in one line',
  () =>
    inHarbour(async (harbour) => {
      const site = await mooredSite(harbour);
      await site.settled();
      const evil = '\u001b[2J\u001b]0;owned\u0007<script>alert(1)</script>\u202e\rfake';
      await site.project.push(
        'main',
        { [`evil${evil.replaceAll('/', '')}.txt`]: 'e\n' },
        {
          message: `subject ${evil}\n\nbody ${evil}`,
          author: { name: `Eve ${evil.replace(/<.*>/, '')}`, email: 'eve@harbour.example' },
        },
      );
      await until('it has arrived', async () => {
        const { words } = await site.clicker.open(site.url);
        return /alert\(1\)/.test(words) || undefined;
      });
      const hook = `#!/bin/sh\nprintf 'GitLab: refused \\033[2J\\033]0;owned\\007<script>alert(1)</script>\\n' >&2\nexit 1\n`;

      writeFileSync(join(site.project.repoPath, 'hooks', 'pre-receive'), hook, { mode: 0o755 });
      await site.write('refused.txt', 'r\n');
      await site.reaches('On hold');
      for (const path of ['', '/hold', '/activity', '/kept', '/conflicts', '/settings/syncing']) {
        const { html, status } = await site.clicker.open(`${site.url}${path}`);
        if (status === 404) continue;
        assert.not.match(html, '<script>alert', path);
        const raw = /[\u0000-\u0008\u000b-\u001f\u007f\u202e]/.exec(html.replaceAll('\r\n', '\n'));
        assert.is(raw, null, `${path}: a control character after “${html.slice((raw?.index ?? 60) - 60, raw?.index)}”`);
      }
      const { html } = await site.clicker.open(`${harbour.url}/activity`);
      assert.not.match(html, '<script>alert');
      assert.not.match(harbour.output(), /[\u001b\u0007\u202e\r]/);
      for (const line of harbour
        .output()
        .split('\n')
        .filter((text) => text.startsWith('{')))
        JSON.parse(line);
    }),
);

odd.run();
