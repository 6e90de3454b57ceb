/** What the tests of the practice GitLab share: one started and stopped around each, and a git client like a person's. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import * as assert from 'uvu/assert';
import { exampleWorld, type Example } from './example.ts';
import { startGitLab, type GitLab, type GitLabOptions } from './server.ts';

export interface Trial {
  readonly gitlab: GitLab;
  readonly world: Example;
  /** A REST call; ana's token unless told otherwise. */
  readonly rest: (path: string, options?: RestOptions) => Promise<RestAnswer>;
  /** Runs git in a scratch folder. */
  readonly git: (args: string[], env?: Record<string, string>) => Promise<GitOutcome>;
  /** Writes a clone address with credentials in it. */
  readonly withToken: (url: string, token: string) => string;
  /** The scratch folder. */
  readonly folder: string;
}

interface RestOptions {
  readonly method?: string;
  readonly token?: string | null;
  readonly body?: object;
}

interface RestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

interface GitOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `run` in the example world. Ends with: nothing broke inside, and no answer broke GitLab's schemas. */
export async function trial(run: (given: Trial) => Promise<void>, options: GitLabOptions = {}): Promise<void> {
  const gitlab = await startGitLab(options);
  const folder = await mkdtemp(join(tmpdir(), 'practice-trial-'));
  try {
    const world = await exampleWorld(gitlab);
    const ana = gitlab.tokens.add('ana', ['api']);
    await gitlab.quiet();
    await run({
      ...{ gitlab, world, folder },
      rest: async (path, { method = 'GET', token = ana, body } = {}) => {
        const response = await fetch(`${gitlab.url}/api/v4${path}`, {
          method,
          redirect: 'manual',
          headers: {
            ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
            ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const answer = await response.text();
        const json = response.headers.get('content-type')?.includes('json') ?? false;
        return {
          status: response.status,
          headers: response.headers,
          body: json ? (JSON.parse(answer) as unknown) : answer,
        };
      },
      git: (args, env = {}) => runGit(folder, args, env),
      withToken: (url, token) => url.replace('://', `://oauth2:${token}@`),
    });
    await gitlab.quiet();
    assert.equal(gitlab.errors, []);
    assert.equal(gitlab.violations, []);
  } finally {
    await gitlab.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function runGit(folder: string, args: string[], extra: Record<string, string>): Promise<GitOutcome> {
  const identity = { GIT_AUTHOR_NAME: 'Ana', GIT_AUTHOR_EMAIL: 'ana@harbour.example' };
  const child = spawn('git', args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...{ PATH: process.env['PATH'], HOME: folder, LC_ALL: 'C.UTF-8', GIT_TERMINAL_PROMPT: '0' },
      ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null', ...identity },
      ...{ GIT_COMMITTER_NAME: 'Ana', GIT_COMMITTER_EMAIL: 'ana@harbour.example', ...extra },
    },
  });
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout, stderr };
}

export interface Receiver {
  readonly url: string;
  readonly received: { headers: http.IncomingHttpHeaders; body: string }[];
  /** What it answers; 200 at first. */
  status: number;
  stop(): Promise<void>;
}

/** Something to send webhooks to. */
export async function startReceiver(): Promise<Receiver> {
  const received: Receiver['received'] = [];
  const server = http.createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) });
    response.writeHead(receiver.status).end('noted');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks/gitlab`,
    received,
    status: 200,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}
