import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import type { AfterSettings } from './model/after.ts';
import type { BackupSettings } from './model/backup.ts';
import type { LabelSelector } from './model/label-selector.ts';
import type { MailSettings } from './model/notice.ts';
import { Problem } from './model/problem.ts';
import { Secret } from './model/secret.ts';
import { type Fault, readMail } from './mail-settings.ts';
import { type Environment, readEnvironment, variables } from './settings.ts';

/** Everything that the environment decides, checked once at start. */
export interface Config {
  readonly stateDir: string;
  /** Folders under which sites may lie; absolute. */
  readonly roots: readonly string[];
  readonly host: string;
  readonly port: number;
  /** Origin and sub-path, no final slash. */
  readonly publicUrl: string;
  readonly keyFile: string;
  /** The account to make at start; absent: the set-up page makes it. */
  readonly admin?: { readonly name: string; readonly password: Secret };
  /** The file that is applied at start and on SIGHUP; absolute. */
  readonly declared?: string;
  /** Which of the declared sites are this daemon's; absent: all. */
  readonly shard?: LabelSelector;
  readonly log: { readonly format: LogFormat; readonly level: LogLevel };
  /** Addresses and networks (CIDR) whose `X-Forwarded-*` headers are believed. */
  readonly trustedProxies: readonly string[];
  /** How notifications are mailed; absent: they are not. */
  readonly mail?: MailSettings;
  /** `listen`: where metrics are served without a token; absent: nowhere. `sites`: so many have metrics of their own. */
  readonly metrics: { readonly listen?: { readonly host: string; readonly port: number }; readonly sites: number };
  /** Programs that are started after a sync. */
  readonly after: AfterSettings;
  /** Backups by the clock; absent: there are none. */
  readonly backup?: BackupSettings;
  /** Absolute. */
  readonly git: string;
  /** Sentences for the log: what is odd, but stops nobody. */
  readonly warnings: readonly string[];
}

type LogFormat = 'pretty' | 'json';
type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** What the process is told besides the environment. */
export interface Surroundings {
  /** Whether standard output is a terminal: then people read the log. */
  readonly terminal: boolean;
  /** 0 is root; undefined where there are no user ids. */
  readonly uid: number | undefined;
}

/**
 * Reads the environment; the only place that does. Throws `config-invalid` with every fault at once: `facts.text`
 * has one line per variable, each with a valid example.
 */
export function readConfig(
  env: NodeJS.ProcessEnv = process.env,
  around: Surroundings = { terminal: process.stdout.isTTY, uid: process.getuid?.() },
): Config {
  const faults: string[] = [];
  const fault: Fault = (name, text) => {
    const example = variables().find((variable) => variable.name === name)?.example ?? '';
    faults.push(`${name}: ${text} Example: ${name}=${example}`);
  };
  // An empty variable is one that is not set: compose files and unit files write `NAME=` for "nothing".
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const read = readEnvironment(given);
  if ('faults' in read) for (const { name, text } of read.faults) fault(name, text);

  const values = 'values' in read ? read.values : undefined;
  if (around.uid === 0 && values?.MOORING_ALLOW_ROOT === 'no')
    fault('MOORING_ALLOW_ROOT', 'Mooring does not run as root. Give it a user of its own, or allow it explicitly.');
  const password = readSecret(given, 'MOORING_ADMIN_PASSWORD', fault);
  const smtpUrl = readSecret(given, 'MOORING_SMTP_URL', fault);
  const mail = values && readMail(values, smtpUrl, fault);
  if (values) checkBackupFolder(values, fault);
  const git = findGit(given['MOORING_GIT'], given['PATH']);
  if (git === undefined)
    fault(
      'MOORING_GIT',
      given['MOORING_GIT'] ? 'There is no program.' : 'git was not found on PATH. Install or name it.',
    );
  if (!values || git === undefined || faults.length > 0)
    throw new Problem('config-invalid', { text: faults.join('\n') });
  const warnings = warningsOf(given, values);
  return assemble(values, { git, mail, password, warnings, terminal: around.terminal });
}

function assemble(
  env: Environment,
  found: {
    git: string;
    mail: MailSettings | undefined;
    password: Secret | 'unreadable' | undefined;
    warnings: string[];
    terminal: boolean;
  },
): Config {
  return deepFreeze({
    stateDir: env.MOORING_STATE,
    roots: env.MOORING_SITES,
    host: env.MOORING_HOST,
    port: env.MOORING_PORT,
    publicUrl: publicUrlOf(env),
    keyFile: env.MOORING_KEY_FILE === undefined ? join(env.MOORING_STATE, 'secret.key') : resolve(env.MOORING_KEY_FILE),
    ...(found.password instanceof Secret ? { admin: { name: env.MOORING_ADMIN_NAME, password: found.password } } : {}),
    ...(env.MOORING_DECLARED === undefined ? {} : { declared: env.MOORING_DECLARED }),
    ...(env.MOORING_SHARD_SELECTOR === undefined ? {} : { shard: env.MOORING_SHARD_SELECTOR }),
    log: { format: env.MOORING_LOG ?? (found.terminal ? 'pretty' : 'json'), level: env.MOORING_LOG_LEVEL },
    trustedProxies: env.MOORING_TRUSTED_PROXIES,
    ...(found.mail ? { mail: found.mail } : {}),
    metrics: {
      ...(env.MOORING_METRICS_LISTEN ? { listen: env.MOORING_METRICS_LISTEN } : {}),
      sites: env.MOORING_METRICS_SITES,
    },
    after: afterOf(env),
    ...backupOf(env),
    git: found.git,
    warnings: found.warnings,
  });
}

function afterOf({ MOORING_AFTER_PULL: pull, MOORING_AFTER_PUSH: push, MOORING_AFTER_LIMIT: limit }: Environment) {
  const programs = { ...(pull ? { 'after-pull': pull } : {}), ...(push ? { 'after-push': push } : {}) };
  return { programs, limitMs: limit * 1_000 };
}

function backupOf(env: Environment): Pick<Config, 'backup'> {
  const { MOORING_BACKUP_FOLDER: folder, MOORING_BACKUP_SCHEDULE: schedule, MOORING_BACKUP_KEEP: keep } = env;
  if (folder === undefined) return {};
  return { backup: { folder, schedule, keep, withRepositories: env.MOORING_BACKUP_REPOSITORIES === 'yes' } };
}

/** A backup in a site would be published, and one in the state directory would be lost with it. */
function checkBackupFolder(env: Environment, fault: Fault): void {
  const folder = env.MOORING_BACKUP_FOLDER;
  if (folder === undefined) return;
  const around = [env.MOORING_STATE, ...env.MOORING_SITES].find((each) => `${folder}/`.startsWith(`${each}/`));
  if (around !== undefined) return fault('MOORING_BACKUP_FOLDER', `It must not be in ${around}.`);
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    fault('MOORING_BACKUP_FOLDER', `${folder} cannot be written (${code}).`);
  }
}

function publicUrlOf(env: Environment): string {
  if (env.MOORING_PUBLIC_URL !== undefined) {
    const url = new URL(env.MOORING_PUBLIC_URL);
    return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  }
  // "Every address" is no address that a browser can open.
  const host = ['0.0.0.0', '::'].includes(env.MOORING_HOST) ? '127.0.0.1' : env.MOORING_HOST;
  return `http://${host.includes(':') ? `[${host}]` : host}:${env.MOORING_PORT}`;
}

function warningsOf(given: NodeJS.ProcessEnv, env: Environment): string[] {
  const known = new Set(variables().map(({ name }) => name));
  const unknown = Object.keys(given).filter(
    (name) => name.startsWith('MOORING_') && !name.startsWith('MOORING_TEST_') && !known.has(name),
  );
  const warnings = unknown.map((name) => `${name} is not a setting of Mooring and has no effect.`);
  const { protocol, hostname } = new URL(publicUrlOf(env));
  if (protocol === 'http:' && !/^(localhost|127\.|\[::1\])/.test(hostname)) {
    warnings.push('MOORING_PUBLIC_URL is http: passwords are sent unencrypted. Put Mooring behind https.');
  }
  return warnings;
}

/** From `NAME_FILE`, which is preferred, or from `NAME`; one final newline of a file does not count. */
function readSecret(
  given: NodeJS.ProcessEnv,
  name: 'MOORING_ADMIN_PASSWORD' | 'MOORING_SMTP_URL',
  fault: Fault,
): Secret | 'unreadable' | undefined {
  const [value, file] = [given[name], given[`${name}_FILE`]];
  if (file === undefined) return value === undefined ? undefined : new Secret(value);
  if (value !== undefined) fault(`${name}_FILE`, `It is set together with ${name}; set one of the two.`);
  try {
    const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return new Secret(text);
    fault(`${name}_FILE`, `${file} is empty.`);
  } catch (error) {
    fault(`${name}_FILE`, `${file} cannot be read (${error instanceof Error ? error.message : String(error)}).`);
  }
  return 'unreadable';
}

/** Looked up once: what PATH says later must not decide which git runs with a token. */
function findGit(named: string | undefined, path: string | undefined): string | undefined {
  if (named !== undefined) return named.startsWith('/') && isProgram(named) ? named : undefined;
  const folders = (path ?? '/usr/bin:/bin').split(delimiter).filter((folder) => folder.startsWith('/'));
  return folders.map((folder) => join(folder, 'git')).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null && !(member instanceof Secret)) deepFreeze(member as object);
  }
  return Object.freeze(value);
}
