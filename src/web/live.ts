import { PassThrough } from 'node:stream';
import type { Reach } from '../model/account.ts';
import type { Numbered } from '../model/event.ts';
import type { WebDeps } from './deps.ts';
import { seenBy } from './seen.ts';

const heartbeatMs = 20_000;
/** A client this far behind is asleep: it is disconnected, and resumes from its last id when it wakes. */
const maxBehind = 256 * 1024;

/**
 * Events as server-sent events. They say only what changed, not how: the page asks for its parts anew, so nothing is
 * shown that the server did not render. `reader`: how far the reader reaches now, asked at every event; undefined ends
 * the stream, for the session or the token has ended.
 */
export function liveStream(
  deps: WebDeps,
  reader: () => Reach | undefined,
  sinceId: number | undefined,
  format: (event: Numbered) => string = changed,
): PassThrough {
  const stream = new PassThrough();
  let stop = (): void => {};
  const heart = setInterval(() => {
    if (!reader()) return end();
    stream.write(': here\n\n');
  }, heartbeatMs);
  heart.unref();
  function end(): void {
    clearInterval(heart);
    stop();
    stream.end();
  }
  stream.write('retry: 3000\n\n');
  stop = deps.events.follow(sinceId, (event) => {
    const reach = reader();
    if (!reach || stream.writableLength > maxBehind) return end();
    if (seenBy(deps, reach).isTold(event) && stream.writable) stream.write(format(event));
  });
  // What was caught up on may have ended it already.
  if (stream.writableEnded) stop();
  stream.once('close', end);
  stream.once('error', end);
  deps.stopping?.addEventListener('abort', end, { once: true });
  stream.once('close', () => deps.stopping?.removeEventListener('abort', end));
  return stream;
}

function changed(event: Numbered): string {
  const site = event.kind === 'act' ? (event.act.site ?? '') : event.site;
  return `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify({ site })}\n\n`;
}
