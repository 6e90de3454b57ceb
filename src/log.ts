import { AsyncLocalStorage } from 'node:async_hooks';
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import { escapeControls } from './model/tree.ts';
import type { Secret } from './model/secret.ts';

export type LogFormat = 'pretty' | 'json';
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Writes one line: a sentence for people, fields for machines. */
export interface Log {
  (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The same log with fields on every line: `site`, `run`. */
  with(fields: Readonly<Record<string, unknown>>): Log;
}

/** Takes secrets out of text: those it was told, and what looks like one. */
export interface Mask {
  /** From now on this value never appears, nor its base64 and URL forms. May be called often with the same. */
  hide(secret: Secret): void;
  mask(text: string): string;
}

/** `write` receives whole lines, newline included. */
export function createLog(options: {
  format: LogFormat;
  level: LogLevel;
  mask: Mask;
  colour?: 'yes' | 'no';
  write?: (line: string) => void;
}): Log {
  const { format, level, mask, colour = 'no', write = (line) => process.stdout.write(line) } = options;
  // `errorLikeObjectKeys` empty: pino-pretty would spread a stack over many lines.
  const pretty = prettyFactory({
    colorize: colour === 'yes',
    singleLine: true,
    errorLikeObjectKeys: [],
    ignore: 'pid,hostname',
    translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l o',
  });
  const toText = format === 'json' ? (line: string) => line : (line: string) => pretty(JSON.parse(line));
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    // Masked as the finished line: no field, nested member or error text can slip past.
    { write: (line: string) => write(toText(mask.mask(line))) },
  );
  return logOf((lineLevel, message, fields) => logger[lineLevel](fields, message));
}

interface Scope {
  readonly fields: Readonly<Record<string, unknown>>;
  over: boolean;
}

const scopes = new AsyncLocalStorage<Scope>();

/**
 * Every line that is logged while the work goes on carries these fields, however deep. What the work leaves running (a
 * schedule, a watcher) logs without them once the work has ended: it is not about that work any more.
 */
export async function withLogFields<T>(fields: Scope['fields'], work: () => Promise<T>): Promise<T> {
  const scope: Scope = { fields, over: false };
  return scopes.run(scope, async () => {
    try {
      return await work();
    } finally {
      scope.over = true;
    }
  });
}

function scopeFields(): Scope['fields'] {
  const scope = scopes.getStore();
  return scope && !scope.over ? scope.fields : {};
}

type Write = (level: LogLevel, message: string, fields: Record<string, unknown>) => void;

function logOf(write: Write, always: Readonly<Record<string, unknown>> = {}): Log {
  const log = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    const all = { ...scopeFields(), ...always, ...fields };
    write(level, escapeControls(message), Object.fromEntries(Object.entries(all).map(([k, v]) => [k, plain(v)])));
  };
  return Object.assign(log, {
    with: (fields: Readonly<Record<string, unknown>>) => logOf(write, { ...always, ...fields }),
  });
}

/** Errors with their cause and stack, as text: an Error has no members that JSON would show. */
function plain(value: unknown): unknown {
  if (typeof value === 'string') return escapeControls(value);
  if (!(value instanceof Error)) return value;
  const cause = value.cause === undefined ? {} : { cause: plain(value.cause) };
  return { error: escapeControls(value.message), stack: escapeControls(value.stack ?? ''), ...cause };
}

/** The secrets used last are known by value, this many; whoever uses another one tells of it first. */
const KNOWN_SECRETS = 200;
/** Shorter values would blacken ordinary words. */
const SHORTEST_SECRET = 6;

export function createMask(): Mask {
  const known = new Map<string, readonly string[]>();
  let forms: readonly string[] = [];
  return {
    hide(secret) {
      const value = secret.open();
      if (value.length < SHORTEST_SECRET) return;
      const present = known.get(value);
      known.delete(value);
      known.set(value, present ?? formsOf(value));
      if (present) return;
      const oldest = known.keys().next();
      if (known.size > KNOWN_SECRETS && !oldest.done) known.delete(oldest.value);
      // The longest first: one form may hold another.
      forms = [...known.values()].flat().sort((a, b) => b.length - a.length);
    },
    mask(text) {
      let clean = text;
      for (const form of forms) if (clean.includes(form)) clean = clean.replaceAll(form, MASKED);
      for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
      return clean;
    },
  };
}

const MASKED = '[secret]';

/** Every way in which the value may stand in a line: plain, in JSON, in a URL, in a Basic header. */
function formsOf(value: string): string[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64').replace(/=+$/, '');
  const coded = [value, `oauth2:${value}`, `:${value}`].map(base64);
  return [
    ...new Set([value, JSON.stringify(value).slice(1, -1), encodeURIComponent(value), ...coded, ...coded.map(urlSafe)]),
  ];
}

function urlSafe(base64: string): string {
  return base64.replaceAll('+', '-').replaceAll('/', '_');
}

// Applied to finished JSON lines: a pattern must stop at a quote or backslash, or it would break the line.
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\bgl(?:pat|oas|rt|dt|ptt|ft|cbt|soat|agent|imt)-[\w.-]{6,}/g, MASKED],
  [/oauth2:[^@\s"'\\]+/g, `oauth2:${MASKED}`],
  // base64 of "oauth2:", whatever follows.
  [/b2F1dGgyO[A-Za-z0-9+/_-]+={0,2}/g, MASKED],
  [/(authorization\\?["']?\s*[:=]\s*\\?["']?)(?:(?:basic|bearer|token)\s+)?[^\s"'\\,}]+/gi, `$1${MASKED}`],
  [/\b(bearer|basic)\s+[A-Za-z0-9+/_.~-]{8,}=*/gi, `$1 ${MASKED}`],
  [/(private-token\\?["']?\s*[:=]\s*\\?["']?)[^\s"'\\,}]+/gi, `$1${MASKED}`],
  // Not with a colon: `"code":"disk-full"` is the code of a problem.
  [/\b((?:code|state|code_verifier|password)(?:=|%3D))[^&\s"'\\,}]+/gi, `$1${MASKED}`],
  [
    /\b((?:access_token|refresh_token|client_secret|private_token)\\?["']?\s*[=:]\s*\\?["']?)[^&\s"'\\,}]+/gi,
    `$1${MASKED}`,
  ],
  [/(:\/\/[^/\s:@"'\\]*:)[^@\s/"'\\]+@/g, `$1${MASKED}@`],
];
