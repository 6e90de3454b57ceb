/**
 * Git over HTTPS: past the gate (git-gate.ts), git's own `git http-backend` does the work as a CGI child. So protocol v2,
 * gzip, chunked bodies and packs are the real thing.
 */
import type { Context, Next } from 'koa';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { level, rulePermits } from './access.ts';
import { authenticate, authorize, createByPush, GitRefusal, type Service } from './git-gate.ts';
import { fullPath, Level, webUrl, type ProjectRecord, type User } from './model.ts';
import { decodedPath } from './page-frame.ts';
import type { Practice } from './practice.ts';
import type { RefChange } from './repository.ts';

const route = /^\/(.+?)(\.git)?\/(info\/refs|git-upload-pack|git-receive-pack)$/;

export function gitMiddleware(practice: Practice) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const match = route.exec(decodedPath(ctx));
    if (!match) return next();
    const [, path = '', suffix, endpoint = ''] = match;
    const service = endpoint === 'info/refs' ? ctx.query['service'] : endpoint;
    if (service !== 'git-upload-pack' && service !== 'git-receive-pack') {
      ctx.status = 403;
      return;
    }
    if (endpoint === 'info/refs' && suffix === undefined) {
      ctx.status = 301;
      ctx.set('Location', `${practice.world.url}/${path}.git/info/refs?${ctx.querystring}`);
      return;
    }
    if (ctx.method !== (endpoint === 'info/refs' ? 'GET' : 'POST')) {
      ctx.status = 403;
      return;
    }
    try {
      const user = authenticate(practice, ctx, path, service);
      if (user && service === 'git-receive-pack') await createByPush(practice, user.user, path);
      const project = authorize(practice, { user: user?.user, scopes: user?.scopes ?? [] }, path, service);
      ctx.respond = false;
      const exchange: Exchange = {
        project,
        user: user?.user,
        service,
        path: `/${project.id}.git/${endpoint}`,
        asked: path,
      };
      const done = bridge(practice, ctx, exchange);
      // A push goes on when its client has hung up; quiet() is to wait for it too.
      practice.background(() => done);
      await done;
    } catch (error) {
      if (!(error instanceof GitRefusal)) throw error;
      ctx.status = error.status;
      ctx.type = 'text/plain';
      if (error.status === 401) ctx.set('WWW-Authenticate', 'Basic realm="GitLab"');
      ctx.body = error.message;
    }
  };
}

interface Exchange {
  readonly project: ProjectRecord;
  readonly user: User | undefined;
  readonly service: Service;
  /** Below the folder of repositories. */
  readonly path: string;
  /** The project path in the address, which may be an old one. */
  readonly asked: string;
}

async function bridge(practice: Practice, ctx: Context, exchange: Exchange): Promise<void> {
  const { git, home } = practice;
  const { req, res } = ctx;
  const receipt = join(home, `received-${randomUUID()}`);
  const child = git.spawn(['http-backend'], {
    GIT_PROJECT_ROOT: join(home, 'repositories'),
    GIT_HTTP_EXPORT_ALL: '1',
    PATH_INFO: exchange.path,
    REQUEST_METHOD: ctx.method,
    QUERY_STRING: ctx.querystring,
    CONTENT_TYPE: ctx.get('Content-Type'),
    REMOTE_ADDR: ctx.ip,
    // A chunked body has no length; http-backend then reads to the end.
    ...(ctx.get('Content-Length') === '' ? {} : { CONTENT_LENGTH: ctx.get('Content-Length') }),
    ...(ctx.get('Content-Encoding') === '' ? {} : { HTTP_CONTENT_ENCODING: ctx.get('Content-Encoding') }),
    ...(ctx.get('Git-Protocol') === ''
      ? {}
      : { HTTP_GIT_PROTOCOL: ctx.get('Git-Protocol'), GIT_PROTOCOL: ctx.get('Git-Protocol') }),
    ...(exchange.user ? { REMOTE_USER: exchange.user.username } : {}),
    ...(exchange.service === 'git-receive-pack' && ctx.method === 'POST'
      ? receiveRules(practice, exchange, receipt)
      : {}),
  });
  const closed = once(child, 'close').catch(() => []);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => (complaint += part));
  req.pipe(child.stdin);
  // A client that hangs up in the middle of its upload ends the input, as a broken connection would.
  req.once('close', () => {
    if (!req.complete) child.stdin.destroy();
  });

  let head = Buffer.alloc(0);
  let started = false;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (started) {
      await pass(res, chunk);
      continue;
    }
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) continue;
    started = true;
    startAnswer(ctx, head.subarray(0, end).toString('latin1'));
    await pass(res, head.subarray(end + 4));
  }
  await closed;
  if (!started && !res.headersSent) {
    res.statusCode = 500;
    res.setHeader('Content-Type', 'text/plain');
    res.write(Buffer.from(`git http-backend gave no answer: ${complaint}`));
  }
  // The books first, the last byte second: a client that has seen its push succeed may ask REST about it at once.
  await settle(practice, exchange, receipt);
  res.end();
}

/** Waits for a slow reader, but never for one that is gone: the work behind the answer is finished all the same. */
async function pass(res: Context['res'], chunk: Buffer): Promise<void> {
  if (chunk.length === 0 || res.destroyed || res.closed) return;
  if (res.write(chunk)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      res.off('drain', done).off('close', done);
      resolve();
    };
    res.once('drain', done).once('close', done);
  });
}

function startAnswer({ res }: Context, head: string): void {
  res.statusCode = 200;
  for (const line of head.split('\r\n')) {
    const colon = line.indexOf(':');
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).trim()];
    if (name.toLowerCase() === 'status') res.statusCode = Number.parseInt(value, 10);
    else if (colon > 0) res.setHeader(name, value);
  }
}

/** The branch rules for this person, for receive-hooks/pre-receive. */
function receiveRules(
  { world }: Practice,
  { project, user, asked }: Exchange,
  receipt: string,
): Record<string, string> {
  const at = level(world, user, project);
  const url = webUrl(world, project);
  const now = fullPath(project);
  const moved =
    asked.toLowerCase() === now.toLowerCase()
      ? ''
      : `Project '${asked}' was moved to '${now}'.\n\nPlease update your Git remote using:\n\n  git remote set-url origin ${url}.git`;
  return {
    PRACTICE_RECEIVED: receipt,
    PRACTICE_WEB_URL: url,
    PRACTICE_DEFAULT_BRANCH: project.defaultBranch,
    PRACTICE_MAINTAINER: at >= Level.maintainer ? 'yes' : 'no',
    PRACTICE_MOVED: moved,
    PRACTICE_LFS: world.settings.checkLfs ? [...project.lfs.keys(), 'checked'].join(' ') : '',
    PRACTICE_FIRST_PUSH_REFUSED:
      project.empty && at < Level.maintainer
        ? `A default branch (e.g. main) does not yet exist for ${now}. Ask a project Owner or Maintainer to create a default branch: ${url}`
        : '',
    PRACTICE_PROTECTED: project.protectedBranches
      .map((rule) => `${rulePermits(rule, at) ? 'yes' : 'no'} ${rule.allowForcePush ? 'yes' : 'no'} ${rule.pattern}`)
      .join('\n'),
  };
}

/** Reads what post-receive wrote down, and does what GitLab does after a push. */
async function settle(practice: Practice, { project, user }: Exchange, receipt: string): Promise<void> {
  const lines = (await readFile(receipt, 'utf8').catch(() => '')).split('\n');
  await rm(receipt, { force: true });
  if (!user) return;
  const refs: RefChange[] = [];
  const pushOptions: string[] = [];
  for (const line of lines) {
    const [kind, before = '', after = '', ...ref] = line.split(' ');
    if (kind === 'ref') refs.push({ before, after, ref: ref.join(' ') });
    if (kind === 'option') pushOptions.push(line.slice('option '.length));
  }
  await practice.afterReceive({ project, user, refs, pushOptions });
}
