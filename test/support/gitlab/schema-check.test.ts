/** The check that keeps the practice GitLab honest: it passes GitLab's own samples, and it catches a planted wrong answer. */
import { readFile } from 'node:fs/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { schemaErrors } from './schema-check.ts';
import { startGitLab } from './server.ts';

const check = suite('practice GitLab: schemas');

const sample = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(`./schemas/samples/${name}.json`, import.meta.url), 'utf8')) as unknown;

check('GitLab’s published samples pass, but for the members its documentation leaves out', async () => {
  const cases: [string, string, string[]][] = [
    ['branch', 'branch', []],
    ['branches', 'branches', []],
    ['commits', 'commits', []],
    ['metadata', 'metadata_18_1', []],
    ['project', 'project_full', []],
    ['project', 'project_empty_repo', []],
    ['projects', 'projects_simple', []],
    ['user/public', 'user', []],
    ['project_hook', 'hook_18', ["/ must have required property 'emoji_events'"]],
    ['project_hook', 'hook_19', ["/ must have required property 'emoji_events'"]],
    ['project_hook', 'hook_temporarily_disabled', ["/ must have required property 'emoji_events'"]],
  ];
  for (const [schema, name, missing] of cases) assert.equal(schemaErrors(schema, await sample(name)), missing, name);
  const commit = schemaErrors('commit/detail', await sample('commit'));
  assert.ok(commit.includes("/ must have required property 'project_id'"));
  assert.ok(commit.includes("/last_pipeline must have required property 'web_url'"));
});

check('a planted wrong answer becomes a 500 and is written down', async () => {
  const gitlab = await startGitLab();
  try {
    gitlab.users.add({ username: 'ana', name: 'Ana', email: 'ana@example.org', password: 'x' });
    await gitlab.projects.create({ path: 'g/p', owner: 'ana' });
    const headers = { 'PRIVATE-TOKEN': gitlab.tokens.add('ana', ['api']) };
    gitlab.faults.add({
      match: ({ path }) => path.endsWith('/projects/g%2Fp'),
      times: 1,
      mangle: (answer) => ({ ...(answer as object), id: 'seven', path_with_namespace: undefined }),
    });
    assert.is((await fetch(`${gitlab.url}/api/v4/projects/g%2Fp`, { headers })).status, 500);
    const [violation] = gitlab.violations;
    assert.is(violation?.schema, 'project');
    assert.equal(violation?.errors.toSorted(), [
      "/ must have required property 'path_with_namespace'",
      '/id must be integer',
    ]);
    assert.is((await fetch(`${gitlab.url}/api/v4/projects/g%2Fp`, { headers })).status, 200);
    assert.is(gitlab.violations.length, 1);
  } finally {
    await gitlab.stop();
  }
});

check.run();
