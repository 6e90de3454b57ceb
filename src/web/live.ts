import { PassThrough } from 'node:stream';
import type { Numbered } from '../model/event.ts';
import type { WebDeps } from './deps.ts';

const heartbeatMs = 20_000;
/** A client this far behind is asleep: it is disconnected, and resumes from its last id when it wakes. */
const maxBehind = 256 * 1024;

/**
 * Events as server-sent events. They say only what changed, not how: the page asks for its parts anew, so nothing is
 * shown that the server did not render. Ends when the session does.
 */
export function liveStream(deps: WebDeps, sessionId: string, sinceId: number | undefined): PassThrough {
  const stream = new PassThrough();
  stream.write('retry: 3000\n\n');
  const stop = deps.events.follow(sinceId, (event) => {
    if (stream.writableLength > maxBehind) return end();
    stream.write(format(event));
  });
  const heart = setInterval(() => {
    if (!deps.sessions.find(sessionId)) return end();
    stream.write(': here\n\n');
  }, heartbeatMs);
  heart.unref();
  const end = (): void => {
    clearInterval(heart);
    stop();
    stream.end();
  };
  stream.once('close', end);
  stream.once('error', end);
  deps.stopping?.addEventListener('abort', end, { once: true });
  stream.once('close', () => deps.stopping?.removeEventListener('abort', end));
  return stream;
}

function format(event: Numbered): string {
  const site = event.kind === 'act' ? (event.act.site ?? '') : event.site;
  return `id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify({ site })}\n\n`;
}
