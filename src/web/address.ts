/**
 * Where browsers reach Mooring. Every link, redirect and cookie is made from the configured public URL; the request's
 * Host and X-Forwarded-* headers are never looked at, because anybody can write them.
 */
export interface Address {
  /** `https://mooring.example`, without the sub-path. */
  readonly origin: string;
  /** Sub-path without a final slash; empty at the root of a host. */
  readonly base: string;
  readonly secure: boolean;
  /** A path of ours (`/sites/x`) as the browser must ask for it. */
  link(path: string): string;
  /** The path inside Mooring that a request path means; a proxy may or may not have cut the sub-path off. */
  inside(path: string): string;
  /** `path` when it is safe to send somebody there, otherwise undefined. */
  known(path: unknown): string | undefined;
}

/** First parts of the pages somebody may be sent back to. */
const pages = new Set(['', 'sites', 'activity', 'account', 'attention', 'system', 'guide', 'docs']);

export function createAddress(publicUrl: string): Address {
  const url = new URL(publicUrl);
  const base = url.pathname.replace(/\/+$/, '');
  return {
    origin: url.origin,
    base,
    secure: url.protocol === 'https:',
    link: (path) => `${base}${path}`,
    inside: (path) =>
      base !== '' && (path === base || path.startsWith(`${base}/`)) ? path.slice(base.length) || '/' : path,
    known: (path) => (typeof path === 'string' && isKnown(path) ? path : undefined),
  };
}

/** `//evil`, `/\evil` and anything with control characters are read as other hosts by some browsers. */
function isKnown(path: string): boolean {
  if (!/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(path) || path.length > 2_000) return false;
  const url = new URL(path, 'http://here.invalid');
  if (url.origin !== 'http://here.invalid') return false;
  return pages.has(url.pathname.split('/')[1] ?? '') && !url.pathname.startsWith('//');
}

/** A web address of somebody else as it may stand in `href`; undefined for `javascript:` and the like. */
export function webUrl(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  return ['http:', 'https:'].includes(new URL(url).protocol) ? url : undefined;
}
