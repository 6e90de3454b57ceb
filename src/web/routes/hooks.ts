import type { IncomingMessage } from 'node:http';
import type { Router } from '@koa/router';
import type { DeliveryVerifier } from '../../model/delivery-verifier.ts';
import type { Context, WebContext, State } from '../context.ts';

/** GitLab's own limit is 25 MiB: what it sends is heard to the end, or it would count a failure and give the hook up. */
const genuine = { maxBytes: 25 * 1024 * 1024, maxMs: 50_000 };
const anybody = { maxBytes: 1024 * 1024, maxMs: 10_000 };

/** GitLab's call after a push: raw bytes to the trigger, an answer at once, nothing about the site in the answer. */
export function hooks(router: Router<State>, { deps }: WebContext): void {
  const heard = async (ctx: Context, verifier: DeliveryVerifier): Promise<void> => {
    const refusal = await listen(ctx.req, verifier);
    ctx.type = 'json';
    ctx.body = '{}';
    if (refusal !== undefined) {
      ctx.status = refusal;
      ctx.set('Connection', 'close');
      return;
    }
    ctx.status = verifier.end() === 'accepted' ? 200 : 401;
  };
  router.post('/hooks/gitlab', (ctx) => heard(ctx, deps.systemHook(ctx.headers)));
  router.post('/hooks/gitlab/:site', (ctx) => heard(ctx, deps.webhook(ctx.params['site'] ?? '', ctx.headers)));
}

/** Hands over the body as it comes. Undefined when it came whole, else why not: too large, too slow, broken off. */
async function listen(request: IncomingMessage, verifier: DeliveryVerifier): Promise<number | undefined> {
  const { maxBytes, maxMs } = verifier.trusted ? genuine : anybody;
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return 413;
  let size = 0;
  return new Promise((resolve) => {
    const end = (refusal?: number): void => {
      clearTimeout(timer);
      request.off('data', take);
      request.pause();
      resolve(refusal);
    };
    const take = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > maxBytes) return end(413);
      verifier.take(chunk);
    };
    const timer = setTimeout(() => end(408), maxMs);
    request.on('data', take);
    request.once('end', () => end());
    request.once('error', () => end(400));
    request.once('close', () => end(400));
  });
}
