import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type PreflightDeps, type PushContext, createPreflight } from '../../src/actions/preflight.ts';
import { createRepositoryActions } from '../../src/actions/repositories.ts';
import type { BranchName, Connection, ProjectId, ProtectedBranch, PushRule } from '../../src/model/instance.ts';
import type { Obstacle, Plan } from '../../src/model/plan.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { type Site, defaultSettings } from '../../src/model/site.ts';
import { type Oid, pathFromText } from '../../src/model/tree.ts';
import { obstacleWords } from '../../src/web/obstacle-words.ts';
import { withGitLab } from '../gitlab/support.ts';
import { plan as somePlan, project, site as someSite } from '../web/support.ts';

const test = suite('actions/preflight');

const ana = { id: 'c1', gitlabUserId: 7, username: 'ana', name: 'Ana', email: 'ana@example.org' } as Connection;
const rule = (over: Partial<PushRule> = {}): PushRule => ({
  ...{ membersOnly: false, committerIsUser: false, committerHasUsersName: false },
  ...{ signedOnly: false, signedOffOnly: false, ...over },
});

interface Case {
  readonly branches?: readonly ProtectedBranch[];
  readonly rule?: PushRule;
  readonly bytes?: number;
  readonly site?: Partial<Site['settings']>;
  readonly plan?: Partial<Plan>;
  readonly branch?: string;
  readonly level?: number;
  readonly author?: { name: string; email: string };
}

/** A new branch unless the plan says otherwise. */
async function judged(given: Case): Promise<readonly Obstacle[]> {
  const deps: PreflightDeps = {
    client: {
      protectedBranches: async () => given.branches ?? [],
      pushRule: async () => given.rule,
      repositoryBytes: async () => given.bytes,
    },
    tokens: { withToken: (_id, use) => use(new Secret('t')) },
    author: () => given.author ?? { name: ana.name, email: ana.email },
    commitMessage: () => 'Update 3 files in content\n\nSynced-by: Mooring\n',
  };
  const { tip: _tip, ...fresh } = somePlan();
  const voyage: PushContext = {
    connection: ana,
    site: { ...someSite('s'), settings: { ...defaultSettings, ...given.site } },
    project: project(12, 'g/p', { accessLevel: given.level ?? 30 }),
    branch: (given.branch ?? 'release/1') as BranchName,
  };
  return createPreflight(deps)(voyage).judge({ ...fresh, ...given.plan });
}

const kinds = async (given: Case): Promise<string[]> =>
  (await judged(given)).map(({ kind, certain }) => (certain ? kind : `${kind}?`));

const guarded = (pattern: string, ...pushers: ProtectedBranch['pushers'][number][]): readonly ProtectedBranch[] => [
  { pattern, pushers },
];

test('a new branch that a wildcard protects; one that exists tells for itself', async () => {
  const branches = guarded('release/*', { level: 40 });
  assert.equal(await judged({ branches }), [
    { kind: 'branch-protected', certain: true, pattern: 'release/*', needed: 'Maintainer' },
  ]);
  assert.equal(await kinds({ branches, level: 40 }), []);
  assert.equal(await kinds({ branches, branch: 'releases' }), []);
  assert.equal(await kinds({ branches, plan: { tip: 'a'.repeat(40) as Oid } }), []);
  assert.equal(await kinds({ branches: guarded('release/*', { level: 0 }), level: 50 }), ['branch-protected']);
  assert.equal(await kinds({ branches: guarded('*-stable', { level: 0 }), branch: 'a/b-stable' }), [
    'branch-protected',
  ]);
  assert.equal(await kinds({ branches: guarded('a*b*c', { level: 0 }), branch: 'axbxc' }), ['branch-protected']);
  assert.equal(await kinds({ branches: guarded('ab*ba', { level: 0 }), branch: 'aba' }), []);
  assert.equal(await kinds({ branches: guarded('release/1', { level: 0 }) }), ['branch-protected']);
});

test('who may push is counted over every rule that matches; whom nobody can tell counts as able', async () => {
  const both = [...guarded('release/*', { level: 0 }), ...guarded('*', { level: 30 })];
  assert.equal(await kinds({ branches: both }), []);
  assert.equal(await kinds({ branches: guarded('*', { userId: 7 }) }), []);
  assert.equal(await kinds({ branches: guarded('*', { userId: 8 }) }), ['branch-protected']);
  assert.equal(await kinds({ branches: guarded('*', { level: 0 }, { kind: 'group' }) }), []);
  assert.equal(await kinds({ branches: guarded('*', { level: 40 }), level: 0 }), [], 'GitLab names no role');
});

test('push rules against author, message and name of the branch', async () => {
  assert.equal(await kinds({ rule: rule() }), []);
  assert.equal(await kinds({ rule: rule({ authorEmail: '@northwick\\.example$' }) }), ['author-pattern']);
  assert.equal(await kinds({ rule: rule({ authorEmail: '(?i)@EXAMPLE\\.org\\z' }) }), []);
  const author = { name: 'Web team', email: 'web@northwick.example' };
  const own = { rule: rule({ authorEmail: '@northwick\\.example$' }), site: { author } };
  assert.equal(await kinds(own), []);
  const users = rule({ membersOnly: true, committerIsUser: true, committerHasUsersName: true });
  assert.equal(await kinds({ rule: users }), []);
  assert.equal(await kinds({ rule: users, site: { author } }), [
    'author-member?',
    'committer-email?',
    'committer-name',
  ]);
  assert.equal(await kinds({ rule: rule({ message: '^[A-Z]+-\\d+ ' }) }), ['message-pattern']);
  assert.equal(await kinds({ rule: rule({ message: '^Synced-by: ' }) }), [], 'each line begins anew');
  assert.equal(await kinds({ rule: rule({ messageNot: 'Mooring' }) }), ['message-forbidden']);
  assert.equal(await kinds({ rule: rule({ signedOnly: true, signedOffOnly: true }) }), ['unsigned', 'no-sign-off']);
  assert.equal(await kinds({ rule: rule({ branchName: '^site/' }) }), ['branch-name']);
  assert.equal(await kinds({ rule: rule({ branchName: '^site/' }), branch: 'main' }), [], 'the default one is free');
});

test('files of the first push, and limits that would hold up a later one', async () => {
  const samples = [
    { mark: '+', path: pathFromText('film.mp4'), bytes: 9e6 },
    { mark: '~', path: pathFromText('tool.exe'), bytes: 10 },
    { mark: '-', path: pathFromText('old.exe'), bytes: 9e6 },
    { mark: '+', path: pathFromText('new.exe'), bytes: 10 },
  ] as const;
  const pushed: Case = {
    rule: rule({ fileNameNot: '\\.exe$', maxFileBytes: 5 * 1024 * 1024 }),
    plan: { samples, direction: 'start-from-folder' },
  };
  const found = await judged(pushed);
  assert.equal(
    found.map((one) => ('paths' in one ? [one.kind, ...one.paths] : one.kind)),
    [
      ['file-name', 'new.exe'],
      ['file-size', 'film.mp4'],
    ],
  );
  assert.equal(await kinds({ ...pushed, site: { lfs: true } }), ['file-name', 'file-size?']);
  assert.equal(await kinds({ ...pushed, plan: { samples } }), ['file-size?'], 'nothing of the folder is pushed');
  const { limits } = defaultSettings;
  const lower = { limits: { ...limits, fileBytes: 1024 } };
  assert.equal(await kinds({ ...pushed, plan: { samples }, site: lower }), []);
  assert.equal(await kinds({ bytes: limits.siteBytes + 1 }), ['repository-size?']);
  assert.equal(await kinds({ bytes: limits.siteBytes }), []);
});

test('patterns mean what RE2 means by them; one that GitLab would not take is no obstacle', async () => {
  const email = `${'a'.repeat(46)}@northwick.example`;
  const refusedBy = async (authorEmail: string): Promise<boolean> =>
    (await kinds({ rule: rule({ authorEmail }), author: { name: 'A', email } })).includes('author-pattern');
  for (const fits of ['^[[:lower:]]+@', '(?U)a+', '\\Aa{46}@', '\\Q.example\\E\\z', '(?P<name>a+)@', '(?i)NORTHWICK'])
    assert.not(await refusedBy(fits), fits);
  for (const fails of ['(a+)+$b', '\\p{Greek}', '[[:upper:]]', '\\Qa+\\E', '\\Anorthwick'])
    assert.ok(await refusedBy(fails), fails);
  for (const invalid of ['(', '(?=a)', '(a)\\1']) assert.not(await refusedBy(invalid), invalid);
});

test('every refusal has words that say what to do, and nothing in them acts', async () => {
  const all: Obstacle[] = [
    { kind: 'branch-protected', certain: true, pattern: 'r/*' },
    { kind: 'branch-protected', certain: true, pattern: 'r/*', needed: 'Maintainer' },
    { kind: 'branch-name', certain: true, pattern: '\u001b[2J' },
    { kind: 'author-pattern', certain: true, email: 'a@b', pattern: 'x'.repeat(500) },
    { kind: 'author-member', certain: false, email: 'a@b' },
    { kind: 'committer-email', certain: false, email: 'a@b', username: 'ana' },
    { kind: 'committer-name', certain: true, name: 'A', wanted: 'B' },
    { kind: 'message-pattern', certain: true, subject: 'S', pattern: 'p' },
    { kind: 'message-forbidden', certain: true, subject: 'S', pattern: 'p' },
    { kind: 'unsigned', certain: true },
    { kind: 'no-sign-off', certain: true },
    { kind: 'file-name', certain: true, pattern: 'p', paths: ['a', 'b', 'c', 'd'].map(pathFromText) },
    { kind: 'file-size', certain: true, limit: 5_242_880, paths: [pathFromText('a')] },
    { kind: 'file-size', certain: false, limit: 5_242_880, paths: [] },
    { kind: 'repository-size', certain: false, bytes: 15 * 1024 ** 3, limit: 10 * 1024 ** 3 },
  ];
  for (const one of all) {
    const { what, todo } = obstacleWords(one);
    assert.ok(what.length > 20 && todo.length > 20 && /\.$/.test(what) && /\.$/.test(todo), one.kind);
    assert.not.match(what, /undefined|\u001b|x{200}/);
  }
  assert.match(obstacleWords(all[11] as Obstacle).what, 'a, b, c and 1 more file');
  assert.match(obstacleWords(all[14] as Obstacle).what, 'with its history and all branches, is 15 GiB');
});

test('asked at a real address, side by side: a Maintainer is told, a Developer is not, and nobody is stopped', () =>
  withGitLab(async (scene) => {
    const { gitlab, client, project: web } = scene;
    web.protect('release/*', { pushLevel: 0 });
    web.setPushRule({ author_email_regex: '@northwick\\.example$', max_file_size: 2 });
    web.setSize(11 * 1024 ** 3);
    gitlab.projects.addMember(web, 'ben', 30);
    const asked = async (user: string, of: Partial<PreflightDeps['client']> = {}): Promise<string[]> => {
      const token = scene.pat(user);
      const acts = createPreflight({
        client: { ...client, ...of },
        tokens: { withToken: (_id, use) => use(token) },
        author: () => ana,
        commitMessage: () => 'Update\n',
      });
      const id = web.id as ProjectId;
      const voyage = { connection: ana, site: someSite('s'), project: await client.project(token, id) };
      const { tip: _tip, ...fresh } = somePlan();
      const found = await acts({ ...voyage, branch: 'release/1' as BranchName }).judge(fresh);
      return found.map(({ kind }) => kind);
    };
    assert.equal(await asked('ana'), ['branch-protected', 'author-pattern', 'file-size', 'repository-size']);
    assert.equal(await asked('ben'), ['repository-size']);
    const down = async (): Promise<never> => {
      throw new Problem('gitlab-unreachable', {});
    };
    assert.equal(await asked('ana', { protectedBranches: down, repositoryBytes: down }), [
      'author-pattern',
      'file-size',
    ]);
    web.setPushRule(undefined);
    assert.equal(await asked('ana'), ['branch-protected', 'repository-size'], 'no such rules: 404');
  }));

test('the default branch is asked for by itself and stands first; one page, and that there are more', () =>
  withGitLab(async (scene) => {
    const { gitlab, client, project: web } = scene;
    for (let i = 0; i < 101; i += 1) await web.createBranch(`feature/a${String(i).padStart(3, '0')}`);
    const token = scene.pat('ana');
    const acts = createRepositoryActions({
      store: { instance: { get: scene.instance }, sites: { all: () => [] }, accounts: { get: () => undefined } },
      client,
      tokens: { withToken: (_id, use) => use(token) },
    });
    const found = await client.project(token, web.id as ProjectId);
    gitlab.requests.length = 0;
    const { branches, more } = await acts.branches(ana, found, '');
    assert.is(branches[0]?.name, 'main');
    assert.is(branches.length, 101);
    assert.is(more, true);
    assert.is(gitlab.requests.length, 2);
    const narrow = await acts.branches(ana, found, 'a09');
    assert.is(narrow.more, false);
    assert.is(narrow.branches.length, 10);
    const unmade = await acts.branches(ana, { ...found, defaultBranch: 'trunk' as BranchName }, '');
    assert.is(unmade.branches.length, 100);
  }));

test.run();
