import { type Connection, tokenEnd, tokenEndWords } from '../model/instance.ts';
import { type Channel, type ChannelRecord, lastingTries } from '../model/notice.ts';
import { gitSupport } from '../model/git-version.ts';
import { type Site, type SiteId, type SiteStatus, newDefault } from '../model/site.ts';
import { diskWords } from '../model/disk.ts';
import { type Privileges, setUpOf, setUpWords } from '../model/set-up.ts';
import { type AfterFailure, afterWords } from '../model/after.ts';
import { type BackupSettings, type BackupStatus, backupWords } from '../model/backup.ts';
import type { Attention, SystemCheck, SystemReport } from '../model/system.ts';
import type { Clock } from '../model/world.ts';
import { wentBackGroup, wentBackWords } from '../model/went-back.ts';

/** What the machine says, read when somebody asks. */
export interface Machine {
  readonly host: string;
  readonly startedAt: number;
  readonly node: string;
  /** `2.43.0`; undefined when it does not answer. */
  git(): Promise<string | undefined>;
  diskSpace(): Promise<{ free: number; total: number } | undefined>;
  watches(): Promise<{ used: number; limit: number } | undefined>;
  privileges(): Privileges & { readonly userName: string | undefined };
  /** The user id of a folder's owner. */
  ownerOf(folder: string): Promise<number>;
  memoryBytes(): number;
  lagMs(): { usual: number; worst: number };
}

export interface SystemDeps {
  readonly version: string;
  readonly config: { readonly stateDir: string; readonly backup?: BackupSettings };
  readonly machine: Machine;
  readonly store: {
    readonly sites: { all(): readonly Site[] };
    readonly instance: { connections(): readonly Connection[] };
    /** What was repaired while the store was opened. */
    readonly notes: readonly { readonly text: string }[];
  };
  readonly runtimes: {
    worker(id: SiteId): { status(): SiteStatus };
    /** Syncs under way, and waiting for their turn. */
    load(): { running: number; waiting: number };
  };
  /** The ways of notifying people that are switched on. */
  readonly notices: { on(): readonly { readonly channel: Channel; readonly record: ChannelRecord }[] };
  readonly backups: { status(): BackupStatus };
  readonly afterHooks: { failures(): readonly AfterFailure[] };
  /** Why the file that declares the set-up is not applied, as sentences. */
  readonly declared?: { trouble(): string | undefined };
  readonly clock: Pick<Clock, 'now'>;
}

export interface SystemActions {
  /** Looks at everything anew. Never throws. */
  report(): Promise<SystemReport>;
  /** What of it concerns these sites, for somebody who sees no others. */
  reportOf(sites: readonly Site[]): readonly SystemCheck[];
  /** Soft problems, the heaviest first; those of `only` these sites, where it is given. */
  attention(only?: readonly Site[]): Promise<readonly Attention[]>;
}

const dayMs = 86_400_000;
const GiB = 1024 ** 3;
/** Below this a sync may fail half-way: 1 GiB, or a twentieth of a small disk. */
const tight = ({ total }: { total: number }): number => Math.min(GiB, total / 20);

/** How this installation is, and what somebody should look at before it becomes a problem. */
export function createSystemActions(deps: SystemDeps): SystemActions {
  const { machine } = deps;
  const now = (): number => deps.clock.now();
  // The machine's own facts change slowly, and pages ask often.
  let known: { at: number; checks: Promise<readonly SystemCheck[]> } | undefined;

  const checks = (): Promise<readonly SystemCheck[]> => {
    if (!known || now() - known.at > 15_000 || now() < known.at) known = { at: now(), checks: inspect(deps) };
    return known.checks;
  };

  return {
    async report() {
      known = undefined;
      return {
        checks: await checks(),
        startedAt: machine.startedAt,
        host: machine.host,
        memoryBytes: machine.memoryBytes(),
        lagMs: machine.lagMs(),
        queue: deps.runtimes.load(),
      };
    },
    reportOf: (sites) => {
      const statusOf = (id: SiteId): SiteStatus => deps.runtimes.worker(id).status();
      return [...sitesDisksCheck(sites, statusOf), ...sharedDisksCheck(sites, statusOf)];
    },
    async attention(only) {
      const sites = only ?? deps.store.sites.all();
      const found = [
        ...ofWentBack(deps, sites),
        ...ofConnections(deps, sites),
        ...ofSites(deps, sites),
        ...ofPrograms(deps, sites),
      ];
      if (!only) found.push(...ofDeclared(deps), ...ofNotices(deps), ...ofMachine(await checks()));
      const weight = { bad: 0, warn: 1, mute: 2 };
      return found.sort((a, b) => weight[a.tone] - weight[b.tone]);
    },
  };
}

async function inspect(deps: SystemDeps): Promise<readonly SystemCheck[]> {
  const { version, config, machine, store, runtimes, clock } = deps;
  const owners = Promise.all(store.sites.all().map(({ folder }) => machine.ownerOf(folder)));
  const [git, diskSpace, watches, folderUids] = await Promise.all([
    machine.git(),
    machine.diskSpace(),
    machine.watches(),
    owners,
  ]);
  return [
    { name: 'Mooring', result: 'good', finding: version },
    nodeCheck(machine.node, clock.now()),
    gitCheck(git),
    stateCheck(config.stateDir, store.notes),
    diskCheck(diskSpace),
    backupCheck(deps.backups.status(), config.backup, clock.now()),
    watchCheck(watches),
    permissionsCheck(machine.privileges(), folderUids),
    ...sitesDisksCheck(store.sites.all(), (id) => runtimes.worker(id).status()),
    ...sharedDisksCheck(store.sites.all(), (id) => runtimes.worker(id).status()),
  ];
}

/** Which set-up it is in, and what it cannot do; also logged at each start. */
export function permissionsCheck(
  privileges: Privileges & { readonly userName: string | undefined },
  folderUids: readonly number[],
): SystemCheck {
  const name = 'Permissions of site files';
  const { uid, userName, capabilities } = privileges;
  const user = `Mooring runs as user ${userName === undefined ? uid : `${userName} (${uid})`}`;
  const held = [...capabilities]
    .filter((each) => each !== 'CAP_SETPCAP')
    .sort()
    .join(', ');
  const lead = `${user}, ${held === '' ? 'without capabilities' : `with ${held}`}.`;
  const foreign = folderUids.filter((owner) => setUpOf(privileges, owner) === 'group').length;
  if (foreign === 0) {
    const kind = setUpOf(privileges, uid);
    return { name, result: 'good', finding: `${lead} ${setUpWords[kind]}` };
  }
  const which = foreign === 1 ? 'One site folder belongs' : `${foreign} site folders belong`;
  return {
    name,
    result: 'good',
    finding: `${lead} ${which} to another user. ${setUpWords.group}`,
    fix: 'To keep the owner of every file, grant Mooring CAP_CHOWN, CAP_FOWNER and CAP_FSETID in its unit or compose file.',
  };
}

/** When Node's lines end, from nodejs.org's release schedule. */
const nodeEnds: Readonly<Record<number, number>> = {
  22: Date.UTC(2027, 3, 30),
  24: Date.UTC(2028, 3, 30),
  26: Date.UTC(2029, 3, 30),
};

function nodeCheck(version: string, at: number): SystemCheck {
  const major = Number(version.replace(/^v/, '').split('.')[0]);
  const end = nodeEnds[major];
  if (end === undefined)
    return { name: 'Node', result: 'unknown', finding: `${version}; its end of support is not known` };
  const until = new Intl.DateTimeFormat('en-GB', { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(end);
  if (end > at + 90 * dayMs) return { name: 'Node', result: 'good', finding: `${version}, supported until ${until}` };
  return {
    name: 'Node',
    result: 'warn',
    finding: end > at ? `${version}, supported until ${until}` : `${version}, out of support since ${until}`,
    fix: 'Install a newer long-term version of Node and start Mooring with it; nothing else changes.',
  };
}

function gitCheck(version: string | undefined): SystemCheck {
  if (version === undefined) {
    return {
      name: 'Git',
      result: 'bad',
      finding: 'It does not start.',
      fix: 'Install git, or name it with MOORING_GIT.',
    };
  }
  const standing = gitSupport(version);
  if (standing === 'old')
    return { name: 'Git', result: 'bad', finding: version, fix: 'Mooring needs git 2.38 or newer.' };
  // No warning: distributions carry the fixes over and keep the number.
  const fixes = standing === 'unpatched' ? '; has the latest security fixes only if your distribution added them' : '';
  return { name: 'Git', result: 'good', finding: `${version}, supported${fixes}` };
}

function stateCheck(stateDir: string, notes: SystemDeps['store']['notes']): SystemCheck {
  const name = 'State directory';
  if (notes.length === 0) return { name, result: 'good', finding: `${stateDir}, opened without errors` };
  return {
    name,
    result: 'warn',
    finding: notes.map(({ text }) => text).join(' '),
    fix: 'No action needed: Mooring repaired this when it started. If it happens again, check the disk.',
  };
}

function diskCheck(diskSpace: { free: number; total: number } | undefined): SystemCheck {
  if (!diskSpace) return { name: 'Disk', result: 'unknown', finding: 'Its free space could not be read.' };
  const finding = `${gib(diskSpace.free)} free of ${gib(diskSpace.total)} on the disk of the state directory`;
  const share = diskSpace.free / diskSpace.total;
  if (diskSpace.free > 5 * tight(diskSpace) || share > 0.2) return { name: 'Disk', result: 'good', finding };
  const fix = 'Keep versions for a shorter time, or enlarge the volume.';
  return { name: 'Disk', result: diskSpace.free < tight(diskSpace) ? 'bad' : 'warn', finding, fix };
}

/** How files are replaced on the disks of the sites: the weakest first, each with the sites it holds for. None until one was tried. */
function sitesDisksCheck(sites: readonly Site[], statusOf: (id: SiteId) => SiteStatus): SystemCheck[] {
  const name = 'Disks of sites';
  const found = new Map<string, { weak: boolean; names: Set<string> }>();
  for (const { id, name: site } of sites) {
    for (const disk of statusOf(id).disks ?? []) {
      const words = diskWords(disk).join(' ');
      const one = found.get(words) ?? { weak: disk.replace === 'rename', names: new Set() };
      one.names.add(site);
      found.set(words, one);
    }
  }
  if (found.size === 0) return [];
  const rows = [...found].sort(([, a], [, b]) => Number(b.weak) - Number(a.weak));
  const finding = rows.map(([words, { names }]) => `${sitesWords([...names])}: ${words}`).join(' ');
  if (!rows.some(([, { weak }]) => weak)) return [{ name, result: 'good', finding }];
  const fix = 'Move these sites to a local disk, or allow replacing there under Site Settings, Conflicts and safety.';
  return [{ name, result: 'warn', finding, fix }];
}

/** Sites on disks that other machines change: nothing is wrong there, and it explains why some edits come later. */
function sharedDisksCheck(sites: readonly Site[], statusOf: (id: SiteId) => SiteStatus): SystemCheck[] {
  const names = new Map<string, string[]>();
  for (const { id, name } of sites) {
    const types = statusOf(id).changedElsewhere?.join(', ');
    if (types) names.set(types, [...(names.get(types) ?? []), name]);
  }
  if (names.size === 0) return [];
  const rows = [...names].map(([types, those]) => `${sitesWords(those)}: ${types}.`).join(' ');
  const finding = `${rows} Edits of other systems on these disks are found by full scans, as often as the site’s page says.`;
  return [{ name: 'Shared disks', result: 'good', finding }];
}

function sitesWords(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

function watchCheck(watches: { used: number; limit: number } | undefined): SystemCheck {
  const name = 'Watches';
  if (!watches) return { name, result: 'unknown', finding: 'This system does not tell.' };
  const count = new Intl.NumberFormat('en-GB');
  const finding = `${count.format(watches.used)} of ${count.format(watches.limit)}`;
  if (watches.used < watches.limit * 0.8) return { name, result: 'good', finding };
  const fix = `Raise the limit: sysctl fs.inotify.max_user_watches=${watches.limit * 2}. Sites without a watch are compared by the clock.`;
  return { name, result: 'warn', finding, fix };
}

function gib(bytes: number): string {
  return `${(bytes / GiB).toFixed(bytes < 100 * GiB ? 1 : 0)} GiB`;
}

function backupCheck({ last, failure }: BackupStatus, settings: BackupSettings | undefined, now: number): SystemCheck {
  const name = 'Backup';
  const lastWords = last
    ? `Last backup ${agoWords(now - last.at)}, ${megabytes(last.bytes)}.`
    : 'There is no backup yet.';
  if (failure) {
    const { happened, todo } = backupWords(failure);
    return { name, result: 'bad', finding: `${happened} ${lastWords}`, fix: todo };
  }
  const place = settings ? ` Backups are written to ${settings.folder}.` : '';
  if (last && last.leftOut.length > 0)
    return {
      ...{
        name,
        result: 'warn',
        finding: `${lastWords} It lacks repositories of busy sites: ${last.leftOut.join(', ')}.`,
      },
      fix: 'Run “mooring backup” again when these sites are idle.',
    };
  if (last || settings) return { name, result: 'good', finding: `${lastWords}${place}` };
  const fix = 'Set MOORING_BACKUP_FOLDER, or run “mooring backup” from time to time.';
  return { name, result: 'unknown', finding: lastWords, fix };
}

function agoWords(ms: number): string {
  const hours = Math.floor(Math.max(0, ms) / 3_600_000);
  if (hours < 1) return 'less than an hour ago';
  if (hours < 48) return hours === 1 ? '1 hour ago' : `${hours} hours ago`;
  return `${Math.floor(hours / 24)} days ago`;
}

function megabytes(bytes: number): string {
  return bytes < 1024 ** 2 ? 'less than 1 MiB' : `${Math.round(bytes / 1024 ** 2)} MiB`;
}

function ofMachine(checks: readonly SystemCheck[]): Attention[] {
  const kinds: Readonly<Record<string, Attention['kind']>> = {
    Disk: 'disk',
    Watches: 'watches',
    Backup: 'backup',
    'State directory': 'store',
  };
  return checks
    .filter(({ result }) => result === 'warn' || result === 'bad')
    .map(({ name, result, finding, fix }) => ({
      kind: kinds[name] ?? 'software',
      tone: result === 'bad' ? 'bad' : 'warn',
      title: `${name}: ${finding}`,
      text: fix ?? '',
      help: 'system',
      sites: [],
    }));
}

/** Each of these sites is on hold by itself; together they say something about GitLab. */
function ofWentBack({ runtimes }: SystemDeps, sites: readonly Site[]): Attention[] {
  const group = wentBackGroup(sites, (id) => runtimes.worker(id).status());
  if (!group) return [];
  const { title, happened, untouched } = wentBackWords(group);
  return [
    {
      ...{ kind: 'went-back', tone: 'bad', title, text: `${happened} ${untouched}` },
      ...{ help: 'went-back', sites: group.sites },
    },
  ];
}

function ofConnections({ store, clock }: SystemDeps, sites: readonly Site[]): Attention[] {
  const found: Attention[] = [];
  for (const { id, health, username, accessToken } of store.instance.connections()) {
    const used = sites.filter(({ binding }) => binding?.connectionId === id);
    if (used.length === 0) continue;
    const about = { help: 'syncing', sites: used.map((site) => site.id) } as const;
    if (health === 'reconnect') {
      found.push({ ...about, kind: 'reconnect', tone: 'bad', ...lostWords(username, accessToken !== undefined) });
      continue;
    }
    const end = accessToken && tokenEnd(accessToken, clock.now());
    if (end) {
      found.push({
        ...about,
        kind: 'token-ending',
        tone: end.tone,
        title: `The access token of @${username} ${tokenEndWords(end.days)}`,
        text: 'Make a new one in GitLab. What is edited after its end is committed here and pushed with the new one.',
        wants: 'access-token',
      });
    }
  }
  return found;
}

function lostWords(username: string, entered: boolean): Pick<Attention, 'title' | 'text' | 'wants'> {
  if (!entered) {
    const text = 'Edits are committed here and wait. Open a site’s Source Syncing and press Reconnect.';
    return { title: `GitLab no longer accepts the connection of @${username}`, text };
  }
  const text = 'Edits are committed here and wait for a new one. One of the same user serves all its sites.';
  return { title: `GitLab no longer accepts the access token of @${username}`, text, wants: 'access-token' };
}

function ofDeclared({ declared }: SystemDeps): Attention[] {
  const text = declared?.trouble();
  const title = 'The declared configuration is not applied';
  return text === undefined ? [] : [{ kind: 'declared', tone: 'bad', title, text, sites: [] }];
}

function ofNotices({ notices }: SystemDeps): Attention[] {
  return notices.on().flatMap(({ channel, record: { failure } }): Attention[] => {
    if (!failure || failure.times < lastingTries) return [];
    const way = channel === 'mail' ? 'by e-mail' : 'by webhook';
    const text = `${failure.happened} ${failure.todo} Tried ${failure.times} times, and again every hour.`;
    return [{ kind: 'notify', tone: 'bad', title: `Nobody is told ${way}`, text, help: 'notifications', sites: [] }];
  });
}

function ofPrograms({ afterHooks }: SystemDeps, sites: readonly Site[]): Attention[] {
  return afterHooks.failures().flatMap((failure): Attention[] => {
    const site = sites.find(({ id }) => id === failure.site);
    if (!site) return [];
    const { title, happened, todo } = afterWords(failure, site.name);
    return [{ kind: 'after', tone: 'warn', title, text: `${happened} ${todo}`, sites: [site.id] }];
  });
}

/** What one site has of each soft problem. */
const siteKinds: readonly {
  readonly has: (site: Site, status: SiteStatus) => boolean;
  readonly of: (amount: string) => Omit<Attention, 'sites'>;
}[] = [
  {
    has: ({ binding }) => binding !== undefined && !['working', 'waiting', 'system'].includes(binding.webhook.kind),
    of: (amount) => ({
      kind: 'webhook',
      tone: 'mute',
      title: `No webhook: ${amount}`,
      text: 'Mooring polls the branch instead, so pushes arrive up to a minute late. Source Syncing explains why and how to change it.',
      help: 'syncing',
    }),
  },
  {
    has: ({ binding }) => binding !== undefined && newDefault(binding) !== undefined,
    of: (amount) => ({
      kind: 'default-branch',
      tone: 'warn',
      title: `Another default branch in GitLab: ${amount}`,
      text: 'They follow what was the repository’s default branch and no longer is: what people push may arrive elsewhere now. Source Syncing names it.',
      help: 'syncing',
    }),
  },
  {
    has: ({ binding, paused }, { watched, state }) =>
      binding !== undefined && !paused && !watched && state !== 'unknown',
    of: (amount) => ({
      kind: 'unwatched',
      tone: 'warn',
      title: `Not watched: ${amount}`,
      text: 'Edits are found by comparing the whole folder, as often as the site’s page says. The usual cause is a limit of the kernel: raise fs.inotify.max_user_watches, or max_user_instances. The other is a file system that does not report changes.',
      help: 'system',
    }),
  },
  {
    has: (_site, { notSynced }) => notSynced.some(({ reason }) => reason.kind === 'was-ignored'),
    of: (amount) => ({
      kind: 'was-ignored',
      tone: 'warn',
      title: `Files that are no longer ignored: ${amount}`,
      text: 'An upgrade changed the ignore rules. These files are not committed until someone decides on the site’s page.',
    }),
  },
  {
    has: (_site, { notSynced }) =>
      notSynced.some(({ reason }) => reason.kind === 'too-large' || reason.kind === 'too-many'),
    of: (amount) => ({
      kind: 'too-large',
      tone: 'warn',
      title: `Files over the limit: ${amount}`,
      text: 'They stay where they are and are not synced. The site’s page names them; limits are set under Files.',
      help: 'files',
    }),
  },
  {
    has: (_site, { notSynced }) => notSynced.some(({ reason }) => reason.kind === 'never-quiet'),
    of: (amount) => ({
      kind: 'never-quiet',
      tone: 'warn',
      title: `Files that change constantly: ${amount}`,
      text: 'Each of their versions becomes a commit, at most every two minutes. The site’s page names them and can ignore them.',
    }),
  },
  {
    has: (_site, { notSynced }) => notSynced.some(({ reason }) => reason.kind === 'lfs-pointer'),
    of: (amount) => ({
      kind: 'lfs',
      tone: 'warn',
      title: `Pointers to large files (LFS): ${amount}`,
      text: 'The repository holds only a pointer there, which the site does not follow: nothing is written, and nothing committed in its place.',
      help: 'files',
    }),
  },
  {
    has: (_site, { notSynced }) => notSynced.some(({ reason }) => reason.kind === 'secret'),
    of: (amount) => ({
      kind: 'secrets',
      tone: 'mute',
      title: `Files that look like secrets: ${amount}`,
      text: 'They are not pushed. This is intended, unless one of them should be synced.',
      help: 'ignored',
    }),
  },
];

function ofSites({ runtimes }: SystemDeps, sites: readonly Site[]): Attention[] {
  const all = sites.map((site) => ({ site, status: runtimes.worker(site.id).status() }));
  const found: Attention[] = [];
  for (const { has, of } of siteKinds) {
    const touched = all.filter((one) => has(one.site, one.status)).map(({ site }) => site.id);
    if (touched.length > 0)
      found.push({ ...of(touched.length === 1 ? '1 site' : `${touched.length} sites`), sites: touched });
  }
  return found;
}
