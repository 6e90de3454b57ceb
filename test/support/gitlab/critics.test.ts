/**
 * The practice GitLab under clients we did not write: they expect the real GitLab, and know nothing of ours.
 * What each did is printed, because a critic that ran nothing would look like one that found nothing.
 */
import { Gitlab } from '@gitbeaker/rest';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { trial, type Trial } from './trial.ts';

const critics = suite('practice GitLab: critics');

function oauthToken({ gitlab }: Trial): string {
  const application = gitlab.applications.add({
    name: 'Critic',
    redirectUris: ['https://c.example/cb'],
    scopes: ['api'],
  });
  return gitlab.tokens.oauth('ana', application.applicationId, ['api']).accessToken;
}

const statusOf = async (work: Promise<unknown>): Promise<number | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    return (error as { cause?: { response?: Response } }).cause?.response?.status ?? -1;
  }
};

for (const kind of ['personal token', 'OAuth token'] as const) {
  critics(`@gitbeaker/rest with a ${kind}`, () =>
    trial(
      async (given) => {
        const { gitlab, world } = given;
        const did: string[] = [];
        const host = gitlab.url;
        const api =
          kind === 'personal token'
            ? new Gitlab({ host, token: gitlab.tokens.add('ana', ['api']) })
            : new Gitlab({ host, oauthToken: oauthToken(given) });

        const user = await api.Users.showCurrentUser();
        did.push(`user ${user.username}`);
        const metadata = await api.Metadata.show();
        did.push(`version ${metadata.version}`);
        const offset = await api.Projects.all({ membership: true, perPage: 2, pagination: 'offset' });
        assert.is(offset.length, 5);
        const keyset = await api.Projects.all({
          membership: true,
          perPage: 2,
          pagination: 'keyset',
          orderBy: 'id',
          sort: 'asc',
        });
        assert.equal(keyset.map(({ id }) => id).toSorted(), offset.map(({ id }) => id).toSorted());
        did.push(`${offset.length} projects in pages of two, by offset and by keyset`);
        const project = await api.Projects.show('harbour/website');
        assert.is(project.id, world.website.id);
        const branch = await api.Branches.show(project.id, 'main');
        assert.is(branch.commit.id, await world.website.head());
        await api.Branches.create('harbour/website', 'critic/one', 'main');
        const branches = await api.Branches.all(project.id);
        assert.equal(
          branches.map(({ name }) => name),
          ['critic/one', 'main'],
        );
        assert.is((await api.Branches.show(project.id, 'critic/one')).commit.id, branch.commit.id);
        did.push(`branches ${branches.map(({ name }) => name).join(', ')}`);
        const commits = await api.Commits.all(project.id, { refName: 'main' });
        did.push(`${commits.length} commits`);
        const hook = await api.ProjectHooks.add(project.id, 'http://127.0.0.1:9/hook', {
          token: 's',
          pushEvents: true,
        });
        assert.is((await api.ProjectHooks.all(project.id)).length, 1);
        const edited = await api.ProjectHooks.edit(project.id, hook.id, 'http://127.0.0.1:9/hook2', {
          pushEvents: true,
        });
        assert.is(edited.url, 'http://127.0.0.1:9/hook2');
        await api.ProjectHooks.remove(project.id, hook.id);
        assert.is((await api.ProjectHooks.all(project.id)).length, 0);
        did.push('a hook added, listed, edited and removed');
        const made = await api.Projects.create({ name: 'Made by a critic', initializeWithReadme: true });
        did.push(`created ${made.path_with_namespace}`);
        await api.Branches.create(made.id, 'second', 'main');
        const request = await api.MergeRequests.create(made.id, 'second', 'main', 'Second');
        did.push(`merge request !${request.iid}`);
        assert.is(await statusOf(api.Projects.show('harbour/none')), 404);
        assert.is(await statusOf(api.Branches.show(project.id, 'none')), 404);
        assert.is(await statusOf(api.ProjectHooks.all(world.reported.id)), 403);
        assert.is(await statusOf(api.ProjectHooks.add(project.id, 'ftp://example.org')), 422);
        did.push('refused: 404, 404, 403, 422');
        console.log(`\n  @gitbeaker/rest, ${kind}: ${did.join('; ')}`);
      },
      { allowLocalWebhooks: true, basePath: '/gitlab' },
    ),
  );
}

critics('python3-gitlab, where it is installed', async () => {
  const python = '/usr/bin/python3';
  if ((await run(python, ['-c', 'import gitlab'])).code !== 0) {
    console.log('\n  not run here: python3-gitlab is not installed');
    return;
  }
  await trial(
    async (given) => {
      const script = fileURLToPath(new URL('./critic.py', import.meta.url));
      const token = given.gitlab.tokens.add('ana', ['api']);
      const { code, output } = await run(python, [
        script,
        given.gitlab.url,
        token,
        oauthToken(given),
        'http://127.0.0.1:9/hook',
      ]);
      console.log(`\n${output.replace(/^/gm, '  ').trimEnd()}`);
      assert.is(code, 0);
    },
    { allowLocalWebhooks: true, basePath: '/gitlab' },
  );
});

async function run(command: string, args: string[]): Promise<{ code: number; output: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: '/usr/bin:/bin' } });
  const ended = new Promise<number>((resolve) => {
    child.once('error', () => resolve(-1));
    child.once('close', (code) => resolve(code ?? -1));
  });
  const [out, err, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, output: out + err };
}

critics.run();
