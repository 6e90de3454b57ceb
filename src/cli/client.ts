import { type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { CliError, exit, exitOfStatus } from './exit.ts';

/** Asks the daemon over its own socket. Every method throws a {@link CliError} for an answer that is no success. */
export interface Client {
  get<T>(path: string): Promise<T>;
  /** `POST`, or another method that changes something. An answer without content is `undefined`. */
  send<T>(path: string, body?: unknown, options?: SendOptions): Promise<T>;
  /** The same with the status, where two of them are a success. */
  ask<T>(path: string, body?: unknown, options?: SendOptions): Promise<Answer<T>>;
  /** An answer of any length, as it comes; what is cut short ends with an error. */
  stream(path: string): Promise<IncomingMessage>;
  /** Server-sent events as they come, until the daemon ends the stream or `signal` aborts. */
  events(path: string, signal: AbortSignal, onEvent: (event: ServerEvent) => void): Promise<void>;
}

export interface Answer<T> {
  readonly status: number;
  readonly body: T;
}

export interface SendOptions {
  readonly method?: 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ServerEvent {
  readonly id: string;
  readonly kind: string;
  readonly data: string;
}

export function createClient(stateDir: string): Client {
  // As `socketPath` of the daemon; importing it would load what only the daemon needs.
  const socketPath = join(stateDir, 'run', 'mooring.sock');

  async function call<T>(
    method: string,
    path: string,
    body: unknown,
    headers: SendOptions['headers'],
  ): Promise<Answer<T>> {
    const answer = await ask(socketPath, { method, path, body, headers });
    const text = await textOf(answer);
    const status = answer.statusCode ?? 500;
    if (status >= 400) throw refusal(status, text);
    return { status, body: (text === '' ? undefined : parse(text)) as T };
  }

  return {
    get: async <T>(path: string) => (await call<T>('GET', path, undefined, {})).body,
    send: async <T>(path: string, body?: unknown, { method = 'POST', headers = {} }: SendOptions = {}) =>
      (await call<T>(method, path, body, headers)).body,
    ask: (path, body, { method = 'POST', headers = {} } = {}) => call(method, path, body, headers),
    async stream(path) {
      const answer = await ask(socketPath, { method: 'GET', path, signal: new AbortController().signal });
      if (answer.statusCode !== 200) throw refusal(answer.statusCode ?? 500, await textOf(answer));
      return answer;
    },
    async events(path, signal, onEvent) {
      const answer = await ask(socketPath, { method: 'GET', path, headers: { Accept: 'text/event-stream' }, signal });
      if (answer.statusCode !== 200) throw refusal(answer.statusCode ?? 500, await textOf(answer));
      await readEvents(answer, onEvent).catch((error: unknown) => {
        if (!signal.aborted) throw error;
      });
    },
  };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal;
}

function ask(socketPath: string, { method, path, body, headers, signal }: Asked): Promise<IncomingMessage> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const typed =
    text === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) };
  return new Promise((resolve, reject) => {
    const asked = request(
      { socketPath, method, path, agent: false, headers: { ...typed, ...headers }, ...(signal ? { signal } : {}) },
      resolve,
    );
    asked.once('error', (error: NodeJS.ErrnoException) => reject(unreachable(error, socketPath)));
    // What changes something may take as long as it takes; events come when they come.
    if (method === 'GET' && !signal) asked.setTimeout(answerMs, () => asked.destroy(mute()));
    asked.end(text);
  });
}

/** A check of the set-up asks GitLab several times. */
const answerMs = 180_000;

function mute(): CliError {
  const happened = `The daemon has not answered for ${answerMs / 60_000} minutes.`;
  return new CliError(exit.tryAgain, happened, 'Look at its log and at the load of the machine.', 'no-answer');
}

function unreachable(error: NodeJS.ErrnoException, socketPath: string): Error {
  switch (error.code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new CliError(
        exit.unavailable,
        `No daemon answers at ${socketPath}.`,
        'Start it with “mooring serve”, or name its state directory with --state or MOORING_STATE.',
        'not-running',
      );
    case 'EACCES':
    case 'EPERM':
      return new CliError(
        exit.notAllowed,
        `You have no permission to open ${socketPath}.`,
        'Run the command as the daemon’s user, for example with “sudo -u mooring”, or as root.',
        'not-allowed',
      );
    case 'ECONNRESET':
    case 'EPIPE':
      return new CliError(exit.tryAgain, 'The daemon stopped before it answered.', 'Try again.', 'stopped');
    default:
      return error;
  }
}

/** What the API says of an error, as its description has it. */
interface ApiError {
  readonly error?: {
    readonly code?: string;
    readonly title?: string;
    readonly happened?: string;
    readonly todo?: string;
    readonly fields?: Readonly<Record<string, string>>;
  };
}

function refusal(status: number, text: string): CliError {
  const { error } = (parse(text) ?? {}) as ApiError;
  const fields = Object.entries(error?.fields ?? {}).map(([name, why]) => `${name}: ${why}`);
  const happened = [error?.title, fields.length > 0 ? fields.join(' ') : error?.happened]
    .filter(Boolean)
    .join('. ')
    .replace(/([.?!])\. /, '$1 ');
  return new CliError(
    exitOfStatus(status, error?.code),
    happened || `The daemon answered ${status}.`,
    // The API's own advice is for programs.
    error?.code === 'request-invalid' ? 'Correct it, and run the command again.' : (error?.todo ?? ''),
    error?.code,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function textOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch (error) {
    throw unreachable(error as NodeJS.ErrnoException, '');
  }
  return Buffer.concat(chunks).toString();
}

/** As the standard of server-sent events has them: `field: value` lines, an empty line ends an event. */
async function readEvents(answer: IncomingMessage, onEvent: (event: ServerEvent) => void): Promise<void> {
  answer.setEncoding('utf8');
  let rest = '';
  for await (const chunk of answer) {
    const blocks = `${rest}${String(chunk)}`.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line): [string, string] => {
          const at = line.indexOf(':');
          return [line.slice(0, at), line.slice(at + 1).replace(/^ /, '')];
        }),
      );
      const data = fields.get('data');
      if (data !== undefined) onEvent({ id: fields.get('id') ?? '', kind: fields.get('event') ?? 'message', data });
    }
  }
}
