/**
 * Makes the witness of a release: data as that release itself writes it, for all later ones to open.
 *
 *     node test/witness/make.ts
 *
 * writes `test/witness/<version of package.json>/witness.tar.gz`. It runs once, with the code of that release and before
 * anything of the next one is in it. A witness that was made is never made again: it would no longer be what stands
 * on people's disks. A new release adds a folder.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { realRandom } from '../store/fixtures.ts';
import { pointerText } from '../../src/model/lfs.ts';
import type { ConnectionId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { createHistory } from '../../src/store/history.ts';
import { type Store, openStore } from '../../src/store/store.ts';
import { until } from '../support/until.ts';
import { type Harbour, admin, harbour } from '../support/daemon.ts';
import { dies } from '../support/dies.ts';
import type { Project } from '../support/gitlab/server.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { git } from '../support/plain-git.ts';
import { contentsOf } from './contents.ts';
import {
  everyAct,
  everyBinding,
  everyConflict,
  everyIncident,
  everyRun,
  everySetting,
  everyStatus,
  plainSettings,
} from './kinds.ts';
import { type Facts, placesIn } from './world.ts';

const lena = { name: 'Lena', password: 'lena-keeps-the-light' };
const roomAddress = 'https://rooms.harbour.example/hooks/secret-room';
const roomHeader = 'secret value of the header';

const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const target = join('test', 'witness', version);
if (existsSync(join(target, 'witness.tar.gz'))) throw new Error(`${target} is made already, and only once`);
mkdirSync(target, { recursive: true });

async function make(at: Harbour): Promise<void> {
  const quay = await mooredSite(at, { name: 'Quay' });
  await quay.settled();
  const { clicker } = quay;
  const pier = await mooredSite(at, { name: 'Pier', project: await pierProject(at), clicker });
  await pier.settled();
  const crane = await mooredSite(at, {
    ...{ name: 'Crane', project: await craneProject(at), clicker },
    files: {
      'index.html': 'as it was on the server\n',
      'only-here.txt': 'in no repository\n',
      'old.bin': content('old large content', 3_000),
      '.gitattributes': attributes,
      '.env': 'PASSWORD=never-pushed\n',
    },
    modes: { 'only-here.txt': 0o640 },
    before: async ({ url }) => {
      await clicker.open(`${url}/settings/files`);
      await clicker.press('Save', { 'Download and upload them': true });
    },
  });
  await crane.reaches('In sync');
  await crane.write('new.bin', content('new large content', 4_000));
  await until('the pointer is pushed', async () => (await crane.project.files()).has('new.bin') || undefined);
  await crane.reaches('In sync');

  const apiTokens = await people(clicker, at);
  await clicker.open(`${pier.url}/settings/safety`);
  await clicker.press('Save', { 'Each side keeps its own version until someone decides': true });

  await at.stop();
  await pier.write('both.md', 'the version of the site\n');
  await pier.project.push('main', { 'both.md': 'the version of the branch\n' });
  await crane.write('rival.txt', 'the version of the site that lost\n');
  await crane.project.push('main', { 'rival.txt': 'the version of the branch that is live\n' });
  await at.start();
  await until('the conflict waits', async () =>
    (await clicker.open(`${pier.url}/conflicts`)).words.includes('both.md'),
  );
  await until('the rest is merged', () => readFileSync(join(crane.folder, 'rival.txt'), 'utf8').includes('live'));
  await crane.reaches('In sync');

  // In one piece: a snapshot between two removals would make two small steps of them, which nobody holds.
  await at.stop();
  for (let n = 1; n <= 30; n += 1) rmSync(join(pier.folder, 'pages', `page-${n}.md`));
  // Merged it is what the branch has: then the folder's own text is kept.
  await crane.write('lines.txt', lines({ 2: 'two, edited here' }));
  await crane.project.push('main', { 'lines.txt': lines({ 2: 'two, edited here', 9: 'nine, edited there' }) });
  await at.start();
  await pier.reaches('On hold');
  const edit = 'an edit that the hold keeps from the branch';
  await pier.write('edited.md', `${edit}\n`);
  const ledger = join(at.stateDir, 'repositories', `${pier.id}.git`);
  await until('the edit is committed', () => git(ledger, 'show', 'refs/sync/disk:edited.md') === edit);
  await pier.reaches('On hold');
  await until('lines are merged', () => readFileSync(join(crane.folder, 'lines.txt'), 'utf8').includes('nine'));
  await crane.reaches('In sync');
  await at.stop();

  if ((await pier.project.files()).get('edited.md')?.includes(edit)) throw new Error('the edit was pushed');

  const kinds = await everyKind(at, [quay, pier, crane]);
  await halfApplied(at, quay);
  await at.gitlab.quiet();
  await pack(at, { quay, pier, crane }, kinds, { apiTokens, cookie: clicker.cookies(at.url) });
}

const attributes = '*.bin filter=lfs diff=lfs merge=lfs -text\n';

function pierProject({ gitlab }: Harbour): Promise<Project> {
  const files: Record<string, string> = { 'both.md': 'the version they had in common\n', 'edited.md': 'not edited\n' };
  for (let n = 1; n <= 40; n += 1) files[`pages/page-${n}.md`] = `page ${n}\n`;
  return gitlab.projects.create({ path: 'harbour/pier', owner: 'ana', files });
}

async function craneProject({ gitlab }: Harbour): Promise<Project> {
  const project = await gitlab.projects.create({
    ...{ path: 'harbour/crane', owner: 'ana' },
    files: { 'index.html': 'as it is in the repository\n', 'lines.txt': lines(), 'rival.txt': 'before the rivals\n' },
  });
  const film = content('film', 5_000);
  const sha = createHash('sha256').update(film).digest('hex');
  project.lfs.set(sha, film);
  await project.push('main', { '.gitattributes': attributes, 'film.bin': pointerText({ sha, size: film.length }) });
  return project;
}

const lines = (change: Record<number, string> = {}): string =>
  Array.from({ length: 10 }, (_, n) => `${change[n + 1] ?? `line ${n + 1}`}\n`).join('');

/** Bytes that are no text, always the same. */
function content(name: string, size: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(size / 32) }, (_, n) =>
    createHash('sha256').update(`${name} ${n}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, size);
}

/** A second admin, two programs, and a room for the notices. */
async function people(clicker: MooredSite['clicker'], { url }: Harbour): Promise<Facts['apiTokens']> {
  await clicker.open(`${url}/account/admins`);
  await clicker.press('Add account', { Name: lena.name, 'First password': lena.password, Admin: true });
  const token = async (name: string, scope: string, end: string): Promise<string> => {
    await clicker.open(`${url}/account/tokens`);
    const page = await clicker.press('Create token', { Name: name, [scope]: true, [end]: true });
    const text = /mooring_[\w-]{43}/.exec(page.html)?.[0];
    if (text === undefined) throw new Error(`no token: ${page.words}`);
    return text;
  };
  const read = await token('monitoring', 'Read', 'Never');
  const sync = await token('editor', 'Read and sync', 'In a year');
  for (const text of [read, sync]) await fetch(`${url}/api/v1/sites`, { headers: { authorization: `Bearer ${text}` } });
  await clicker.open(`${url}/account/notifications`);
  await clicker.press('Save webhook', {
    ...{ Address: roomAddress, Mattermost: true, 'Secret header': 'X-Room', 'Its value': roomHeader },
  });
  return { read, sync };
}

/** Adds what a day at the harbour does not bring about, by the store's own functions. */
async function everyKind(at: Harbour, sites: readonly MooredSite[]): Promise<SiteId> {
  const { stateDir, gitlab, world } = at;
  const store = await opened(stateDir);
  const now = Date.now();
  const owner = store.accounts.all()[0]?.id ?? '';
  const { connection } = await store.instance.connect(
    {
      ...{ owner, gitlabUserId: world.lena.id, username: 'lena', name: 'Lena Vogt', email: 'lena@harbour.example' },
      ...{ scopes: 'api', accessToken: { expiresAt: now + 300 * 86_400_000 } },
    },
    {
      accessToken: new Secret(gitlab.tokens.add('lena', ['api'], now + 300 * 86_400_000)),
      ...{ refreshToken: new Secret(''), expiresAt: now + 300 * 86_400_000, issuedAt: now },
    },
  );
  await store.instance.setSystemHookSecret(new Secret('secret of the system hook'));
  const kinds = await pausedSites(at, store, connection.id, now);
  for (const act of everyAct(now, kinds)) await store.history.addAct(act);
  await store.notify.saveLedger(
    everyIncident(
      now,
      sites.map(({ id }) => id as SiteId),
    ),
  );
  await store.close();
  // Small enough that the file is turned over once: then one part of the lines is in the older generation.
  const history = createHistory({ folder: join(stateDir, 'history'), maxBytes: 56 * 1024 });
  for (const run of everyRun(now)) await history.addRun(kinds, run);
  await history.flushed();
  return kinds;
}

async function pausedSites(at: Harbour, store: Store, connection: ConnectionId, now: number): Promise<SiteId> {
  const bindings = everyBinding(now, connection, at.gitlab.url);
  const made: Site[] = [];
  for (const [n, status] of everyStatus(now).entries()) {
    const folder = join(at.sites, `paused-${n}`);
    mkdirSync(folder, { mode: 0o755 });
    writeFileSync(join(folder, 'index.html'), `paused ${n}\n`);
    const { dev, ino } = lstatSync(folder, { bigint: true });
    const site = await store.sites.add({
      ...{ name: `Paused ${n}`, folder, root: { dev: String(dev), ino: String(ino) } },
      settings: n === 0 ? everySetting : plainSettings,
    });
    await store.sites.change(site.id, { paused: true });
    const binding = bindings[n];
    if (binding) {
      await store.sites.bind(site.id, binding, new Secret(`hook token ${n}`));
      await store.sites.setHookSigning(site.id, { signing: new Secret(`signing key ${n}`), signed: true });
    }
    const facts = await store.siteFacts.of(site.id);
    await facts.update((draft) => {
      Object.assign(draft, { status, conflicts: n === 0 ? everyConflict(now) : [] });
      draft.agreed = 'b'.repeat(40) as typeof draft.agreed & string;
      draft.refusal = { commit: 'c'.repeat(40) as typeof draft.agreed & string, text: `refused ${n}` };
    });
    made.push(site);
  }
  const first = made[0];
  if (!first) throw new Error('no site was made');
  return first.id;
}

function opened(path: string): Promise<Store> {
  const fail = (error: unknown): never => {
    throw error;
  };
  return openStore({ path, random: realRandom, now: () => Date.now(), onFault: fail, onNotes: fail });
}

/** The daemon is killed between the files of one apply; afterwards somebody edits. */
async function halfApplied(at: Harbour, quay: MooredSite): Promise<void> {
  const paths = ['index.html', 'about.md', 'css/site.css', 'images/anchor.svg', 'images/lighthouse.svg'];
  const changes: Record<string, string | null> = { 'content/posts/2026-02-new-crane.md': null, 'fresh.md': 'fresh\n' };
  for (const path of paths) changes[path] = `${path}, of the apply that was cut\n`;
  await at.gitlab.quiet();
  await quay.project.push('main', changes, { message: 'The change that was half applied' });
  if (!(await dies(at, 'apply.captured:3'))) throw new Error('it was not killed in the middle of the apply');
  await quay.write('edited-while-down.md', 'an edit that nobody has seen yet\n');
  const ours = join(at.stateDir, 'repositories', `${quay.id}.git`);
  const pending = git(ours, 'rev-parse', '--verify', 'refs/sync/pending');
  const arrived = paths.filter((path) => readFileSync(join(quay.folder, path), 'utf8').includes('that was cut'));
  const staging = readdirSync(quay.folder).filter((name) => name.startsWith('.mooring-'));
  const staged = staging.flatMap((name) => readdirSync(join(quay.folder, name)));
  process.stdout.write(`pending ${pending}; arrived ${arrived.join(', ')}; staged ${staged.join(', ')}\n`);
  if (arrived.length === 0 || arrived.length === paths.length) throw new Error('it is not half applied');
}

async function pack(
  at: Harbour,
  sites: Record<'quay' | 'pier' | 'crane', MooredSite>,
  kinds: SiteId,
  { apiTokens, cookie }: Pick<Facts, 'apiTokens' | 'cookie'>,
): Promise<void> {
  const { dir, stateDir, gitlab } = at;
  const all = Object.values(sites);
  const practice = join(dir, 'gitlab');
  for (const { project } of all) {
    const to = join(practice, 'repositories', `${project.id}.git`);
    cpSync(project.repoPath, to, { recursive: true });
    git(to, 'repack', '-adq');
    // Of the practice GitLab that serves them later.
    for (const name of ['hooks', 'config', 'description', 'info'])
      rmSync(join(to, name), { recursive: true, force: true });
  }
  writeFileSync(join(practice, 'saved.json'), JSON.stringify(gitlab.save(all.map(({ project }) => project))));
  rmSync(join(stateDir, 'lock'), { force: true });
  // What the machine trusts, written anew at each start: large, and nobody's data.
  rmSync(join(stateDir, 'instance-ca.pem'), { force: true });
  const secrets = await sealedSecrets(stateDir);
  rmSync(join(stateDir, 'lock'), { force: true });
  const places = placesIn(dir);
  const large = all.flatMap(({ project }) => [...project.lfs.values()]);
  const ids = <T>(of: (site: MooredSite) => T) => ({
    quay: of(sites.quay),
    pier: of(sites.pier),
    crane: of(sites.crane),
  });
  const facts: Facts = {
    ...{ root: dir, url: at.url, gitlabUrl: gitlab.url, madeAt: Date.now(), admins: [admin, lena], cookie, apiTokens },
    ...{ secrets, sites: { ...ids(({ id }) => id), kinds }, projects: ids(({ project }) => project.id) },
    contents: [...contentsOf({ ...places, large }).keys()].sort(),
    identities: identitiesBelow(places.sites),
  };
  writeFileSync(join(dir, 'facts.json'), JSON.stringify(facts));
  const tar = join(target, 'witness.tar');
  const steady = ['--sort=name', '--format=posix', '--pax-option=delete=atime,delete=ctime'];
  const parts = ['facts.json', 'gitlab', 'sites', 'state'];
  const anybody = ['--owner=0', '--group=0', '--numeric-owner'];
  execFileSync('tar', [...steady, ...anybody, '-cf', tar, '-C', dir, ...parts]);
  execFileSync('gzip', ['-9n', tar]);
  process.stdout.write(
    `${target}/witness.tar.gz: ${lstatSync(`${tar}.gz`).size} bytes, ${facts.contents.length} contents, ` +
      `sealed: ${Object.keys(secrets).join(', ')}\n`,
  );
}

/** What today's store gives for everything that it sealed. Opened in a copy: opening may write. */
async function sealedSecrets(stateDir: string): Promise<Record<string, string>> {
  const copy = `${stateDir}-read`;
  cpSync(stateDir, copy, { recursive: true });
  const store = await opened(copy);
  const room = store.notify.webhook();
  const found: Record<string, string | undefined> = {
    'instance secret': store.instance.get()?.secret.open(),
    'system hook': store.instance.systemHookSecret()?.open(),
    'notification address': room?.address.open(),
    'notification header': room?.header?.value.open(),
  };
  for (const { id } of store.instance.connections()) {
    const { accessToken, refreshToken } = store.instance.tokens(id);
    found[`access token ${id}`] = accessToken.open();
    found[`refresh token ${id}`] = refreshToken.open();
  }
  for (const { id } of store.sites.all()) {
    const secrets = store.sites.hookSecrets(id);
    if (secrets) found[`hook token ${id}`] = secrets.token.open();
    if (secrets?.signing) found[`hook signing key ${id}`] = secrets.signing.open();
  }
  await store.close();
  rmSync(copy, { recursive: true });
  return Object.fromEntries(Object.entries(found).map(([what, text]) => [what, text ?? '']));
}

function identitiesBelow(sites: string): Facts['identities'] {
  const all: Facts['identities'] = {};
  for (const path of readdirSync(sites, { recursive: true, encoding: 'utf8' }).sort()) {
    const { dev, ino, ctimeNs } = lstatSync(join(sites, path), { bigint: true });
    all[path] = { dev: String(dev), ino: String(ino), ctimeNs: String(ctimeNs) };
  }
  return all;
}

const made = await harbour();
try {
  await make(made);
} catch (error) {
  process.stdout.write(made.output().slice(-4_000));
  throw error;
} finally {
  await made.close();
}
