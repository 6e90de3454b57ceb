import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { BranchName, ProjectId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import { problemOf } from '../net/support.ts';
import { withGitLab } from './support.ts';

const client = suite('gitlab/client');

client('reads the user, the version, a project and its branches', () =>
  withGitLab(async ({ client: api, pat, project, gitlab }) => {
    const token = pat('ana');
    const user = await api.user(token);
    assert.is(user.username, 'ana');
    assert.is(user.name, 'Ana Example');
    assert.is(user.email, 'ana@example.org');
    assert.match((await api.version(token)).version, '18.5');
    const id = project.id as ProjectId;
    const read = await api.project(token, id);
    assert.is(read.path, 'site/web');
    assert.is(read.empty, false);
    assert.is(read.cloneUrl, project.cloneUrl);
    assert.ok(read.accessLevel >= 40);
    assert.ok((read.lastActivityAt ?? 0) > 0);
    await project.createBranch('fix/a#b');
    const branches = await api.branches(token, id, '');
    assert.equal(branches.branches.map(({ name }) => String(name)).sort(), ['fix/a#b', 'main']);
    assert.equal((await api.branches(token, id, 'fix')).branches.length, 1);
    const main = await api.branch(token, id, 'main' as BranchName);
    assert.is(main.head, await project.head('main'));
    assert.ok(main.default && main.canPush);
    assert.is((await api.branch(token, id, 'fix/a#b' as BranchName)).name, 'fix/a#b');
    assert.equal(gitlab.violations, []);
  }),
);

client('pages through projects with the search done by GitLab', () =>
  withGitLab(async ({ client: api, pat, gitlab }) => {
    for (let i = 0; i < 25; i += 1) await gitlab.projects.create({ path: `many/p${i}`, owner: 'ana' });
    const token = pat('ana');
    const seen = new Set<number>();
    let page: number | undefined = 1;
    while (page !== undefined) {
      const found = await api.projects(token, { search: '', page, perPage: 10 });
      assert.is(found.total, 26);
      for (const { id } of found.projects) seen.add(id);
      page = found.nextPage;
    }
    assert.is(seen.size, 26);
    const one = await api.projects(token, { search: 'p24', page: 1 });
    assert.equal(
      one.projects.map(({ path }) => path),
      ['many/p24'],
    );
    assert.equal((await api.projects(token, { search: 'many/p2', page: 1 })).nextPage, undefined);
  }),
);

client('names why GitLab refuses', () =>
  withGitLab(async ({ client: api, pat, project, gitlab }) => {
    const id = project.id as ProjectId;
    const ana = pat('ana');
    assert.is((await problemOf(api.user(new Secret('nonsense')))).code, 'grant-lost');
    assert.is((await problemOf(api.project(ana, 9_999 as ProjectId))).code, 'project-missing');
    assert.is((await problemOf(api.project(pat('ben'), id))).code, 'project-missing');
    assert.is((await problemOf(api.branch(ana, id, 'gone' as BranchName))).code, 'branch-missing');
    assert.is((await problemOf(api.branch(pat('ben'), id, 'main' as BranchName))).code, 'project-missing');
    const small = await problemOf(api.hooks(pat('ana', ['read_user']), id));
    assert.is(small.code, 'scope-too-small');
    gitlab.projects.addMember('site/web', 'ben', 30);
    assert.is((await problemOf(api.hooks(pat('ben'), id))).code, 'not-allowed');
    gitlab.blockUser('ana');
    assert.is((await problemOf(api.user(ana))).code, 'user-blocked');
  }),
);

client('answers that are no API’s are named, extra and missing members do no harm', () =>
  withGitLab(async ({ client: api, pat, project, gitlab }) => {
    const token = pat('ana');
    const page = {
      match: () => true,
      times: 1,
      headers: { 'content-type': 'text/html' },
      body: '<!DOCTYPE html><p>Sign in</p>',
    };
    gitlab.faults.add({ ...page, status: 200 });
    assert.is((await problemOf(api.user(token))).code, 'instance-not-gitlab');
    gitlab.faults.add({ ...page, status: 404 });
    assert.is((await problemOf(api.project(token, 1 as ProjectId))).code, 'instance-not-gitlab');
    for (const body of ['{"id":"text"}', '[]', 'null', '{broken', '']) {
      gitlab.faults.add({
        match: () => true,
        times: 1,
        status: 200,
        body,
        headers: { 'content-type': 'application/json' },
      });
      assert.is((await problemOf(api.user(token))).code, 'gitlab-answer-odd', body);
    }
    const least = {
      id: 5,
      name: 'x',
      path_with_namespace: 'a/x',
      web_url: 'u',
      http_url_to_repo: 'c',
      brand_new: { in: '20.0' },
    };
    gitlab.faults.add({ match: () => true, times: 1, status: 200, body: least });
    const read = await api.project(token, project.id as ProjectId);
    assert.equal(
      { ...read },
      {
        id: 5,
        path: 'a/x',
        name: 'x',
        webUrl: 'u',
        cloneUrl: 'c',
        visibility: 'private',
        archived: false,
        empty: false,
        accessLevel: 0,
        lfs: false,
      },
    );
  }),
);

client('a next page is followed by number even if the link names another host', () =>
  withGitLab(async ({ client: api, pat, gitlab }) => {
    gitlab.faults.add({
      match: () => true,
      times: 1,
      status: 200,
      body: [],
      headers: { link: '<https://elsewhere.example/api/v4/projects?page=7&per_page=20>; rel="next"' },
    });
    assert.is((await api.projects(pat('ana'), { search: '', page: 6 })).nextPage, 7);
    assert.not(gitlab.requests.some(({ headers }) => headers.host?.includes('elsewhere')));
  }),
);

client('makes one hook per URL, renews it, tests it, deletes it', () =>
  withGitLab(
    async ({ client: api, pat, project }) => {
      const token = pat('ana');
      const id = project.id as ProjectId;
      const wish = {
        url: 'http://127.0.0.1:9/hooks/gitlab/s1',
        token: new Secret('t'),
        signingToken: new Secret(`whsec_${Buffer.alloc(32).toString('base64')}`),
      };
      const hook = await api.setHook(token, id, wish);
      if ('refused' in hook) throw new Error(hook.refused);
      assert.is(hook.state, 'active');
      const again = await api.setHook(token, id, wish);
      assert.equal(again, hook);
      assert.is((await api.hooks(token, id)).length, 1);
      const hookId = hook.id;
      assert.is((await api.hook(token, id, hookId))?.url, wish.url);
      const trial = await api.testHook(token, id, hookId);
      assert.is(trial.kind, 'failed');
      assert.match('text' in trial ? trial.text : '', 'ECONNREFUSED');
      await api.deleteHook(token, id, hookId);
      await api.deleteHook(token, id, hookId);
      assert.is(await api.hook(token, id, hookId), undefined);
      assert.equal(await api.testHook(token, id, hookId), { kind: 'unknown' });
    },
    { allowLocalWebhooks: true },
  ),
);

client('from GitLab 19 a hook is signed; a blocked address is not an error', () =>
  withGitLab(
    async ({ client: api, pat, project, gitlab }) => {
      const id = project.id as ProjectId;
      const signingToken = new Secret(`whsec_${Buffer.alloc(32).toString('base64')}`);
      const wish = { url: 'http://192.168.1.5/hooks/gitlab/s1', token: new Secret('t'), signingToken };
      assert.equal(await api.setHook(pat('ana'), id, wish), { refused: 'Invalid url given' });
      gitlab.faults.clear();
      const open = await api.setHook(pat('ana'), id, { ...wish, url: 'http://93.184.216.34/hooks/gitlab/s1' });
      assert.is('signed' in open && open.signed, true);
      const refuse = async (body: object) => {
        gitlab.faults.add({ match: ({ method }) => method === 'PUT', times: 1, status: 422, body });
        return api.setHook(pat('ana'), id, { ...wish, url: 'http://93.184.216.34/hooks/gitlab/s1' });
      };
      const hookId = 'id' in open ? open.id : 0;
      assert.equal(await refuse({ message: { base: ['Maximum number of project hooks (100) exceeded'] } }), {
        ...{ refused: 'Maximum number of project hooks (100) exceeded', hookId },
      });
      assert.equal(await refuse({ message: { signing_token: ['must start with whsec_'] } }), {
        ...{ refused: 'signing_token must start with whsec_', hookId },
      });
    },
    { version: '19.0.0' },
  ),
);

client.run();
