/** Real git against the practice GitLab: what it lets in, what it refuses and with which words. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Level } from './server.ts';
import { trial, type Trial } from './trial.ts';

const git = suite('practice GitLab: git over HTTP');

async function clone(
  { git: run, withToken, folder }: Trial,
  url: string,
  token: string,
  into = 'work',
): Promise<string> {
  const { code, stderr } = await run(['clone', '--quiet', withToken(url, token), into]);
  assert.is(code, 0, stderr);
  return join(folder, into);
}

async function commit({ git: run }: Trial, work: string, path: string, content: string | Buffer): Promise<void> {
  await writeFile(join(work, path), content);
  await run(['-C', work, 'add', '--all']);
  const { code, stderr } = await run(['-C', work, 'commit', '--quiet', '--message', `Change ${path}`]);
  assert.is(code, 0, stderr);
}

git('clone, commit, push and fetch, with protocol v2, push options and a large chunked pack', () =>
  trial(
    async (given) => {
      const { gitlab, world, git: run } = given;
      const application = gitlab.applications.add({
        name: 'Mooring',
        redirectUris: ['https://m.example/cb'],
        scopes: ['api'],
      });
      const { accessToken } = gitlab.tokens.oauth('ana', application.applicationId, ['api']);
      const work = await clone(given, world.website.cloneUrl, accessToken);
      // Over git's post buffer of 1 MiB the body is sent chunked.
      await commit(given, work, 'photo.bin', randomBytes(3_000_000));
      const pushed = await run(['-C', work, 'push', '--push-option=ci.skip', 'origin', 'main']);
      assert.is(pushed.code, 0, pushed.stderr);
      assert.is(await world.website.head(), (await run(['-C', work, 'rev-parse', 'HEAD'])).stdout.trim());
      await world.website.push('main', { 'about.md': null, 'new.md': 'hello\n' });
      const fetched = await run(['-C', work, '-c', 'protocol.version=2', 'fetch', 'origin'], { GIT_TRACE_PACKET: '1' });
      assert.is(fetched.code, 0);
      assert.match(fetched.stderr, 'version 2');
      assert.is((await run(['-C', work, 'rev-parse', 'origin/main'])).stdout.trim(), await world.website.head());
      assert.ok(gitlab.requests.some(({ headers }) => headers['transfer-encoding'] === 'chunked'));
      assert.ok(gitlab.requests.some(({ headers }) => headers['git-protocol'] === 'version=2'));
    },
    { basePath: '/gitlab' },
  ),
);

git('a gzip request body is understood', () =>
  trial(async ({ gitlab, world }) => {
    const pkt = (line: string): string => (line.length + 4).toString(16).padStart(4, '0') + line;
    const body = gzipSync(`${pkt('command=ls-refs\n')}0001${pkt('ref-prefix refs/heads/\n')}0000`);
    const response = await fetch(`${world.website.cloneUrl}/git-upload-pack`, {
      method: 'POST',
      body,
      headers: {
        Authorization: `Basic ${Buffer.from(`any:${gitlab.tokens.add('ana', ['read_repository'])}`).toString('base64')}`,
        'Content-Encoding': 'gzip',
        'Content-Type': 'application/x-git-upload-pack-request',
        'Git-Protocol': 'version=2',
      },
    });
    assert.is(response.status, 200);
    assert.is(response.headers.get('content-type'), 'application/x-git-upload-pack-result');
    assert.match(await response.text(), `${await world.website.head()} refs/heads/main`);
  }),
);

git('the gate answers as GitLab: 401, 404 and 403, each with its text', () =>
  trial(async ({ gitlab, world }) => {
    const ask = async (project: string, service: string, token?: string): Promise<[number, string, string | null]> => {
      const headers =
        token === undefined ? {} : { Authorization: `Basic ${Buffer.from(`oauth2:${token}`).toString('base64')}` };
      const response = await fetch(`${gitlab.url}/${project}.git/info/refs?service=${service}`, { headers });
      return [response.status, await response.text(), response.headers.get('www-authenticate')];
    };
    const [pull, push] = ['git-upload-pack', 'git-receive-pack'];
    const ana = gitlab.tokens.add('ana', ['api']);
    for (const project of ['harbour/website', 'harbour/nothing']) {
      const [status, body, challenge] = await ask(project, pull);
      assert.equal([status, challenge], [401, 'Basic realm="GitLab"']);
      assert.match(body, 'HTTP Basic: Access denied.');
    }
    assert.is((await ask('harbour/website', pull, 'wrong'))[0], 401);
    assert.match(
      (await ask('lena/notes', pull, ana)).join(' '),
      /^404 The project you were looking for could not be found/,
    );
    assert.match((await ask('nowhere/at-all', pull, ana)).join(' '), /^404 The namespace you were looking for/);
    assert.match(
      (await ask('parks/annual-report', push, ana)).join(' '),
      '403 You are not allowed to push code to this project.',
    );
    assert.is((await ask('parks/annual-report', pull, ana))[0], 200);
    assert.match(
      (await ask('harbour/old-timetable', push, ana)).join(' '),
      "403 You can't push code to an archived project.",
    );
    const reader = gitlab.tokens.add('ana', ['read_repository']);
    assert.match((await ask('harbour/website', push, reader)).join(' '), '403 You are not allowed to upload code.');
    const nobody = gitlab.tokens.add('ana', ['read_user']);
    assert.match((await ask('harbour/website', pull, nobody)).join(' '), '403 You are not allowed to download code.');
    world.website.setVisibility('public');
    assert.is((await ask('harbour/website', pull))[0], 200);
    assert.is((await ask('harbour/website', push))[0], 401);
    assert.is((await ask('harbour/website', pull, 'wrong'))[0], 401);
    gitlab.blockUser('ana');
    assert.match((await ask('harbour/website', pull, ana)).join(' '), '403 Your account has been blocked.');
    assert.is(
      (await fetch(`${gitlab.url}/harbour/website.git/info/refs?service=${pull}`, { method: 'HEAD' })).status,
      403,
    );
  }),
);

git('branch rules refuse in pre-receive, with GitLab’s words on the sideband', () =>
  trial(async (given) => {
    const { gitlab, world, git: run } = given;
    const dev = gitlab.users.add({ username: 'dev', name: 'Dev', email: 'dev@example.org', password: 'x' });
    gitlab.projects.addMember(world.website, dev, Level.developer);
    gitlab.projects.addMember(world.empty, dev, Level.developer);
    const work = await clone(given, world.website.cloneUrl, gitlab.tokens.add(dev, ['write_repository']));
    const before = await world.website.head();
    await commit(given, work, 'dev.md', 'by a developer\n');
    const push = (...args: string[]): ReturnType<Trial['git']> => run(['-C', work, 'push', 'origin', ...args]);

    const main = await push('HEAD:main');
    assert.is(main.code, 1);
    assert.match(
      main.stderr,
      'remote: GitLab: You are not allowed to push code to protected branches on this project.',
    );
    assert.match(main.stderr, '[remote rejected] HEAD -> main (pre-receive hook declined)');
    assert.is(await world.website.head(), before);
    const branch = await push('HEAD:tides');
    assert.is(branch.code, 0, branch.stderr);
    assert.match(branch.stderr, 'To create a merge request for tides, visit:');
    // Force is allowed where nothing is protected.
    assert.is((await push('--force', `${before}:tides`)).code, 0);
    assert.match((await push(':main')).stderr, 'The default branch of a project cannot be deleted.');
    assert.match(
      (await push(`HEAD:${'a'.repeat(40)}`)).stderr,
      'You cannot create a branch with a 40-character hexadecimal branch name.',
    );
    // One refused ref refuses them all.
    assert.is((await push('HEAD:main', 'HEAD:other')).code, 1);
    assert.is(await world.website.head('other'), undefined);

    const first = await run([
      '-C',
      work,
      'push',
      world.empty.cloneUrl.replace('://', `://x:${gitlab.tokens.add(dev, ['api'])}@`),
      'HEAD:main',
    ]);
    assert.is(first.code, 1);
    assert.match(first.stderr, 'GitLab: A default branch (e.g. main) does not yet exist for harbour/empty.');
    assert.is(await world.empty.head('main'), undefined);
  }),
);

git('even an owner cannot force-push a protected branch; unprotected, it works', () =>
  trial(async (given) => {
    const { gitlab, world, git: run } = given;
    const work = await clone(given, world.website.cloneUrl, gitlab.tokens.add('ana', ['api']));
    await run(['-C', work, 'reset', '--hard', '--quiet', 'HEAD~1']);
    await commit(given, work, 'other.md', 'another history\n');
    const refused = await run(['-C', work, 'push', '--force', 'origin', 'main']);
    assert.match(
      refused.stderr,
      'GitLab: You are not allowed to force push code to a protected branch on this project.',
    );
    world.website.unprotect('main');
    assert.is((await run(['-C', work, 'push', '--force', 'origin', 'main'])).code, 0);
    assert.is((await world.website.log()).length, 2);
  }),
);

git('the first push fills an empty project and protects its default branch', () =>
  trial(async (given) => {
    const { gitlab, world, git: run, rest } = given;
    const work = await clone(given, world.empty.cloneUrl, gitlab.tokens.add('ana', ['api']));
    await commit(given, work, 'index.html', '<p>first</p>\n');
    assert.is((await run(['-C', work, 'push', 'origin', 'HEAD:main'])).code, 0);
    const project = (await rest(`/projects/${world.empty.id}`)).body as { empty_repo: boolean };
    assert.is(project.empty_repo, false);
    const branch = (await rest(`/projects/${world.empty.id}/repository/branches/main`)).body as { protected: boolean };
    assert.is(branch.protected, true);
  }),
);

git('a moved project is served at its old address, and says so after a push', () =>
  trial(async (given) => {
    const { gitlab, world, git: run } = given;
    const work = await clone(given, world.website.cloneUrl, gitlab.tokens.add('ana', ['api']));
    world.website.rename('harbour/site');
    assert.is((await run(['-C', work, 'fetch', 'origin'])).code, 0);
    await commit(given, work, 'moved.md', 'still arrives\n');
    const pushed = await run(['-C', work, 'push', 'origin', 'main']);
    assert.is(pushed.code, 0, pushed.stderr);
    assert.match(pushed.stderr, "remote: Project 'harbour/website' was moved to 'harbour/site'.");
    assert.match(pushed.stderr, 'git remote set-url origin');
    assert.ok((await world.website.files()).has('moved.md'));
  }),
);

git('a push whose answer is lost has happened all the same', () =>
  trial(async (given) => {
    const { gitlab, world, git: run } = given;
    const work = await clone(given, world.website.cloneUrl, gitlab.tokens.add('ana', ['api']));
    await commit(given, work, 'lost.md', 'lost answer\n');
    gitlab.faults.add({
      match: ({ method, path }) => method === 'POST' && path.endsWith('/git-receive-pack'),
      times: 1,
      cutAfterBytes: 0,
    });
    assert.is.not((await run(['-C', work, 'push', 'origin', 'main'])).code, 0);
    await gitlab.quiet();
    assert.is(await world.website.head(), (await run(['-C', work, 'rev-parse', 'HEAD'])).stdout.trim());
  }),
);

git.run();
