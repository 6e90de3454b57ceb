import helmet from 'helmet';
import type { Address } from './address.ts';
import type { Context, Next } from './context.ts';
import type { WebDeps } from './deps.ts';

/** The headers that keep a page ours: no inline script or style, no frames, no guessing of types. */
export function securityHeaders(deps: WebDeps, address: Address) {
  const protect = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'none'"],
        'style-src': ["'self'"],
        'script-src': ["'self'"],
        'img-src': ["'self'", 'data:'],
        'connect-src': ["'self'"],
        // Chromium applies form-action to redirects too, and Connect is a form that ends at GitLab.
        'form-action': [() => ["'self'", ...gitlabOrigin(deps)].join(' ')],
        'base-uri': ["'none'"],
        'frame-ancestors': ["'none'"],
      },
    },
    // With no-referrer a browser sends `Origin: null` with our own forms. Where it also sends no Sec-Fetch-Site (plain
    // http on a real host name) nothing would be left to recognise them by; same-origin tells other hosts no more.
    referrerPolicy: { policy: sendsFetchMetadata(address) ? 'no-referrer' : 'same-origin' },
    strictTransportSecurity: address.secure ? { maxAge: 31_536_000, includeSubDomains: false } : false,
    crossOriginEmbedderPolicy: false,
    xXssProtection: false,
    xFrameOptions: { action: 'deny' },
  });
  return async (ctx: Context, next: Next): Promise<void> => {
    await new Promise<void>((done, fail) => {
      protect(ctx.req, ctx.res, (error?: unknown) => (error === undefined ? done() : fail(error as Error)));
    });
    ctx.set('Permissions-Policy', 'camera=(), geolocation=(), microphone=()');
    await next();
  };
}

function gitlabOrigin(deps: WebDeps): readonly string[] {
  const url = deps.instance.get()?.authorizeUrl;
  return url !== undefined && URL.canParse(url) ? [new URL(url).origin] : [];
}

function sendsFetchMetadata(address: Address): boolean {
  const { hostname } = new URL(address.origin);
  return address.secure || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
