import { Problem } from '../model/problem.ts';
import { pathBytes, type SitePath } from '../model/tree.ts';
import { pictureType } from './compare.ts';
import type { Context } from './context.ts';

/** A file of a site or a repository, to be saved and never to be opened here: it may be a page with a script. */
export function sendFile(ctx: Context, path: SitePath, content: Buffer, prefix = ''): void {
  lock(ctx);
  ctx.type = 'application/octet-stream';
  ctx.set('Content-Disposition', disposition(`${prefix}${nameOf(path)}`));
  ctx.body = content;
}

/** A picture for `<img>`, its type read from its bytes. Opened on its own it is a download all the same. */
export function sendPicture(ctx: Context, content: Buffer): void {
  const type = pictureType(content);
  if (type === undefined) throw new Problem('not-found', { what: 'picture' });
  lock(ctx);
  ctx.set('Content-Type', type);
  ctx.set('Content-Disposition', 'attachment');
  ctx.body = content;
}

function lock(ctx: Context): void {
  ctx.set('Content-Security-Policy', "default-src 'none'; sandbox");
  ctx.set('X-Content-Type-Options', 'nosniff');
  ctx.set('Cache-Control', 'private, no-store');
}

/** RFC 6266: a plain name for old readers, the exact one in UTF-8. */
function disposition(name: string): string {
  const plain = name.replace(/[^\w.-]/g, '_');
  const exact = encodeURIComponent(name.replace(/[\p{Cc}\p{Cf}]/gu, '_')).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`;
}

function nameOf(path: SitePath): string {
  const bytes = pathBytes(path);
  return bytes
    .subarray(bytes.lastIndexOf(0x2f) + 1)
    .toString('utf8')
    .replaceAll('\ufffd', '_');
}
