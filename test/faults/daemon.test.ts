import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { systemClock } from '../../src/world.ts';
import type { Overrides } from '../../src/site/runtime.ts';
import { until } from '../support/until.ts';
import { admin, freePort, inHarbour, inProcess, practice } from '../support/daemon.ts';
import { type MooredSite, filesOf, mooredSite, signedIn } from '../support/moored.ts';
import { git, scratch } from '../support/plain-git.ts';
import type { GitLab } from '../support/gitlab/server.ts';

/** Faults as the whole daemon meets them. */
const daemon = suite('whole daemon');
const isLong = process.env['MOORING_TEST_LONG'] === 'yes';

daemon(
  'F17: an object of the repository is damaged while it runs: it is rebuilt, and no edit is lost or taken back',
  () =>
    inHarbour(async (harbour) => {
      const site = await mooredSite(harbour);
      await site.settled();
      const repositories = join(harbour.stateDir, 'repositories');
      const dir = join(repositories, `${site.id}.git`);
      const tip = await site.project.head();
      for (const name of readdirSync(join(dir, 'objects'), { recursive: true }) as string[])
        if (/^[0-9a-f]{2}\/|\.pack$/.test(name)) truncateSync(join(dir, 'objects', name), 7);
      await site.write('ours.txt', 'not pushed yet\n');
      await until(
        'it is put aside',
        () => readdirSync(repositories).some((name) => name.includes('.damaged-')) || undefined,
      );
      await site.settled();
      assert.is((await site.project.files()).get('ours.txt')?.toString(), 'not pushed yet\n');
      assert.is((await site.project.log())[1]?.id, tip, 'more than the edit was pushed');
      await site.project.push('main', { 'theirs.txt': 'theirs\n' });
      await site.settled();
      git(dir, 'fsck', '--strict');
      const told = harbour
        .output()
        .split('\n')
        .filter((line) => line.includes('git-damaged'));
      assert.is(told.length, 1, told.join('\n'));
    }),
);

daemon(
  'F22: 410, then 404, then 403 from git and API alike: no file goes, the cause is named, it goes on by itself',
  () =>
    inHarbour(async (harbour) => {
      const { gitlab } = harbour;
      const site = await mooredSite(harbour);
      await site.settled();
      const before = await filesOf(site.folder);
      for (const [status, words] of [
        [410, /was not found/],
        [404, /was not found/],
        [403, /no access to/],
      ] as const) {
        const tip = await site.project.head();
        gitlab.faults.add({
          match: ({ path }) => /\.git\/|\/api\/v4\/projects\//.test(path),
          ...{ status, body: { message: `${status} on order` } },
        });
        await site.write('waits.txt', `until ${status} is over\n`);
        const page = await until(`${status} is told`, async () => {
          const shown = await site.clicker.open(site.url);
          return ['On hold', 'Retrying'].includes(shown.state) && shown;
        });
        assert.match(page.words, words, page.words);
        await sleep(1_500);
        const now = await filesOf(site.folder);
        for (const [path, bytes] of before) assert.ok(now.get(path)?.equals(bytes), `${status}: ${path}`);
        assert.is(await site.project.head(), tip);
        gitlab.faults.clear();
        await site.clicker.open(site.url);
        const sent = site.clicker.request('Pause');
        await site.clicker.send({ ...sent, url: sent.url.replace(/pause$/, 'sync') });
        await site.settled();
        assert.is((await site.project.files()).get('waits.txt')?.toString(), `until ${status} is over\n`);
      }
    }),
);

daemon(
  'F26: a large repository that comes slowly: progress is shown, other sites go on, and in the end all is there',
  () =>
    inHarbour(async (harbour) => {
      const { gitlab, world } = harbour;
      const [files, bytes] = isLong ? [100_000, 2 ** 31] : [400, 16 * 2 ** 20];
      const clicker = await signedIn(harbour);
      const large = await mooredSite(harbour, { clicker });
      const other = await mooredSite(harbour, { clicker, name: 'Gardens', project: world.gardens });
      for (const site of [large, other]) await site.settled();
      // Slow until everything below was seen, so that no machine is too fast for it.
      let everyMs = 300;
      const drip = {
        bytes: 16_384,
        get everyMs() {
          return everyMs;
        },
      };
      if (!isLong)
        gitlab.faults.add({
          match: ({ method, path }) =>
            method === 'POST' && path.startsWith('/harbour/') && path.endsWith('/git-upload-pack'),
          drip,
        });
      const portion = 1_000;
      for (let at = 0; at < files; at += portion) {
        const size = Math.floor(bytes / files);
        const names = Array.from(
          { length: Math.min(portion, files - at) },
          (_, i) => `many/${(at + i) % 100}/${at + i}.bin`,
        );
        await large.project.push('main', Object.fromEntries(names.map((name) => [name, randomBytes(size)])));
      }
      await until('progress is shown', async () => {
        const { html, state } = await clicker.open(large.url);
        return (state === 'Syncing' && html.includes('class="progress"')) || undefined;
      });
      await other.write('meanwhile.txt', 'm\n');
      await until('the other goes on', async () => (await world.gardens.files()).has('meanwhile.txt'));
      assert.is.not((await filesOf(large.folder)).size, (await large.project.files()).size, 'it was too fast to tell');
      everyMs = 0;
      await large.settled();
      if (!isLong)
        process.stdout.write('\nnote: F26 with 16 MiB and 400 files; MOORING_TEST_LONG=yes: 2 GiB and 100,000\n');
    }),
);

daemon('F26: no clock on the wall ends a git that moves bytes before six hours, however slow the line', () => {
  const script = readFileSync(new URL('../../config/git-limited.sh', import.meta.url), 'utf8');
  const [, seconds = '0'] = /\$\{MOORING_RUN_SECONDS:-(\d+)\}/.exec(script) ?? [];
  assert.ok(Number(seconds) >= 6 * 3_600, `${seconds} s`);
});

interface Inside {
  readonly site: MooredSite;
  readonly gitlab: GitLab;
  readonly url: string;
}

/** The daemon in this process, with a connected site. */
async function inside(overrides: Overrides, test: (inside: Inside) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const port = await freePort();
  const { gitlab, world, application } = await practice(`http://127.0.0.1:${port}/oauth/callback`);
  mkdirSync(join(dir, 'sites'));
  const running = await inProcess({ dir, port, gitlab: { server: gitlab, world, application } }, overrides);
  try {
    const site = await mooredSite({ ...running, gitlab, world, application, admin });
    await site.settled();
    await test({ site, gitlab, url: running.url });
  } finally {
    await running.stop();
    await gitlab.stop();
    remove();
  }
}

const dayMs = 86_400_000;

daemon(
  'F9: the clock jumps a day on, two back, to 1970 and home again: no storm, no stall, dates never run back',
  () => {
    let ahead = 0;
    const clock = { ...systemClock, now: () => Date.now() + ahead };
    return inside({ clock, roundsMs: 500 }, async ({ site, gitlab, url }) => {
      for (const [name, jump] of [
        ['a day on', dayMs],
        ['a day back', -dayMs],
        ['1970', -Date.now() + 5_000],
        ['home', 0],
      ] as const) {
        ahead = jump;
        gitlab.requests.length = 0;
        await site.write('ours.txt', `ours, ${name}\n`);
        await site.project.push('main', { 'theirs.txt': `theirs, ${name}\n` }, { message: 'By somebody else' });
        await until(`${name}: both arrive`, async () => {
          const [here, there] = [await filesOf(site.folder), await site.project.files()];
          const [ours, theirs] = [`ours, ${name}\n`, `theirs, ${name}\n`];
          return there.get('ours.txt')?.toString() === ours && here.get('theirs.txt')?.toString() === theirs;
        });
        await sleep(2_000);
        const { length } = gitlab.requests;
        const refreshes = gitlab.requests.filter(({ path }) => path.endsWith('/oauth/token')).length;
        assert.ok(length < 80, `${name}: ${length} requests`);
        assert.ok(refreshes <= 2, `${name}: ${refreshes} refreshes`);
        // Sessions end by the clock, so a person may have to sign in once more, and can.
        const clicker = await signedIn({ url, admin });
        assert.is((await clicker.open(site.url)).status, 200);
      }
      const rows = git(site.project.repoPath, 'log', '--format=%H %ct %P%x09%s', 'main').split('\n');
      const dates = new Map(rows.map((row) => [row.split(' ')[0], Number(row.split(' ')[1])]));
      const ours = rows.filter((row) => !row.endsWith('\tBy somebody else'));
      assert.ok(ours.length > 4);
      for (const row of ours) {
        const [id = '', at = '', ...parents] = (row.split('\t')[0] ?? '').split(' ');
        for (const parent of parents.filter(Boolean))
          assert.ok(Number(at) >= (dates.get(parent) ?? 0), `${id} is older`);
      }
      const kept = (await signedIn({ url, admin }).then((clicker) => clicker.open(`${site.url}/kept`))).status;
      assert.is(kept, 200);
      await site.project.push('main', { 'last.txt': 'l\n' });
      await until('it goes on', async () => (await filesOf(site.folder)).has('last.txt'));
    });
  },
);

daemon(
  'F41: the webhook is deleted, switched off, or refused: made anew, switched on, or told with the setting to change',
  () =>
    inside({ roundsMs: 300 }, async ({ site, gitlab }) => {
      const hooks = site.project.hooks as unknown as { id: number; url: string; disabledUntil?: number }[];
      const url = await until('there is a hook', () => hooks[0]?.url);
      const number = hooks[0]?.id;
      hooks.length = 0;
      await until('it is made anew', () => (hooks[0]?.url === url && hooks[0]?.id !== number) || undefined);
      assert.is(hooks.length, 1);
      // GitLab's own network is forbidden to it from now on.
      gitlab.settings.allowLocalWebhooks = false;
      hooks.length = 0;
      const page = await until('the page tells it', async () => {
        const { words } = await site.clicker.open(`${site.url}/settings/syncing`);
        return /Outbound requests/i.test(words) && words;
      });
      assert.match(page, '127.0.0.1');
      assert.is(hooks.length, 0);
      await site.write('still.txt', 's\n');
      await until('edits go on', async () => (await site.project.files()).has('still.txt'));
      gitlab.settings.allowLocalWebhooks = true;
      await until('it is made when it is allowed', () => hooks[0]?.url === url || undefined);
    }),
);

daemon.run();
