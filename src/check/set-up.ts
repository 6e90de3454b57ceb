import type { Check } from '../actions/instance-checks.ts';
import { type Problem, asProblem } from '../model/problem.ts';
import { type DiskFacts, diskWords } from '../model/disk.ts';
import { describe } from '../model/remedy.ts';
import { type Privileges, setUpOf } from '../model/set-up.ts';
import type { Site } from '../model/site.ts';
import type { Attention, SetUpCheck, SystemCheck } from '../model/system.ts';
import { checkUnit } from './unit.ts';

/** What is asked of the machine and of the daemon's parts. Nothing here changes anything. */
export interface SetUpDeps {
  readonly config: SetUpConfig;
  readonly sites: () => readonly Site[];
  readonly hasAccount: () => boolean;
  /** Checks of the machine and of the store. */
  readonly system: () => Promise<readonly SystemCheck[]>;
  readonly attention: () => Promise<readonly Attention[]>;
  /** The way to GitLab and back. */
  readonly instance: () => Promise<readonly Check[]>;
  readonly privileges: () => Privileges & { readonly userName: string | undefined };
  readonly machine: SetUpMachine;
}

interface SetUpConfig {
  readonly stateDir: string;
  readonly roots: readonly string[];
  /** What is odd about the environment, as sentences. */
  readonly warnings: readonly string[];
}

export interface SetUpMachine {
  /** Throws `folder-*` for a folder that cannot be a site. */
  checkFolder(site: Pick<Site, 'id' | 'folder'>): Promise<unknown>;
  /** Whether a folder exists and can be listed; throws what the system throws. */
  lookInto(folder: string): Promise<void>;
  /** Makes something in the folder and removes it; throws what the system throws. */
  writeInto(folder: string): Promise<void>;
  /** Paths below a folder that this process may not use as it must; bounded. */
  refused(folder: string): Promise<Refused>;
  ownerOf(folder: string): Promise<number>;
  diskSpace(folder: string): Promise<{ readonly free: number; readonly total: number } | undefined>;
  /** What the disk of a site can do, where no worker has tried it yet; undefined: one has. */
  disk(site: Pick<Site, 'id' | 'folder'>): Promise<DiskFacts | undefined>;
  /** A sentence when others can read the key; undefined: they cannot, or there is none yet. */
  keyExposure(): Promise<string | undefined>;
  /** Those of these programs that are not on PATH. */
  missingPrograms(names: readonly string[]): readonly string[];
  /** A sentence when the socket of the command line cannot be made. */
  socketFault(): string | undefined;
  /** What is wrong with the file in MOORING_DECLARED, one line a fault; none where there is no such file. */
  declaration(): Promise<readonly SetUpCheck[]>;
  /** The unit file that starts Mooring, with its drop-ins; undefined: there is none. */
  unit(): Promise<string | undefined>;
}

export interface Refused {
  /** Files that cannot be read, as paths below the folder. */
  readonly unreadable: readonly string[];
  /** Folders in which nothing can be made. */
  readonly unwritable: readonly string[];
}

/** Everything about a set-up that can be wrong and is known to Mooring, each on its own line. Never throws. */
export async function checkSetUp(deps: SetUpDeps): Promise<readonly SetUpCheck[]> {
  const { config, machine } = deps;
  const sites = deps.sites();
  const system = await deps.system();
  const places = [...config.roots, ...sites.map(({ folder }) => folder)];
  return [
    ...settingsLines(config),
    ...(await machine.declaration()),
    ...programLines(machine),
    ...ofSystem(system),
    ...(await stateLines(deps)),
    ...(await each(config.roots, (root) => rootLine(root, machine))),
    ...(await each(sites, (site) => siteLines(site, deps))).flat(),
    ...checkUnit(await machine.unit(), { folders: places, stateDir: config.stateDir }),
    ...(await deps.instance()).map(ofInstance),
    ...ofAttention(await deps.attention()),
  ];
}

const ok = (area: string, finding: string): SetUpCheck => ({ area, result: 'ok', finding });

/** One after the other: a hundred folders tried at once would only fight for the disk. */
async function each<T, R>(all: readonly T[], check: (one: T) => Promise<R>): Promise<R[]> {
  const found: R[] = [];
  for (const one of all) found.push(await check(one));
  return found;
}

function settingsLines({ warnings }: SetUpConfig): SetUpCheck[] {
  if (warnings.length === 0) return [ok('Settings', 'Every variable of the environment is valid.')];
  return warnings.map((text) => {
    const [finding = '', ...rest] = text.split(/(?<=\.) (?=[A-Z])/);
    const fix = rest.join(' ') || 'Correct its name or remove it. config/example.env lists every setting.';
    return { area: 'Settings', result: 'warn', finding, fix };
  });
}

/** `flock` keeps two daemons from one state directory, `prlimit` bounds the memory of git. */
function programLines({ missingPrograms, socketFault }: SetUpMachine): SetUpCheck[] {
  const missing = missingPrograms(['flock', 'prlimit']);
  const fault = socketFault();
  const lines: SetUpCheck[] = [];
  if (missing.length > 0) {
    const finding = `Not found on PATH: ${missing.join(', ')}.`;
    lines.push({ area: 'Programs', result: 'fail', finding, fix: 'Install the package util-linux.' });
  }
  if (fault !== undefined) lines.push({ area: 'Command line', result: 'warn', ...inTwo(fault) });
  return lines;
}

/** A sentence that tells, and the last one, which says what to do. */
function inTwo(text: string): { finding: string; fix: string } {
  const at = text.lastIndexOf('. ', text.length - 2);
  return at < 0 ? { finding: text, fix: text } : { finding: text.slice(0, at + 1), fix: text.slice(at + 2) };
}

async function stateLines({ config, machine, hasAccount, privileges }: SetUpDeps): Promise<SetUpCheck[]> {
  const { stateDir, roots } = config;
  const area = 'State directory';
  const lines: SetUpCheck[] = [];
  const fault = await machine.writeInto(stateDir).then(() => undefined, asProblem);
  if (fault) {
    const { uid, userName } = privileges();
    const finding = `${stateDir} cannot be written (${fault.toFacts().cause}).`;
    const owner = userName ?? String(uid);
    lines.push({
      area,
      result: 'fail',
      finding,
      fix: `Give it to the user that runs Mooring: chown -R ${owner} ${stateDir}`,
    });
  }
  const exposed = await machine.keyExposure();
  if (exposed !== undefined) lines.push({ area: 'Key', result: 'fail', ...inTwo(exposed) });
  const around = roots.find((root) => isIn(stateDir, root));
  if (around !== undefined) {
    const finding = `${stateDir} is below ${around}, where the sites are, so a web server might serve its files.`;
    const fix =
      'Stop Mooring, move the state directory elsewhere, for example to /var/lib/mooring, and set MOORING_STATE.';
    lines.push({ area, result: 'fail', finding, fix });
  }
  if (!hasAccount()) {
    const fix = 'Open /setup in a browser and enter the set-up code of the log, or run: mooring admin add <name>';
    lines.push({ area: 'Accounts', result: 'warn', finding: 'Nobody can sign in yet.', fix });
  }
  return lines;
}

async function rootLine(root: string, machine: SetUpMachine): Promise<SetUpCheck> {
  const area = 'Sites root';
  try {
    await machine.lookInto(root);
    return ok(area, `${root} can be read.`);
  } catch (error) {
    const finding = `${root} cannot be read (${asProblem(error).toFacts().cause}).`;
    return {
      area,
      result: 'fail',
      finding,
      fix: 'Create or mount it, let the user of Mooring enter it, or change MOORING_SITES.',
    };
  }
}

async function siteLines(site: Site, { machine, privileges }: SetUpDeps): Promise<SetUpCheck[]> {
  const area = `Site ${site.name}`;
  const rights = privileges();
  const who = rights.userName ?? `user ${rights.uid}`;
  const owner = await machine.ownerOf(site.folder);
  try {
    await machine.checkFolder(site);
  } catch (error) {
    return [{ area, result: 'fail', ...folderWords(asProblem(error), { who, owner }) }];
  }
  const lines: SetUpCheck[] = [];
  const { unreadable, unwritable } = await machine.refused(site.folder);
  const setUp = setUpOf(rights, owner);
  if (unreadable.length + unwritable.length > 0) {
    const parts = [
      unwritable.length > 0 ? `has no permission to write to ${some(unwritable, 'folder')}` : '',
      unreadable.length > 0 ? `has no permission to read ${some(unreadable, 'file')}` : '',
    ].filter(Boolean);
    lines.push({
      ...{ area, result: unwritable.length > 0 ? 'fail' : 'warn', finding: `${who} ${parts.join(' and ')}.` },
      fix: `Give both to a group that ${who} is in, and run: chgrp -R GROUP ${site.folder} && chmod -R g+rwX ${site.folder} && find ${site.folder} -type d -exec chmod g+s {} +`,
    });
  }
  lines.push(...diskLines(area, await machine.disk(site).catch(() => undefined)));
  const space = await machine.diskSpace(site.folder);
  if (space && space.free < Math.min(1024 ** 3, space.total / 20)) {
    const finding = `${Math.round(space.free / 1024 ** 2)} MiB are free on its disk, and a sync needs room for what it replaces.`;
    lines.push({ area, result: 'warn', finding, fix: 'Make room on that disk.' });
  }
  const isFine = lines.every(({ result }) => result === 'note');
  return isFine ? [...lines, ok(area, `${site.folder} can be read and written. ${howWords[setUp]}`)] : lines;
}

/** Only what an admin should know before they wonder: a disk that can do everything is no line. */
function diskLines(area: string, disk: DiskFacts | undefined): SetUpCheck[] {
  if (!disk) return [];
  const words = `Its disk${disk.type === '' ? '' : ` (${disk.type})`}: ${diskWords(disk).join(' ')}`;
  const fix = 'Move the site to a local disk, or allow replacing there under Site Settings, Conflicts and safety.';
  if (disk.replace === 'rename') return [{ area, result: 'warn', finding: words, fix }];
  const isPlain = disk.create !== 'in-place' && disk.modes && disk.owners && !disk.foldsCase;
  return isPlain ? [] : [{ area, result: 'note', finding: words }];
}

/** The three ways in which Mooring may stand to the owner of a site's files; `docs/permissions.md` explains each. */
const howWords = {
  'same-user': 'Mooring runs as its owner.',
  group: 'Mooring shares its group.',
  capabilities: 'Mooring keeps the owner of each file.',
} as const;

function some(paths: readonly string[], what: string): string {
  const shown = paths.slice(0, 3).join(', ');
  const more = paths.length > 3 ? ' and more' : '';
  return `${paths.length === 1 ? `the ${what}` : `${paths.length} ${what}s:`} ${shown}${more}`;
}

function folderWords(
  problem: Problem,
  { who, owner }: { who: string; owner: number },
): { finding: string; fix: string } {
  const { happened, todo } = describe(problem.toFacts());
  if (problem.code === 'folder-unwritable' && problem.facts['errno'] === 'EROFS') {
    const finding = `${problem.facts['folder']} is read-only for Mooring.`;
    const fix = 'Mount its disk read-write. Under systemd, add the folder to ReadWritePaths in the unit.';
    return { finding, fix };
  }
  if (!['folder-unwritable', 'folder-unreadable'].includes(problem.code)) return { finding: happened, fix: todo };
  const fix = `It belongs to user ${owner}. Run Mooring as that user, add ${who} to the folder’s group and run chmod g+rwx on it, or grant the capabilities that docs/permissions.md lists.`;
  return { finding: `${happened.replace(/\.$/, '')}: Mooring runs as ${who}.`, fix };
}

function ofSystem(checks: readonly SystemCheck[]): SetUpCheck[] {
  const results = { good: 'ok', warn: 'warn', bad: 'fail', unknown: 'note' } as const;
  return checks.map(({ name, result, finding, fix }) => ({
    ...{ area: name, result: results[result], finding },
    // What could be done is told where it should be.
    ...(fix === undefined || result === 'good' ? {} : { fix }),
  }));
}

/** Without the webhook pushes arrive by polling: late, but they arrive. */
function ofInstance({ name, result, finding, fix }: Check): SetUpCheck {
  const area = `GitLab: ${name}`;
  const told = fix === undefined ? {} : { fix };
  if (result === 'good') return ok(area, finding);
  if (result === 'bad') return { area, result: name === 'Webhook' ? 'warn' : 'fail', finding, ...told };
  // The redirect URI has to be compared by a person, whatever it is.
  const isDoubtful = fix !== undefined && name !== 'Redirect URI';
  return { area, result: isDoubtful ? 'warn' : 'note', finding, ...told };
}

/** The machine's own checks say these already. */
const saidByMachine = new Set<Attention['kind']>(['disk', 'watches', 'software', 'store', 'backup']);

function ofAttention(found: readonly Attention[]): SetUpCheck[] {
  return found
    .filter(({ kind }) => !saidByMachine.has(kind))
    .map(({ tone, title, text }) => ({
      ...{ area: 'Attention', result: tone === 'bad' ? ('fail' as const) : ('warn' as const) },
      ...{ finding: `${title}.`.replace(/\.\.$/, '.'), fix: text },
    }));
}

const isIn = (folder: string, place: string): boolean => folder === place || folder.startsWith(`${place}/`);
