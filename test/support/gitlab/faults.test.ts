/** Faults on order, the log of requests, and a stop that leaves nothing running. */
import { existsSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startGitLab } from './server.ts';
import { trial } from './trial.ts';

const faults = suite('practice GitLab: faults');

const failure = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
    return '';
  } catch (error) {
    return String(error);
  }
};

faults('a rule answers so many times, then the real answer is back', () =>
  trial(async ({ gitlab, rest }) => {
    const match = ({ path }: { path: string }): boolean => path.endsWith('/version');
    gitlab.faults.add({ match, times: 2, status: 429, headers: { 'Retry-After': '30' }, body: 'Retry later' });
    const busy = await rest('/version');
    assert.equal([busy.status, busy.headers.get('retry-after'), busy.body], [429, '30', 'Retry later']);
    assert.is((await rest('/version')).status, 429);
    assert.is((await rest('/version')).status, 200);
    gitlab.faults.add({ match, redirect: 'https://elsewhere.example/' });
    const sent = await rest('/version');
    assert.equal([sent.status, sent.headers.get('location')], [302, 'https://elsewhere.example/']);
    gitlab.faults.clear();
    gitlab.faults.add({ match, status: 503, body: { message: 'busy' } });
    assert.equal((await rest('/version')).body, { message: 'busy' });
  }),
);

faults('answers can be late, slow, or break off in the middle', () =>
  trial(async ({ gitlab, rest, world }) => {
    const match = ({ path }: { path: string }): boolean => path.endsWith('/projects');
    const started = Date.now();
    const remove = gitlab.faults.add({ match, times: 1, delayMs: 80 });
    assert.is((await rest('/projects')).status, 200);
    assert.ok(Date.now() - started >= 75);
    remove();
    gitlab.faults.add({ match, times: 1, drip: { bytes: 3000, everyMs: 5 } });
    assert.is(((await rest('/projects')).body as unknown[]).length, 5);
    gitlab.faults.add({ match, times: 1, cutAfterBytes: 100 });
    assert.ok(await failure(rest('/projects')));
    gitlab.faults.add({ match, times: 1, cutAfterBytes: 0 });
    // The work behind a cut answer is done: here, a project is made.
    assert.ok(await failure(rest('/projects', { method: 'POST', body: { name: 'cut-off' } })));
    assert.is((await rest('/projects/ana%2Fcut-off')).status, 200);
    assert.ok(world.website.id > 0);
  }),
);

faults('requests are logged with headers unhidden and the status they got', () =>
  trial(
    async ({ gitlab, rest }) => {
      await rest('/user?x=1');
      await rest('/user', { token: 'canary-token' });
      const seen = gitlab.requests.filter(({ path }) => path === '/gitlab/api/v4/user');
      assert.equal(
        seen.map(({ method, status }) => [method, status]),
        [
          ['GET', 200],
          ['GET', 401],
        ],
      );
      assert.is(seen[0]?.url, '/gitlab/api/v4/user?x=1');
      assert.is(seen[1]?.headers.authorization, 'Bearer canary-token');
      assert.is((await fetch(new URL('/api/v4/user', gitlab.url))).status, 404);
    },
    { basePath: '/gitlab' },
  ),
);

faults('stop ends requests under way, and takes its folder along', async () => {
  const gitlab = await startGitLab();
  gitlab.users.add({ username: 'ana', name: 'Ana', email: 'ana@example.org', password: 'x' });
  const project = await gitlab.projects.create({ path: 'ana/site', files: { 'a.txt': 'a' } });
  assert.ok(existsSync(project.repoPath));
  gitlab.faults.add({ match: () => true, delayMs: 60_000 });
  const hanging = failure(fetch(gitlab.url));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await gitlab.stop();
  await gitlab.stop();
  assert.ok(await hanging);
  assert.not(existsSync(project.repoPath));
});

faults.run();
