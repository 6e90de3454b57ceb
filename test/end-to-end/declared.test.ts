import { readFileSync, readdirSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ApplyOutcome, ApplyResult, DeclaredWait } from '../../src/model/declared.ts';
import { run } from '../support/command.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { authorised, filesOf, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { overSocket } from '../support/over-socket.ts';
import { until } from '../support/until.ts';

/** The set-up as a file: applied to a real daemon and a practice GitLab. */
const test = suite('configuration as code');

let made: Harbour;
let token: string;
let folder: string;
let garden: string;
const file = (): string => join(made.dir, 'mooring.yaml');

interface Parts {
  readonly museum?: string;
  readonly garden?: string;
  readonly more?: string;
  readonly accounts?: string;
}

/** The file with what a test wants otherwise; `null` leaves a site out. */
async function declare(parts: Parts & { without?: 'museum' | 'garden' } = {}): Promise<void> {
  const source = (repository: string, more = ''): string =>
    `    source:\n      connection: robot\n      repository: ${repository}\n      branch: main\n${more}`;
  const sites = [
    `  - name: Museum\n    folder: ${folder}\n${source('harbour/website', parts.museum)}`,
    `  - name: Garden\n    folder: ${garden}\n${source('parks/gardens-site', parts.garden)}    settings:\n      schedule: { poll: "*/7 * * * *" }\n`,
  ].filter((_, at) => at !== (parts.without === 'museum' ? 0 : parts.without === 'garden' ? 1 : 2));
  await writeFile(
    file(),
    `version: 1
instance:
  url: ${made.gitlab.url}
  applicationId: "${made.application.applicationId}"
  secretFile: secrets/application
connections:
  - name: robot
    tokenFile: secrets/token
accounts:
  - name: Jonas
    role: owner
    sites: [Museum]
    passwordFile: secrets/jonas
${parts.accounts ?? ''}sites:
${sites.join('')}${parts.more ?? ''}`,
  );
}

const cli = (...args: string[]) => run(args, { stateDir: made.stateDir });

async function apply(...options: string[]): Promise<ApplyResult> {
  const { stdout, stderr, code } = await cli('apply', file(), '--json', ...options);
  if (stdout === '') throw new Error(`apply ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as ApplyResult;
}

async function planOf(name: string): Promise<NonNullable<DeclaredWait['plan']>> {
  const result = await apply('--dry-run');
  if (result.kind === 'faults') throw new Error(JSON.stringify(result.faults));
  const plan = result.waiting.find((wait) => wait.name === name)?.plan;
  if (!plan) throw new Error(`no plan: ${JSON.stringify(result)}`);
  return plan;
}

const outcomeOf = (result: ApplyResult): ApplyOutcome =>
  result.kind === 'faults' ? { changes: [], waiting: [], notes: [] } : result;

const textsOf = (result: ApplyResult): string[] =>
  result.kind === 'faults' ? result.faults.map(({ text }) => text) : result.changes.map(({ text }) => text);

/** What the store holds and what the audit log says, with the time of each file's last write. */
function written(): Record<string, string> {
  const names = readdirSync(made.stateDir).filter((name) => name.includes('.json'));
  const files = [...names, 'history/acts.jsonl'].map((name) => join(made.stateDir, name));
  return Object.fromEntries(
    files.map((path) => [path, `${statSync(path, { bigint: true }).mtimeNs} ${readFileSync(path, 'utf8')}`]),
  );
}

/** Names of files that were written since. */
function since(before: Record<string, string>): string[] {
  const now = written();
  return Object.keys(now).filter((name) => now[name] !== before[name]);
}

async function siteState(name: string): Promise<{ id: string; state: string; declared: { line: number } | null }> {
  const { stdout } = await cli('status', name, '--json');
  return JSON.parse(stdout) as never;
}

const inSync = (name: string) => until(`${name} is in sync`, async () => (await siteState(name)).state === 'in-sync');

/** The status of a change over the daemon's socket. */
function patch(socketPath: string, path: string, body: unknown, tag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': 'application/json', 'If-Match': tag };
    const asked = request({ socketPath, method: 'PATCH', path, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    asked.once('error', reject);
    asked.end(JSON.stringify(body));
  });
}

test.before(async () => {
  made = await harbour({ begin: 'account' });
  token = made.gitlab.tokens.add(made.world.ana, ['api']);
  folder = await makeFolder(made.sites, 'museum', { files: { 'old.txt': 'only here\n' } });
  garden = await makeFolder(made.sites, 'garden', { files: { 'bed.txt': 'roses\n' } });
  await mkdir(join(made.dir, 'secrets'), { mode: 0o700 });
  await writeFile(join(made.dir, 'secrets', 'application'), `${made.application.secret}\n`);
  await writeFile(join(made.dir, 'secrets', 'token'), `${token}\n`);
  await writeFile(join(made.dir, 'secrets', 'jonas'), 'a-first-password-of-jonas\n');
});
test.after(async () => made.close());

test('a fresh installation: sites are added, and their first connect waits', async () => {
  await declare();
  const planned = await apply('--dry-run');
  assert.is(planned.kind, 'planned', JSON.stringify(planned));
  assert.is(textsOf(planned).length, 5);
  assert.not.ok(readFileSync(join(made.stateDir, 'instance.json'), 'utf8').includes(made.gitlab.url));

  const applied = await apply();
  assert.is(applied.kind, 'applied', JSON.stringify(applied));
  assert.equal(textsOf(applied), textsOf(planned));
  assert.is((await siteState('Museum')).state, 'off');
  assert.equal([...(await filesOf(folder)).keys()], ['old.txt']);
  const { waiting } = outcomeOf(applied);
  assert.equal(
    waiting.map(({ name, line }) => [name, line]),
    [
      ['Museum', 17],
      ['Garden', 23],
    ],
  );
  assert.match(waiting[0]?.page ?? '', /^http:\/\/127\.0\.0\.1:\d+\/sites\/\w+\/confirm\?project=\d+&branch=main/);
});

test('a second apply writes nothing, also with sites that wait', async () => {
  const before = written();
  const again = await apply();
  assert.equal([again.kind, textsOf(again)], ['applied', []]);
  assert.equal(since(before), []);
  const { stdout } = await cli('apply', file());
  assert.match(stdout, 'Nothing to change');
  assert.equal(since(before), []);
  const exported = join(made.dir, 'waiting.yaml');
  await writeFile(exported, (await cli('export')).stdout);
  const planned = JSON.parse((await cli('apply', exported, '--dry-run', '--json')).stdout) as ApplyResult;
  assert.equal(textsOf(planned), []);
  assert.equal(
    outcomeOf(planned).waiting.map(({ name }) => name),
    ['Museum', 'Garden'],
  );
});

test('the consent to a plan connects exactly that, and edits are synced', async () => {
  const plan = await planOf('Museum');
  assert.equal([plan.removed, plan.replaced], [1, 0]);
  assert.ok(plan.added > 0);
  assert.equal(plan.samples[0], { mark: '-', path: 'old.txt' });
  await declare({ museum: `      consent: ${plan.consent}\n` });
  const applied = await apply();
  assert.match(textsOf(applied).join(), 'Connect Museum to harbour/website on main: 0 files replaced');
  await inSync('Museum');
  assert.not((await filesOf(folder)).has('old.txt'));
  await writeFile(join(folder, 'edited.txt'), 'by a declared site\n');
  await until('pushed', async () => (await made.world.website.files()).has('edited.txt') || undefined);
  await inSync('Museum');
  const before = written();
  // The consent stays in the file, and asks for nothing any more.
  assert.equal(textsOf(await apply()), []);
  assert.equal(since(before), []);
});

test('one wrong line: nothing is applied, and the message names it', async () => {
  const text = await readFile(file(), 'utf8');
  const before = written();
  const broken = text
    .replace('"*/7 * * * *"', '"every day"')
    .replace('name: Garden', 'name: Rose garden')
    .replace('role: owner', 'role: viewer');
  await writeFile(file(), broken);
  const { code, stderr } = await cli('apply', file());
  assert.is(code, 78);
  const line = broken.split('\n').findIndex((one) => one.includes('every day')) + 1;
  assert.match(stderr, `${file()}:${line}:`);
  assert.match(stderr, 'sites[1].settings.schedule.poll');
  assert.match(stderr, 'Example: poll: "* * * * *"');
  assert.match(stderr, '1 fault. Nothing was changed.');
  assert.equal(since(before), []);
  await writeFile(file(), text);
});

test('a fault of the world is found before anything is applied: folder, token, repository, password', async () => {
  await writeFile(join(made.dir, 'secrets', 'short'), 'short\n');
  await writeFile(join(made.dir, 'secrets', 'wrong'), 'glpat-nobody-has-this-token\n');
  await declare({
    accounts: '  - { name: Lena, role: viewer, passwordFile: secrets/short }\n',
    more: `  - name: Nowhere
    folder: ${made.sites}/nowhere
  - name: Inside
    folder: ${folder}/inside
  - name: Other
    folder: ${made.sites}/other
    source: { connection: robot, repository: harbour/nothing, branch: main }
`,
  });
  await makeFolder(made.sites, 'other', {});
  const text = (await readFile(file(), 'utf8')).replace(
    'tokenFile: secrets/token',
    'tokenFile: secrets/token\n  - name: dead\n    tokenFile: secrets/wrong\n  - name: gone\n    tokenFile: secrets/none',
  );
  await writeFile(file(), text);
  const before = written();
  const result = await apply();
  assert.is(result.kind, 'faults');
  const faults = result.kind === 'faults' ? result.faults : [];
  assert.equal(
    faults.map(({ path }) => path),
    [
      ...['connections[1].tokenFile', 'connections[2].tokenFile', 'accounts[1].passwordFile'],
      ...['sites[2].folder', 'sites[3].folder', 'sites[4].source.repository'],
    ],
  );
  assert.match(faults[0]?.text ?? '', 'GitLab does not accept the token');
  assert.match(faults[1]?.text ?? '', 'it does not exist');
  assert.match(faults[2]?.text ?? '', 'at least 12 characters');
  assert.match(faults[5]?.text ?? '', 'sees no repository harbour/nothing');
  assert.equal(since(before), []);
  assert.not(JSON.stringify(result).includes('glpat-nobody'));
});

test('an old plan is refused: a side has changed since', async () => {
  await declare();
  const { consent } = await planOf('Garden');
  await writeFile(join(garden, 'bed.txt'), 'tulips\n');
  await declare({ garden: `      consent: ${consent}\n` });
  const before = written();
  const refused = await apply();
  assert.is(refused.kind, 'faults');
  assert.match(textsOf(refused).join(), 'changed since. Run “mooring apply --dry-run”');
  assert.equal(since(before), []);
  assert.is(readFileSync(join(garden, 'bed.txt'), 'utf8'), 'tulips\n');
});

test('what is declared cannot be changed elsewhere, and the answer says where it is declared', async () => {
  await declare();
  await apply();
  const site = await siteState('Museum');
  assert.equal(site.declared?.line, 15);
  const socket = join(made.stateDir, 'run', 'mooring.sock');
  const refusedBy = async (method: string, path: string, body?: unknown): Promise<void> => {
    const { status, body: said } = await overSocket(socket, method, path, body);
    assert.is(status, 409, `${method} ${path}: ${said}`);
    const { error } = JSON.parse(said) as { error: { code: string; happened: string } };
    assert.is(error.code, 'declared');
    assert.match(error.happened, new RegExp(`${file()}, line \\d+`));
  };
  await refusedBy('POST', `/api/v1/sites/${site.id}/disconnect`);
  await refusedBy('DELETE', `/api/v1/sites/${(await siteState('Garden')).id}`);
  const { accounts } = JSON.parse((await overSocket(socket, 'GET', '/api/v1/accounts')).body) as {
    accounts: { id: string; name: string }[];
  };
  const jonas = accounts.find(({ name }) => name === 'Jonas');
  await refusedBy('PATCH', `/api/v1/accounts/${jonas?.id}`, { role: 'viewer' });
  const clicker = await signedIn(made);
  const settings = await clicker.open(`${made.url}/sites/${site.id}/settings/schedule`);
  assert.match(settings.words, `Declared in ${file()}, line 15`);
  assert.not.match(settings.html, '>Save<');
  const instance = await clicker.open(`${made.url}/account/gitlab`);
  assert.match(instance.words, `Declared in ${file()}, line 2`);
  assert.not.match(instance.html, 'button-primary">Configure Self Hosted GitLab');
});

test('a person confirms a declared site on its page, with the declared connection', async () => {
  const clicker = await signedIn(made);
  const { id } = await siteState('Garden');
  const page = await clicker.open(`${made.url}/sites/${id}/settings/syncing`);
  assert.match(page.words, 'parks/gardens-site');
  await clicker.follow('Review and connect');
  assert.match(clicker.page.words, /1 file/);
  await clicker.press('Connect Self Hosted GitLab');
  assert.match(clicker.page.words, 'Garden is connected');
  await inSync('Garden');
  assert.equal(textsOf(await apply()), []);
});

test('a removed site stays as it is and can be changed again; its used consent counts no more', async () => {
  const { used } = JSON.parse(readFileSync(join(made.stateDir, 'declared.json'), 'utf8')).data.consents[
    (await siteState('Museum')).id
  ] as { used: { id: string }[] };
  await declare({ without: 'museum', accounts: '' });
  const removed = await apply();
  assert.is(removed.kind, 'applied', JSON.stringify(removed));
  assert.match(outcomeOf(removed).notes.join(), 'No longer declared: the site Museum');
  assert.is((await siteState('Museum')).state, 'in-sync');
  const gone = await cli('disconnect', 'Museum', '--yes');
  assert.is(gone.code, 0, gone.stderr);
  // Both sides are as they were: the plan is another all the same, for this consent was used.
  await declare({ museum: `      consent: ${used[0]?.id}\n` });
  const refused = await apply();
  assert.is(refused.kind, 'faults', JSON.stringify(refused));
  assert.match(textsOf(refused).join(), /This consent was used at 20\d\d-.*and counts once/);
  await declare();
  // The connection went with its last site; the file brings it back, and then the plan can be shown.
  await apply();
  const { consent } = await planOf('Museum');
  assert.is.not(consent, used[0]?.id);
  await declare({ museum: `      consent: ${consent}\n` });
  await apply();
  await inSync('Museum');
});

test('another token for the same user, and drift: what was changed beside the file is shown and put back', async () => {
  const fresh = made.gitlab.tokens.add(made.world.ana, ['api']);
  await writeFile(join(made.dir, 'secrets', 'token'), fresh);
  await declare({ without: 'garden' });
  await apply();
  const { id } = await siteState('Garden');
  const socket = join(made.stateDir, 'run', 'mooring.sock');
  const at = `/api/v1/sites/${id}/settings`;
  const { headers } = await overSocket(socket, 'GET', at);
  const changed = await patch(socket, at, { schedule: { poll: '*/8 * * * *' } }, String(headers['etag']));
  assert.is(changed, 200, 'it is declared no longer');
  await declare();
  assert.match(textsOf(await apply('--dry-run')).join(), 'schedule.poll from "*/8 * * * *" to "*/7 * * * *"');
  assert.match(textsOf(await apply()).join(), '*/7');
  assert.is(await patch(socket, at, { schedule: { poll: '*/8 * * * *' } }, '*'), 409);
  await declare();
  await writeFile(file(), (await readFile(file(), 'utf8')).replace('*/7', '*/9'));
  assert.match(textsOf(await apply('--dry-run')).join(), 'schedule.poll from "*/7 * * * *" to "*/9 * * * *"');
  assert.match(textsOf(await apply()).join(), '*/9');
});

test('without its volume of secrets a restart goes on with what is stored', async () => {
  await rename(join(made.dir, 'secrets'), join(made.dir, 'away'));
  const result = await apply();
  assert.is(result.kind, 'applied', JSON.stringify(result));
  assert.equal(textsOf(result), []);
  const { notes } = outcomeOf(result);
  assert.is(notes.filter((note) => note.includes('The stored value stays')).length, 2);
  await rename(join(made.dir, 'away'), join(made.dir, 'secrets'));
});

test('what is exported is what is there, without secrets, and applying it changes nothing', async () => {
  const { stdout, code } = await cli('export');
  assert.is(code, 0);
  assert.match(stdout, 'repository: harbour/website');
  const before = written();
  await writeFile(join(made.dir, 'exported.yaml'), stdout);
  const { stdout: said } = await cli('apply', join(made.dir, 'exported.yaml'), '--dry-run', '--json');
  const result = JSON.parse(said) as ApplyResult;
  assert.equal([result.kind, textsOf(result)], ['planned', []], said);
  assert.equal(since(before), []);
});

test('a change that fails midway: what was done is said, and applying again completes it', async () => {
  const path = join(made.stateDir, 'accounts.json');
  const text = readFileSync(path, 'utf8');
  const folder = await makeFolder(made.sites, 'late', {});
  await writeFile(join(made.dir, 'secrets', 'late'), 'a-first-password-of-lena\n');
  await declare({
    accounts: '  - { name: Late Lena, role: viewer, passwordFile: secrets/late }\n',
    more: `  - { name: Late, folder: ${folder} }\n`,
  });
  // Somebody edits the store while Mooring runs: it refuses to overwrite that, in the middle of the changes.
  await writeFile(path, `${text} `);
  const { code, stderr, stdout } = await cli('apply', file());
  assert.is(code, 1);
  assert.match(stdout, /Changed:\n(?: {2}line .*\n)* {2}line \d+: Add the site Late/);
  assert.match(stderr, /Not done:\n {2}line \d+: Add the account Late Lena/);
  assert.is((await siteState('Late')).declared, null);
  await writeFile(path, text);
  assert.equal(textsOf(await apply()), ['Add the account Late Lena, viewer.']);
  assert.ok((await siteState('Late')).declared);
  assert.equal(textsOf(await apply()), []);
});

test('another branch waits as a first connect does; another repository wants the site disconnected first', async () => {
  await made.world.website.push('next', { 'next.txt': 'on another branch\n' });
  const isOn = async (branch: string): Promise<boolean> => {
    const { repository } = (await siteState('Museum')) as unknown as { repository: { branch: string } };
    return repository.branch === branch;
  };
  await declare();
  const onMain = (await readFile(file(), 'utf8')).replace('branch: main', 'branch: next');
  await writeFile(file(), onMain);
  await apply();
  assert.ok(await isOn('main'));
  const clicker = await signedIn(made);
  const { id } = await siteState('Museum');
  assert.match(
    (await clicker.open(`${made.url}/sites/${id}/settings/syncing`)).words,
    'stays on its branch until you confirm',
  );
  const { consent } = await planOf('Museum');
  await writeFile(file(), onMain.replace('branch: next', `branch: next\n      consent: ${consent}`));
  await apply();
  assert.ok(await isOn('next'));
  await until('its files', async () => (await filesOf(folder)).has('next.txt') || undefined);

  await writeFile(file(), onMain.replace('harbour/website', 'harbour/empty'));
  const { waiting } = outcomeOf(await apply());
  assert.match(waiting[0]?.text ?? '', 'Disconnect it on its page, then confirm');
  assert.match(
    (await clicker.open(`${made.url}/sites/${id}/settings/syncing`)).words,
    'The file declares harbour/empty',
  );
  assert.is((await cli('disconnect', 'Museum', '--yes')).code, 0);
});

test('the example of the page is applied as it stands, but for what every installation has otherwise', async () => {
  const page = await readFile(new URL('../../docs/configuration-as-code.md', import.meta.url), 'utf8');
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? [];
  const other = await harbour({ begin: 'account' });
  try {
    const secrets = join(other.dir, 'secrets');
    await mkdir(secrets);
    const contents = {
      gitlab_application_secret: other.application.secret,
      jonas_password: 'a-first-password-of-jonas',
      gitlab_token: other.gitlab.tokens.add(other.world.ana, ['api']),
      chat_webhook: 'https://chat.example.org/hooks/abc',
    };
    for (const [name, text] of Object.entries(contents)) await writeFile(join(secrets, name), `${text}\n`);
    const museum = await makeFolder(other.sites, 'museum', {});
    const path = join(other.dir, 'mooring.yaml');
    const text = example
      .replace('https://gitlab.example.org', other.gitlab.url)
      .replaceAll('/run/secrets/', `${secrets}/`)
      .replace('/var/www/museum', museum)
      .replace('web/museum', 'harbour/website');
    await writeFile(path, text);
    const own = (...args: string[]) => run(args, { stateDir: other.stateDir });
    const applied = JSON.parse((await own('apply', path, '--json')).stdout) as ApplyResult;
    assert.is(applied.kind, 'applied', JSON.stringify(applied));
    assert.is(textsOf(applied).length, 5);
    assert.equal(textsOf(JSON.parse((await own('apply', path, '--json')).stdout) as ApplyResult), []);
    // The token as a person would have entered it: exported, and nothing to change.
    const exported = (await own('export')).stdout;
    assert.match(exported, /tokenFile: .\/secrets\/token-robot/);
    for (const secret of Object.values(contents)) assert.not(exported.includes(secret));
    await writeFile(join(other.dir, 'exported.yaml'), exported);
    const again = JSON.parse((await own('apply', join(other.dir, 'exported.yaml'), '--json')).stdout) as ApplyResult;
    assert.equal([again.kind, textsOf(again)], ['applied', []], JSON.stringify(again));
  } finally {
    await other.close();
  }
});

test('a user who authorises in a browser: the site waits for them, and then for a confirmation', async () => {
  const other = await harbour({ begin: 'account' });
  try {
    await writeFile(join(other.dir, 'secret'), other.application.secret);
    await writeFile(join(other.dir, 'headers'), 'this-is-a-key-and-no-header-8271\n');
    const quay = await makeFolder(other.sites, 'quay', {});
    const path = join(other.dir, 'mooring.yaml');
    const text = `version: 1
instance:
  url: ${other.gitlab.url}
  applicationId: "${other.application.applicationId}"
  secretFile: secret
  headersFile: headers
connections:
  - { name: ana, user: ana, account: Ana }
sites:
  - name: Quay
    folder: ${quay}
    source: { connection: ana, repository: harbour/website, branch: main }
`;
    await writeFile(path, text);
    const own = (...args: string[]) => run(args, { stateDir: other.stateDir });
    const refused = await own('apply', path);
    assert.match(refused.stderr, 'instance.headersFile: Each line of it must be');
    assert.not(`${refused.stderr}${other.output()}`.includes('8271'), 'a secret file is quoted');
    await writeFile(path, text.replace('  headersFile: headers\n', ''));
    assert.match((await own('apply', path)).stdout, 'Nobody has authorised Mooring as @ana yet');
    const clicker = await signedIn(other);
    await clicker.open(`${other.url}/`);
    await clicker.follow('Quay');
    await clicker.follow('Site Settings');
    await authorised(other, clicker);
    assert.match(clicker.page.words, 'Declared: harbour/website on main');
    await own('apply', path);
    await clicker.open(clicker.page.url);
    await clicker.follow('Review and connect');
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'Quay is connected');
  } finally {
    await other.close();
  }
});

test('no secret reaches the log, an answer, or a file but its own', async () => {
  const secrets = [token, made.application.secret, 'a-first-password-of-jonas'];
  const { stdout } = await cli('export');
  const texts = [
    made.output(),
    stdout,
    readFileSync(join(made.stateDir, 'declared.json'), 'utf8'),
    ...Object.values(written()),
  ];
  for (const secret of secrets) assert.not(texts.some((text) => text.includes(secret)));
});

test('what was made on the pages is exported, and applying it makes it declared and changes nothing else', async () => {
  const other = await harbour();
  try {
    const site = await mooredSite(other, { files: { 'a.txt': 'a\n' } });
    await site.settled();
    const own = (...args: string[]) => run(args, { stateDir: other.stateDir });
    const path = join(other.dir, 'exported.yaml');
    await writeFile(path, (await own('export')).stdout);
    const applied = JSON.parse((await own('apply', path, '--json')).stdout) as ApplyResult;
    assert.equal([applied.kind, textsOf(applied)], ['applied', []], JSON.stringify(applied));
    await site.settled();
    const refused = await own('disconnect', 'Harbour', '--yes');
    assert.match(refused.stderr, 'is declared in a file');
  } finally {
    await other.close();
  }
});

test('at start and on SIGHUP; a broken file stops nobody and is shown', async () => {
  const dir = join(made.dir, 'second');
  await rm(dir, { recursive: true, force: true });
  const path = join(made.dir, 'own.yaml');
  const other = await harbour({ begin: 'account', env: { MOORING_DECLARED: path }, started: false });
  try {
    await writeFile(join(other.dir, 'secret'), other.application.secret);
    const pot = await makeFolder(other.sites, 'pot', { files: {} });
    const head = `version: 1\ninstance:\n  url: ${other.gitlab.url}\n  applicationId: "${other.application.applicationId}"\n  secretFile: ${other.dir}/secret\n`;
    await writeFile(path, `${head}sites:\n  - { name: Pot, folder: ${pot} }\n`);
    await other.start();
    const names = async (): Promise<string> => (await run(['status'], { stateDir: other.stateDir })).stdout;
    await until('it is applied at the start', async () => (await names()).includes('Pot') || undefined);
    await writeFile(path, `${head}sites:\n  - { name: Flower pot, folder: ${pot} }\n`);
    process.kill(other.daemon?.pid ?? 0, 'SIGHUP');
    await until('it is applied on SIGHUP', async () => (await names()).includes('Flower pot') || undefined);
    await writeFile(path, `${head}sites:\n  - { name: Pot, fodler: ${pot} }\n`);
    process.kill(other.daemon?.pid ?? 0, 'SIGHUP');
    await until('the fault is logged', () => other.output().includes('Did you mean folder?') || undefined);
    const clicker = await signedIn(other);
    const { words } = await clicker.open(`${other.url}/attention`);
    assert.match(words, 'The declared configuration is not applied');
    assert.match(words, `${path}:7:`);
    assert.match(await names(), 'Flower pot');
    const check = await run(['check', '--json'], { stateDir: other.stateDir });
    const { checks } = JSON.parse(check.stdout) as { checks: { area: string; result: string; finding: string }[] };
    const own = checks.filter(({ area }) => area === 'Declaration');
    assert.equal(
      own.map(({ result, finding }) => [result, finding.slice(0, `${path}:7:`.length)]),
      [
        ['fail', `${path}:7:`],
        ['fail', `${path}:7:`],
      ],
    );
    await other.stop();
    await other.start();
    assert.match(await names(), 'Flower pot');
    const elsewhere = await run(['apply', join(other.dir, 'else.yaml')], { stateDir: other.stateDir });
    assert.match(elsewhere.stderr, 'Apply that file');
  } finally {
    await other.close();
  }
});

test.run();
