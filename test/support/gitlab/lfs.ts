/** GitLab's LFS over HTTPS: the batch question, the basic transfer, and the verification that other servers ask for. */
import type { Context, Next } from 'koa';
import { createHash } from 'node:crypto';
import { authenticate, authorize, GitRefusal, type Service } from './git-gate.ts';
import type { ProjectRecord } from './model.ts';
import { decodedPath } from './page-frame.ts';
import type { Practice } from './practice.ts';

const route = /^\/(.+?)\.git\/(?:info\/lfs\/objects\/(batch|verify)|gitlab-lfs\/objects\/([0-9a-f]{64})(?:\/(\d+))?)$/;
const json = 'application/vnd.git-lfs+json';

interface BatchRequest {
  readonly operation: 'download' | 'upload';
  readonly objects: readonly { readonly oid: string; readonly size: number }[];
}

export function lfsMiddleware(practice: Practice) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const match = route.exec(decodedPath(ctx));
    if (!match) return next();
    const [, path = '', question, oid = ''] = match;
    try {
      const body = await bodyOf(ctx);
      const asked = question ? (JSON.parse(body.toString()) as BatchRequest) : undefined;
      const writes = ctx.method === 'PUT' || asked?.operation === 'upload';
      const project = permitted(practice, ctx, path, writes ? 'git-receive-pack' : 'git-upload-pack');
      if (question === 'batch' && asked) return batch(practice, ctx, project, path, asked);
      if (question === 'verify') {
        const { oid: sha, size } = asked as unknown as { oid: string; size: number };
        ctx.status = project.lfs.get(sha)?.length === size ? 200 : 404;
        return;
      }
      if (ctx.method === 'PUT') return store(ctx, project, oid, body);
      const found = project.lfs.get(oid);
      ctx.status = found ? 200 : 404;
      if (!found) return;
      ctx.type = 'application/octet-stream';
      ctx.body = found;
    } catch (error) {
      if (!(error instanceof GitRefusal)) throw error;
      ctx.status = error.status;
      ctx.type = json;
      ctx.body = JSON.stringify({ message: error.message });
    }
  };
}

function permitted(practice: Practice, ctx: Context, path: string, service: Service): ProjectRecord {
  const user = authenticate(practice, ctx, path, service);
  return authorize(practice, { user: user?.user, scopes: user?.scopes ?? [] }, path, service);
}

function batch(practice: Practice, ctx: Context, project: ProjectRecord, path: string, asked: BatchRequest): void {
  // GitLab writes its configured address here, whatever the caller used.
  const base = `${practice.world.url}/${path}.git/gitlab-lfs/objects`;
  const header = { Authorization: ctx.get('Authorization') };
  const objects = asked.objects.map(({ oid, size }) => {
    const has = project.lfs.has(oid);
    if (asked.operation === 'download') {
      return has
        ? { oid, size, authenticated: true, actions: { download: { href: `${base}/${oid}`, header } } }
        : {
            oid,
            size,
            error: {
              code: 404,
              message: 'Object does not exist on the server or you don’t have permissions to access it',
            },
          };
    }
    const upload = {
      href: `${base}/${oid}/${size}`,
      header: { ...header, 'Content-Type': 'application/octet-stream' },
    };
    return {
      oid,
      size,
      ...(has
        ? {}
        : {
            authenticated: true,
            actions: { upload, verify: { href: `${practice.world.url}/${path}.git/info/lfs/objects/verify` } },
          }),
    };
  });
  ctx.status = 200;
  ctx.type = json;
  ctx.body = JSON.stringify({ transfer: 'basic', objects, hash_algo: 'sha256' });
}

function store(ctx: Context, project: ProjectRecord, oid: string, body: Buffer): void {
  const isIt = createHash('sha256').update(body).digest('hex') === oid;
  if (isIt) project.lfs.set(oid, body);
  ctx.status = isIt ? 200 : 422;
}

async function bodyOf(ctx: Context): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of ctx.req as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
