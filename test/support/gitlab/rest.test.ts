/** The practice GitLab's REST answers: who gets what, in which pages, and with which words when not. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Level } from './server.ts';
import { trial } from './trial.ts';

const rest = suite('practice GitLab: REST');

const names = (body: unknown): string[] =>
  (body as { path_with_namespace: string }[]).map((project) => project.path_with_namespace);

rest('tokens: missing and unknown, revoked, too small, blocked', () =>
  trial(async ({ gitlab, rest: call }) => {
    assert.equal((await call('/user', { token: null })).body, { message: '401 Unauthorized' });
    const unknown = await call('/user', { token: 'nobody-knows-this' });
    assert.is(unknown.status, 401);
    assert.equal(unknown.body, { message: '401 Unauthorized' });
    const token = gitlab.tokens.add('lena', ['read_user']);
    assert.is((await call('/user', { token })).status, 200);
    const small = await call('/projects', { token });
    assert.is(small.status, 403);
    assert.is((small.body as { error: string }).error, 'insufficient_scope');
    assert.is(small.headers.get('www-authenticate'), null);
    gitlab.blockUser('lena');
    assert.equal((await call('/user', { token })).body, { message: '403 Forbidden - Your account has been blocked.' });
    gitlab.blockUser('lena', false);
    gitlab.revokeToken(token);
    const revoked = await call('/user', { token });
    assert.is(revoked.status, 401);
    assert.match(JSON.stringify(revoked.body), 'Token was revoked. You have to re-authorize from the user.');
  }),
);

rest('the list of projects: membership, role, archived, search, short form', () =>
  trial(async ({ rest: call, world }) => {
    const pushable = await call('/projects?membership=true&min_access_level=30&archived=false&order_by=path&sort=asc');
    assert.equal(names(pushable.body), ['harbour/empty', 'parks/gardens-site', 'harbour/website']);
    assert.equal(names((await call('/projects?archived=true')).body), ['harbour/old-timetable']);
    assert.equal(names((await call('/projects?search=GARDENS')).body), ['parks/gardens-site']);
    assert.is(names((await call('/projects?search=parks/')).body).length, 0);
    assert.is(names((await call('/projects?search=parks/&search_namespaces=true')).body).length, 2);
    const simple = (await call('/projects?simple=true')).body as Record<string, unknown>[];
    assert.ok(simple.every((project) => !('permissions' in project) && !('empty_repo' in project)));
    const own = (await call(`/projects/${world.empty.id}`)).body as Record<string, unknown>;
    assert.is(own['empty_repo'], true);
    assert.is(own['default_branch'], 'main');
    assert.equal(own['permissions'], {
      project_access: null,
      group_access: { access_level: 50, notification_level: 3 },
    });
    assert.is((await call('/projects?min_access_level=31')).status, 400);
  }),
);

rest('pages by offset and by keyset, each with its own headers', () =>
  trial(
    async ({ gitlab, rest: call }) => {
      for (let at = 1; at <= 7; at += 1) await gitlab.projects.create({ path: `harbour/page-${at}`, owner: 'ana' });
      const first = await call('/projects?search=page-&per_page=3&page=2&order_by=id&sort=asc');
      assert.equal(names(first.body), ['harbour/page-4', 'harbour/page-5', 'harbour/page-6']);
      const header = (name: string): string | null => first.headers.get(name);
      assert.equal(['x-page', 'x-per-page', 'x-total', 'x-total-pages', 'x-next-page', 'x-prev-page'].map(header), [
        '2',
        '3',
        '7',
        '3',
        '3',
        '1',
      ]);
      assert.equal(
        [...(header('link') ?? '').matchAll(/rel="(\w+)"/g)].map(([, rel]) => rel),
        ['prev', 'next', 'first', 'last'],
      );

      const seen: string[] = [];
      let next: string | undefined = '/projects?search=page-&pagination=keyset&order_by=id&sort=asc&per_page=3';
      for (let pages = 0; next !== undefined && pages < 10; pages += 1) {
        const page = await call(next);
        seen.push(...names(page.body));
        assert.is(page.headers.get('x-total'), null);
        next = /<([^>]+)>; rel="next"/.exec(page.headers.get('link') ?? '')?.[1]?.slice(`${gitlab.url}/api/v4`.length);
      }
      assert.equal(
        seen,
        [1, 2, 3, 4, 5, 6, 7].map((at) => `harbour/page-${at}`),
      );
    },
    { basePath: '/gitlab' },
  ),
);

rest('what one may not see is 404, what one may see but not do is 403', () =>
  trial(async ({ gitlab, rest: call, world }) => {
    const missing = { message: '404 Project Not Found' };
    assert.equal((await call('/projects/lena%2Fnotes')).body, missing);
    assert.equal((await call('/projects/harbour%2Fnothing')).body, missing);
    assert.equal((await call(`/projects/${world.website.id}`, { token: null })).body, missing);
    assert.is((await call(`/projects/${world.reported.id}/hooks`)).status, 403);
    assert.is((await call(`/projects/${world.hidden.id}/hooks`)).status, 404);
    const guest = gitlab.users.add({ username: 'gus', name: 'Gus', email: 'gus@example.org', password: 'x' });
    gitlab.projects.addMember(world.website, guest, Level.guest);
    const token = gitlab.tokens.add(guest, ['api']);
    const seen = (await call(`/projects/${world.website.id}`, { token })).body as object;
    assert.not.ok('default_branch' in seen);
    assert.is((await call(`/projects/${world.website.id}/repository/branches`, { token })).status, 403);
    assert.equal((await call('/nothing-here')).body, { error: '404 Not Found' });
  }),
);

rest('branches and commits say what git says', () =>
  trial(async ({ rest: call, world, gitlab }) => {
    const at = `/projects/harbour%2Fwebsite/repository`;
    const head = await world.website.head();
    await world.website.createBranch('feature/tides');
    const main = (await call(`${at}/branches/main`)).body as Record<string, unknown> & { commit: { id: string } };
    assert.is(main.commit.id, head);
    assert.equal([main['protected'], main['default'], main['can_push']], [true, true, true]);
    assert.is((await call(`${at}/branches/feature%2Ftides`)).status, 200);
    assert.equal((await call(`${at}/branches/none`)).body, { message: '404 Branch Not Found' });
    const list = (await call(`${at}/branches?search=^fea`)).body as { name: string }[];
    assert.equal(
      list.map(({ name }) => name),
      ['feature/tides'],
    );
    const made = await call(`${at}/branches`, { method: 'POST', body: { branch: 'mooring/kept', ref: 'main' } });
    assert.is(made.status, 201);
    assert.is(await world.website.head('mooring/kept'), head);
    assert.equal((await call(`/projects/${world.empty.id}/repository/branches`)).body, []);
    const commits = (await call(`${at}/commits?ref_name=main`)).body as { id: string; title: string }[];
    assert.equal(
      commits.map(({ title }) => title),
      ['Announce the spring opening', 'Initial commit'],
    );
    const one = (await call(`${at}/commits/${head}`)).body as { stats: unknown };
    assert.equal(one.stats, { additions: 7, deletions: 0, total: 7 });
    const compared = (await call(`${at}/compare?from=${commits[1]?.id}&to=main`)).body as {
      commits: unknown[];
      diffs: unknown[];
    };
    assert.equal([compared.commits.length, compared.diffs.length], [1, 1]);
    const request = { title: 'Keep both', source_branch: 'mooring/kept', target_branch: 'main' };
    assert.is(
      (await call('/projects/harbour%2Fwebsite/merge_requests', { method: 'POST', body: request })).status,
      201,
    );
    assert.is(
      (await call('/projects/harbour%2Fwebsite/merge_requests', { method: 'POST', body: request })).status,
      409,
    );
    const reporter = (await call(`/projects/${world.reported.id}/repository/branches/main`)).body as {
      can_push: boolean;
    };
    assert.is(reporter.can_push, false);
    assert.ok(gitlab.requests.length > 0);
  }),
);

rest('a moved project: 301 to its number for GET, 405 for the rest, and no more once the path is taken', () =>
  trial(
    async ({ gitlab, rest: call, world }) => {
      world.website.rename('harbour/site');
      const got = await call('/projects/harbour%2Fwebsite/repository/branches/main?x=1');
      assert.is(got.status, 301);
      assert.is(
        got.headers.get('location'),
        `${gitlab.url}/api/v4/projects/${world.website.id}/repository/branches/main?x=1`,
      );
      const posted = await call('/projects/harbour%2Fwebsite/hooks', {
        method: 'POST',
        body: { url: 'https://example.org' },
      });
      assert.is(posted.status, 405);
      assert.equal(posted.body, { message: 'Non GET methods are not allowed for moved projects' });
      assert.is(((await call(`/projects/${world.website.id}`)).body as { path: string }).path, 'site');
      const other = await gitlab.projects.create({ path: 'harbour/website', owner: 'ana' });
      assert.is(((await call('/projects/harbour%2Fwebsite')).body as { id: number }).id, other.id);
    },
    { basePath: '/gitlab' },
  ),
);

rest('a new project: in a group, empty or with a README; a taken name is a 400', () =>
  trial(async ({ rest: call }) => {
    const spaces = (await call('/namespaces?search=harbour')).body as { id: number }[];
    const body = { name: 'Tide tables', namespace_id: spaces[0]?.id };
    const made = await call('/projects', { method: 'POST', body });
    assert.is(made.status, 201);
    const project = made.body as { path_with_namespace: string; empty_repo: boolean };
    assert.equal([project.path_with_namespace, project.empty_repo], ['harbour/tide-tables', true]);
    const again = await call('/projects', { method: 'POST', body });
    assert.is(again.status, 400);
    assert.equal((again.body as { message: { name: string[] } }).message.name, ['has already been taken']);
    const own = await call('/projects', { method: 'POST', body: { name: 'Mine', initialize_with_readme: true } });
    assert.is((own.body as { path_with_namespace: string }).path_with_namespace, 'ana/mine');
    assert.is((own.body as { empty_repo: boolean }).empty_repo, false);
  }),
);

rest.run();
