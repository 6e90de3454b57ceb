import type { IncomingMessage } from 'node:http';
import type { Router } from '@koa/router';
import type { Context, Room, State } from '../context.ts';

const maxBytes = 1024 * 1024;
const maxMs = 10_000;

/** GitLab's call after a push: raw bytes to the trigger, an answer at once, nothing about the site in the answer. */
export function hooks(router: Router<State>, { deps }: Room): void {
  const heard = async (ctx: Context, judge: (body: Buffer) => 'accepted' | 'refused'): Promise<void> => {
    const body = await readBody(ctx.req);
    ctx.type = 'json';
    ctx.body = '{}';
    if ('status' in body) {
      ctx.status = body.status;
      ctx.set('Connection', 'close');
      return;
    }
    ctx.status = judge(body) === 'accepted' ? 200 : 401;
  };
  router.post('/hooks/gitlab', (ctx) => heard(ctx, (body) => deps.systemHook(ctx.headers, body)));
  router.post('/hooks/gitlab/:site', (ctx) =>
    heard(ctx, (body) => deps.webhook(ctx.params['site'] ?? '', ctx.headers, body)),
  );
}

/** The whole body, or why not: too large, too slow, broken off. */
async function readBody(request: IncomingMessage): Promise<Buffer | { readonly status: number }> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return { status: 413 };
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((resolve) => {
    const end = (result: Buffer | { readonly status: number }): void => {
      clearTimeout(timer);
      request.off('data', take);
      request.pause();
      resolve(result);
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) return end({ status: 413 });
      chunks.push(chunk);
    };
    const timer = setTimeout(() => end({ status: 408 }), maxMs);
    request.on('data', take);
    request.once('end', () => end(Buffer.concat(chunks)));
    request.once('error', () => end({ status: 400 }));
    request.once('close', () => end({ status: 400 }));
  });
}
