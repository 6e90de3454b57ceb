import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { type Harbour, inHarbourWithoutGitLab } from '../support/daemon.ts';
import { dies } from '../support/dies.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { beat } from '../support/beat.ts';

/** The daemon killed at one named point, started, and killed at another before it could make good the first. */
const points = suite('points');

/** Every point of the store, OAuth and the webhook is in it, and those of a sync that leave the most behind. */
const pairs: readonly (readonly [string, string])[] = [
  ['store.tmp:1', 'store.renamed:1'],
  ['snapshot.made:1', 'store.tmp:2'],
  ['apply.captured:1', 'apply.before-swap:1'],
  ['apply.gap:1', 'fetch.done:1'],
  ['push.after:1', 'oauth.stored:1'],
  ['hook.create:1', 'hook.found:1'],
];

const more: readonly (readonly [string, string])[] = [
  ['store.renamed:1', 'store.tmp:1'],
  ['oauth.stored:1', 'push.before:1'],
  ['apply.captured:1', 'apply.captured:1'],
  ['apply.captured:2', 'snapshot.moving:1'],
  ['apply.gap:1', 'apply.gap:1'],
  ['apply.gap:2', 'apply.done:1'],
  ['apply.done:1', 'store.tmp:1'],
  ['push.after:1', 'push.before:1'],
  ['snapshot.moved:1', 'snapshot.reading:1'],
  ['fetch.before:1', 'fetch.done:1'],
];

points('F1: killed at two points in a row: no edit is lost, both sides become equal, nobody has to help', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    await until('the webhook is made', () => site.project.hooks.length > 0 || undefined);
    const written: string[] = [];
    const isLong = process.env['MOORING_TEST_LONG'] === 'yes';
    for (const pair of [...pairs, ...(isLong ? more : [])]) {
      await harbour.stop();
      beat(pair.join(', '));
      await edits(site, written, pair.join(' '));
      for (const point of pair) {
        await arrange(harbour, site, point);
        assert.ok(await dies(harbour, point), `${point} was not reached`);
        harbour.gitlab.faults.clear();
      }
      await harbour.start();
      await site.settled();
      assert.is(site.project.hooks.length, 1, `${pair.join(', ')}: ${site.project.hooks.length} webhooks`);
    }
    assert.equal(await missing(harbour, site, written), []);
    const head = await site.project.head();
    await harbour.stop();
    await harbour.start();
    await site.settled();
    assert.is(await site.project.head(), head, 'a start with nothing to do did something');
    if (!isLong) process.stdout.write(`\nnote: ${pairs.length} pairs of points; MOORING_TEST_LONG=yes: more\n`);
  }),
);

points('F39: killed between GitLab’s rotation and our write: “reconnect”, local changes wait, then all goes on', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    await harbour.stop();
    await site.write('waits.txt', 'an edit that waits\n');
    await arrange(harbour, site, 'oauth.refresh.received');
    assert.ok(await dies(harbour, 'oauth.refresh.received:1'));
    harbour.gitlab.faults.clear();
    const head = await site.project.head();
    await harbour.start();
    await until('the page asks to reconnect', async () => {
      const { words } = await site.clicker.open(site.url);
      return /Reconnect/.test(words) || undefined;
    });
    harbour.gitlab.requests.length = 0;
    await site.write('waits-too.txt', 'another\n');
    await until('it is noticed', async () => (await site.clicker.open(site.url)).words.length > 0);
    assert.is(await site.project.head(), head);
    const asked = harbour.gitlab.requests.filter(({ path }) => path.endsWith('/oauth/token'));
    assert.equal(asked, [], 'a dead token was shown to GitLab again');
    await site.clicker.open(`${site.url}/settings/syncing`);
    await site.clicker.press('Reconnect');
    await site.settled();
    assert.is((await site.project.files()).get('waits.txt')?.toString(), 'an edit that waits\n');
  }),
);

points.run();

/** What has to be so that a start comes by the point. */
async function arrange({ gitlab }: Harbour, site: MooredSite, point: string): Promise<void> {
  if (point.startsWith('hook.create')) site.project.hooks.slice().forEach(({ id }) => removeHook(site, id));
  if (!point.startsWith('oauth.')) return;
  const realm = { 'WWW-Authenticate': 'Basic realm="GitLab"' };
  gitlab.faults.add({ match: ({ path }) => path.endsWith('/git-upload-pack'), status: 401, headers: realm, times: 1 });
}

function removeHook(site: MooredSite, id: number): void {
  const hooks = site.project.hooks as unknown as { id: number }[];
  hooks.splice(
    hooks.findIndex((hook) => hook.id === id),
    1,
  );
}

async function edits(site: MooredSite, written: string[], round: string): Promise<void> {
  const unique = (what: string): string => {
    const content = `${what} ${round} ${randomBytes(8).toString('hex')}`;
    written.push(content);
    return `${content}\n`;
  };
  for (const name of ['site-1.md', 'deep/site-2.md', 'both.md']) await site.write(name, unique('site'));
  const remote = Object.fromEntries(['git-1.md', 'git/git-2.md', 'both.md'].map((name) => [name, unique('branch')]));
  await site.project.push(site.branch, remote, { message: round });
}

/** Contents found in no commit, neither on GitLab nor in the site's repository. */
async function missing(harbour: Harbour, site: MooredSite, written: readonly string[]): Promise<string[]> {
  const rows = [site.project.repoPath, join(harbour.stateDir, 'repositories', `${site.id}.git`)].map((dir) =>
    execFileSync('git', ['-C', dir, 'log', '--all', '-p', '-m', '--format=', '--text'], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    }),
  );
  return written.filter((content) => !rows.some((text) => text.includes(content)));
}
