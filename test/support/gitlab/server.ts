/**
 * The practice GitLab: a real HTTP server with real git behind it, for tests and for `npm run demo`.
 * It obeys what is known of GitLab 15 to 19 from its sources and schemas; what it leaves out, it answers with 404.
 */
import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import Koa from 'koa';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterReceive } from './actions.ts';
import { createControl, type Control } from './control.ts';
import { answer, answersItself, createFaults, spoil, type FaultRule, type Faults, type SeenRequest } from './faults.ts';
import { createGit } from './git.ts';
import { gitMiddleware } from './git-http.ts';
import { lfsMiddleware } from './lfs.ts';
import { createWorld, type Settings } from './model.ts';
import { addAuthorizeRoutes } from './oauth-authorize.ts';
import { addTokenRoutes } from './oauth-token.ts';
import { addPages } from './pages.ts';
import type { Practice, WebhookDelivery } from './practice.ts';
import { restEnd, restGuard, restRouter } from './rest.ts';
import { restore, save, type SavedGitLab } from './saved.ts';
import type { Violation } from './schema-check.ts';

export { Level } from './model.ts';
export type { Project } from './control.ts';
export type { SeenRequest } from './faults.ts';
export type { User } from './model.ts';

export interface GitLabOptions {
  /** A spare one when absent. */
  readonly port?: number;
  /** 127.0.0.1 when absent. */
  readonly host?: string;
  /** A relative URL install, e.g. `/gitlab`. */
  readonly basePath?: string;
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
  /** What GitLab believes its address to be, where a proxy or another name stands before it. Sub-path included. */
  readonly externalUrl?: string;
  /** Where repositories are kept. A temporary folder, removed by stop(), when absent. */
  readonly dataDir?: string;
  readonly allowLocalWebhooks?: boolean;
  readonly tokenLifetimeSeconds?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly version?: string;
  /** What a GitLab before this one was; its repositories lie in `dataDir` already, or are copied from `from`. */
  readonly saved?: SavedGitLab;
  readonly from?: string;
}

export interface GitLab extends Control {
  /** The base URL, sub-path included, without a final slash. */
  readonly url: string;
  /** Where it really listens; differs from `url` only with an `externalUrl`. */
  readonly listenUrl: string;
  /** Closes every connection, ends every git and every delivery, removes the temporary folder. May be called twice. */
  stop(): Promise<void>;
  /** Resolves when no webhook is under way any more. */
  quiet(): Promise<void>;
  readonly faults: Faults;
  /** Every request since the start, headers unhidden. Setting its length to 0 starts afresh. */
  readonly requests: SeenRequest[];
  /** Every webhook sent, blocked or lost. */
  readonly webhookDeliveries: WebhookDelivery[];
  readonly settings: Settings;
  /** All that `saved` needs to begin where this one is, with these projects. */
  save(projects: readonly { readonly id: number }[]): SavedGitLab;
  /** Our own answers that broke GitLab's schemas: a test asserts that there are none. */
  readonly violations: readonly Violation[];
  /** What went wrong inside, for a test to look at; also printed. */
  readonly errors: readonly unknown[];
}

export async function startGitLab(options: GitLabOptions = {}): Promise<GitLab> {
  const home = options.dataDir ? resolve(options.dataDir) : await mkdtemp(join(tmpdir(), 'practice-gitlab-'));
  if (options.from) await cp(options.from, home, { recursive: true });
  await mkdir(join(home, 'repositories'), { recursive: true });
  const base = (options.basePath ?? '').replace(/\/+$/, '');
  const world = createWorld({
    version: options.version ?? '18.5.1',
    tokenLifetimeSeconds: options.tokenLifetimeSeconds ?? 7200,
    now: options.now ?? Date.now,
    settings: {
      ...{ allowLocalWebhooks: options.allowLocalWebhooks ?? false, signsWebhooks: true, mostHooks: Infinity },
      ...{ mostCounted: 10_000, checkLfs: false },
    },
  });
  if (options.saved) restore(world, home, options.saved);
  const git = createGit(home);
  const faults = createFaults();
  const requests: SeenRequest[] = [];
  const errors: unknown[] = [];
  const rules = new WeakMap<http.IncomingMessage, FaultRule>();
  const stopping = new AbortController();
  const underWay = new Set<Promise<void>>();

  const practice: Practice = {
    ...{ world, git, home, violations: [], deliveries: [] },
    ruleFor: (request) => rules.get(request),
    background(work) {
      const done = work(stopping.signal)
        .catch((error: unknown) => void (stopping.signal.aborted || errors.push(error)))
        .finally(() => underWay.delete(done));
      underWay.add(done);
    },
    afterReceive: (received) => afterReceive(practice, received),
  };

  const handle = createApp(practice, errors).callback();
  const listener = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const url = request.url ?? '/';
    const seen: SeenRequest = {
      at: world.now(),
      method: request.method ?? 'GET',
      path: url.replace(/\?.*$/s, ''),
      url,
      headers: request.headers,
      status: 0,
    };
    requests.push(seen);
    response.once('close', () => {
      if (response.headersSent) seen.status = response.statusCode;
    });
    const rule = faults.take(seen);
    if (rule) {
      rules.set(request, rule);
      if (rule.delayMs !== undefined) await sleep(rule.delayMs, undefined, { signal: stopping.signal }).catch(() => {});
      // The client left in the middle of its upload, or the test is over: there is nothing to be done any more.
      if (stopping.signal.aborted || (response.destroyed && !request.complete)) return void response.destroy();
      spoil(rule, response);
      if (answersItself(rule)) {
        request.resume();
        return answer(rule, response);
      }
    }
    if (base !== '' && url !== base && !url.startsWith(`${base}/`) && !url.startsWith(`${base}?`)) {
      response
        .writeHead(404, { 'Content-Type': 'text/plain' })
        .end(Buffer.from('Nothing here: GitLab lives below ' + base));
      return;
    }
    request.url = url.slice(base.length).replace(/^(?!\/)/, '/');
    await handle(request, response);
  };
  const onRequest = (request: http.IncomingMessage, response: http.ServerResponse): void => {
    listener(request, response).catch((error: unknown) => {
      errors.push(error);
      response.destroy();
    });
  };
  const server = options.tls ? https.createServer({ ...options.tls }, onRequest) : http.createServer(onRequest);
  const host = options.host ?? '127.0.0.1';
  server.listen(options.port ?? 0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const listenUrl = `${options.tls ? 'https' : 'http'}://${shownHost}:${port}${base}`;
  world.url = options.externalUrl?.replace(/\/+$/, '') ?? listenUrl;

  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopping.abort();
    const closed = new Promise((done) => server.close(done));
    server.closeAllConnections();
    await git.stop();
    await closed;
    await Promise.all(underWay);
    if (!options.dataDir) await rm(home, { recursive: true, force: true });
  };

  return {
    ...createControl(practice),
    url: world.url,
    listenUrl,
    stop: () => (stopped ??= stop()),
    async quiet() {
      while (underWay.size > 0) await Promise.all(underWay);
    },
    ...{ faults, requests, webhookDeliveries: practice.deliveries, violations: practice.violations },
    save: (projects) => save(world, (id) => projects.some((project) => project.id === id)),
    ...{ settings: world.settings, errors },
  };
}

function createApp(practice: Practice, errors: unknown[]): Koa {
  const app = new Koa();
  app.on('error', (error: NodeJS.ErrnoException) => {
    // A client that hangs up is its own affair.
    if (['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE'].includes(error.code ?? '')) return;
    errors.push(error);
    console.error('practice GitLab:', error);
  });
  const oauth = new Router();
  addAuthorizeRoutes(oauth, practice);
  addTokenRoutes(oauth, practice);
  const rest = restRouter(practice);
  // Git first: its bodies are streams that no parser may touch.
  app.use(lfsMiddleware(practice));
  app.use(gitMiddleware(practice));
  app.use(restGuard());
  app.use(bodyParser({ formLimit: '10mb', jsonLimit: '10mb', parsedMethods: ['POST', 'PUT', 'PATCH', 'DELETE'] }));
  app.use(rest.routes()).use(restEnd);
  app.use(oauth.routes());
  addPages(app, practice);
  return app;
}
