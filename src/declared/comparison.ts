import { dirname, resolve } from 'node:path';
import type { AccountActions } from '../actions/accounts.ts';
import type { Connecting } from '../actions/connecting.ts';
import type { ConnectedSite } from '../actions/connected-site.ts';
import type { ConnectionActions } from '../actions/connections.ts';
import type { InstanceActions } from '../actions/instance.ts';
import type { UrlReader } from '../actions/instance-form.ts';
import type { NotificationActions } from '../actions/notifications.ts';
import type { SettingsActions } from '../actions/settings.ts';
import type { SiteActions } from '../actions/sites.ts';
import type { Account } from '../model/account.ts';
import type { DeclaredChange, DeclaredFault, DeclaredMarks, DeclaredWait, UsedConsents } from '../model/declared.ts';
import type { Connection, ConnectionId, Instance, Project } from '../model/instance.ts';
import type { NoticeWebhook } from '../model/notice.ts';
import { type Problem, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { Secret } from '../model/secret.ts';
import type { Site, SiteId } from '../model/site.ts';
import type { Clock } from '../model/world.ts';
import { pathText, type ReadDeclaration } from './read.ts';

/** What GitLab is asked while a declaration is compared with it. */
export interface DeclaredGitlab {
  user(token: Secret): Promise<{ readonly username: string }>;
  tokenFacts(token: Secret): Promise<{ readonly scopes: readonly string[]; readonly expiresAt?: number } | undefined>;
  projectAt(token: Secret, path: string): Promise<Project>;
  close(): void;
}

/** Everything a declaration is compared with and applied to. */
export interface DeclaredWorld {
  readonly store: {
    readonly accounts: { all(): readonly Account[] };
    readonly instance: {
      get(): Instance | undefined;
      connections(): readonly Connection[];
      connection(id: string): Connection | undefined;
      tokens(id: ConnectionId): { readonly accessToken: Secret };
    };
    readonly sites: { all(): readonly Site[]; get(id: string): Site | undefined };
    readonly notify: { webhook(): NoticeWebhook | undefined };
    readonly declared: {
      marks(): DeclaredMarks | undefined;
      setMarks(marks: DeclaredMarks): Promise<void>;
      consents(id: SiteId): UsedConsents;
      useConsent(id: SiteId, consent: string): Promise<void>;
    };
  };
  /** The text of a file of at most some MiB. Throws the file system's errors. */
  readonly readText: (path: string) => Promise<string>;
  /** The log never shows it from now on. */
  readonly hide: (secret: Secret) => void;
  /** A folder without links in its path; as it is where it cannot be found. */
  readonly realFolder: (path: string) => Promise<string>;
  readonly folders: { checkFolder(path: string): Promise<string> };
  readonly urls: UrlReader;
  /** Throws a Problem with the fact `reason`. */
  readonly parseHookUrl: (text: string) => URL;
  /** Speaks to an instance that need not be the configured one. */
  readonly gitlabOf: (instance: Instance) => DeclaredGitlab;
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
  readonly clock: Pick<Clock, 'now'>;
  readonly actions: {
    readonly accounts: Pick<AccountActions, 'add' | 'setReach'>;
    readonly instance: Pick<InstanceActions, 'configure'>;
    readonly connections: Pick<ConnectionActions, 'useToken'>;
    readonly sites: Pick<SiteActions, 'add'>;
    readonly settings: Pick<SettingsActions, 'read' | 'saveAll'>;
    readonly connecting: Connecting & Pick<ConnectedSite, 'handOver'>;
    readonly notifications: Pick<NotificationActions, 'saveWebhook'>;
  };
}

export type Path = readonly (string | number)[];

/** One change, decided and checked; nothing has happened yet. */
export interface Step {
  readonly change: DeclaredChange;
  run(by: string): Promise<void>;
}

/** What comparing finds, section by section. */
export interface Comparison {
  readonly world: DeclaredWorld;
  readonly read: ReadDeclaration;
  readonly isDryRun: boolean;
  readonly faults: DeclaredFault[];
  readonly notes: string[];
  /** In their order: each may rely on those before it. */
  readonly steps: Step[];
  /** First connects with a consent: they touch one site each, and one that fails keeps no other from it. */
  readonly connects: Step[];
  /** Asked for once the steps are done, when new sites have an ID. */
  readonly waits: (() => DeclaredWait)[];
  /** The instance as it will be. */
  instance: Instance | undefined;
  /** Another server: tokens that are stored will be gone. */
  dropsTokens: boolean;
  /** By name, as accounts compare them; filled by steps for those that are new. */
  readonly accountIds: Map<string, string>;
  /** By name in the file. */
  readonly connections: Map<string, ComparedConnection>;
  /** By index in the file. */
  readonly siteIds: Map<number, SiteId>;
  /** By index in the file: the repository that GitLab has at the declared path. */
  readonly projects: Map<number, Project>;
}

export interface ComparedConnection {
  readonly index: number;
  /** The account's name, as compared. */
  readonly owner: string;
  /** Undefined until it is there. */
  id: ConnectionId | undefined;
  /** Read from its file and not stored yet. */
  readonly token?: Secret;
}

export function fault(c: Comparison, path: Path, text: string): void {
  c.faults.push(c.read.fault(path, text));
}

export function step(c: Comparison, path: Path, text: string, run: Step['run']): Step {
  const made = { change: { path: pathText(path), line: c.read.placeOf(path).line, text }, run };
  c.steps.push(made);
  return made;
}

/** A problem as one line beside a member. Throws what may be over in a moment: that is no fault of the file. */
export function problemWords(error: unknown): string {
  const problem: Problem = asProblem(error);
  const { title, happened, todo, retry } = describe(problem.toFacts());
  if (retry === 'soon' || problem.code === 'unexpected') throw error;
  return `${title}. ${happened} ${todo}`;
}

/**
 * `form-invalid` of an action: each fact a sentence by field, or the one in `instead`. Anything else is in words, at the
 * path itself.
 */
export function formFaults(
  c: Comparison,
  error: unknown,
  path: Path,
  memberOf: (field: string) => Path,
  instead: Readonly<Record<string, string>> = {},
): void {
  const problem = asProblem(error);
  if (problem.code !== 'form-invalid') return fault(c, path, problemWords(error));
  const { field, text, hint: _hint, ...rest } = problem.facts;
  const facts =
    field === undefined ? { ...rest, ...(text === undefined ? {} : { '': text }) } : { [field]: text ?? '' };
  for (const [name, sentence] of Object.entries(facts))
    fault(c, [...path, ...(name === '' ? [] : memberOf(name))], instead[name] ?? sentence);
}

/**
 * The text of a file that a member names, without its last newline. Where `kept` says that the same secret is stored,
 * a missing file is worth a note and no fault: a volume that is not mounted at a restart must not stop a working
 * installation. Undefined for that, and for what cannot be read.
 */
export async function readNamed(
  c: Comparison,
  path: Path,
  named: string,
  kept: boolean,
  file: string,
): Promise<string | undefined> {
  const whole = resolve(dirname(file), named);
  try {
    const text = (await c.world.readText(whole)).replace(/\r?\n$/, '');
    if (text !== '') return text;
    fault(c, path, `${whole} is empty.`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code === 'ENOENT' && kept)
      c.notes.push(`${whole} (line ${c.read.placeOf(path).line}) does not exist. The stored value stays.`);
    else fault(c, path, `${whole} cannot be read${reasons[code] ?? ` (${code})`}.`);
  }
  return undefined;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: ': it does not exist',
  EACCES: ': Mooring’s user may not read it',
  EISDIR: ': it is a folder',
  EFBIG: ': it is too large',
};

/** The same as a secret that no log shows. */
export async function readSecret(...args: Parameters<typeof readNamed>): Promise<Secret | undefined> {
  const text = await readNamed(...args);
  if (text === undefined) return undefined;
  const secret = new Secret(text);
  args[0].world.hide(secret);
  return secret;
}

/** Works on all of them, some at a time; the first error ends it. */
export async function someAtATime<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const item = items[next] as T;
      next += 1;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: 4 }, worker));
}
