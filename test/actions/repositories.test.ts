import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createRepositoryActions } from '../../src/actions/repositories.ts';
import type { Account } from '../../src/model/account.ts';
import type { Connection, ProjectId } from '../../src/model/instance.ts';
import type { Site } from '../../src/model/site.ts';
import { withGitLab, type Scene } from '../gitlab/support.ts';

const repositories = suite('actions/repositories');

function arrange(scene: Scene, user: string, used: ReadonlyMap<ProjectId, string> = new Map()) {
  const owner: Account = { id: 'a1', name: 'Ana', role: 'admin', createdAt: 0 };
  const token = scene.pat(user);
  const sites = [...used].map(([projectId, name]) => ({ name, binding: { projectId } }) as Site);
  const acts = createRepositoryActions({
    store: { instance: { get: scene.instance }, sites: { all: () => sites }, accounts: { get: () => owner } },
    client: scene.client,
    tokens: { withToken: (_id, use) => use(token) },
  });
  return { acts, connection: { id: 'c1' } as Connection };
}

repositories('rows that cannot be chosen say why', () =>
  withGitLab(async (scene) => {
    const { gitlab } = scene;
    for (const [path, level] of [
      ['g/developer', 30],
      ['g/reporter', 20],
      ['g/guest', 10],
    ] as const) {
      const project = await gitlab.projects.create({ path, owner: 'ana', files: { a: 'a' } });
      gitlab.projects.addMember(project, 'ben', level);
    }
    for (const [path, level] of [
      ['g/empty-developer', 30],
      ['g/empty-maintainer', 40],
    ] as const) {
      gitlab.projects.addMember(await gitlab.projects.create({ path, owner: 'ana' }), 'ben', level);
    }
    const archived = await gitlab.projects.create({ path: 'g/archived', owner: 'ben', files: { a: 'a' } });
    archived.archive();
    const used = await gitlab.projects.create({ path: 'g/used', owner: 'ben', files: { a: 'a' } });
    const { acts, connection } = arrange(scene, 'ben', new Map([[used.id as ProjectId, 'Blog']]));
    const { rows } = await acts.list(connection, { search: '', page: 1 });
    const reasons = Object.fromEntries(rows.map(({ project, disabled }) => [project.path, disabled ?? 'open']));
    assert.equal(reasons, {
      'g/developer': 'open',
      'g/reporter': 'You cannot push: your role is Reporter, and Developer is required.',
      'g/guest': 'You cannot push: your role is Guest, and Developer is required.',
      'g/empty-developer': 'Empty, and you are Developer: GitLab lets only a Maintainer make the first push.',
      'g/empty-maintainer': 'open',
      'g/archived': 'Archived: GitLab does not accept pushes.',
      'g/used': 'Already used by the site Blog.',
    });
    scene.configure({ advanced: { ...scene.instance().advanced, minAccessLevel: 40 } });
    const strict = await acts.list(connection, { search: 'g/developer', page: 1 });
    assert.is(strict.rows[0]?.disabled, 'Your role is Developer, and Maintainer is required.');
    // Stored once, when the form still offered it: a Reporter may not push all the same.
    scene.configure({ advanced: { ...scene.instance().advanced, minAccessLevel: 20 } });
    const lax = await acts.list(connection, { search: 'g/reporter', page: 1 });
    assert.is(lax.rows[0]?.disabled, 'You cannot push: your role is Reporter, and Developer is required.');
  }),
);

repositories('pages, searches, and links to GitLab’s own form', () =>
  withGitLab(
    async (scene) => {
      for (let i = 0; i < 22; i += 1) await scene.gitlab.projects.create({ path: `many/p${i}`, owner: 'ana' });
      const { acts, connection } = arrange(scene, 'ana');
      const first = await acts.list(connection, { search: '', page: 1 });
      assert.is(first.rows.length, 20);
      assert.is(first.nextPage, 2);
      assert.is(first.total, 23);
      assert.is((await acts.list(connection, { search: '', page: 2 })).rows.length, 3);
      assert.is((await acts.list(connection, { search: ' p21 ', page: -4 })).rows.length, 1);
      assert.is(acts.newProjectUrl(), `${scene.gitlab.url}/projects/new`);
      const id = scene.project.id as ProjectId;
      assert.is((await acts.project(connection, id)).path, 'site/web');
      assert.equal(
        (await acts.branches(connection, await acts.project(connection, id), '')).branches.map(({ name }) =>
          String(name),
        ),
        ['main'],
      );
    },
    { basePath: '/gitlab' },
  ),
);

repositories('a list too long to be counted goes on by keyset to its end, each project once', () =>
  withGitLab(async (scene) => {
    for (let i = 0; i < 45; i += 1)
      await scene.gitlab.projects.create({ path: `crowd/p${i}`, owner: 'ana', hollow: true });
    scene.gitlab.settings.mostCounted = 30;
    const { acts, connection } = arrange(scene, 'ana');
    const seen: number[] = [];
    let page = await acts.list(connection, { search: '', page: 1 });
    for (let pages = 1; ; pages += 1) {
      assert.is(page.uncounted, true);
      assert.is(page.total, undefined);
      seen.push(...page.rows.map(({ project }) => project.id));
      if (page.nextBefore === undefined || pages > 5) break;
      page = await acts.list(connection, { search: '', page: 1, before: page.nextBefore });
    }
    assert.is(seen.length, 46);
    assert.equal(
      seen,
      [...new Set(seen)].sort((a, b) => b - a),
    );
    const asked = scene.gitlab.requests.filter(({ url }) => url.includes('pagination=keyset'));
    assert.ok(asked.every(({ url }) => url.includes('order_by=id')));
    // A search that narrows it down is counted, and sorted by activity again.
    const narrow = await acts.list(connection, { search: 'crowd/p1', page: 1 });
    assert.is(narrow.uncounted, undefined);
    assert.is(narrow.total, 11);
  }),
);

repositories.run();
