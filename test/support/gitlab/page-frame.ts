/** The frame around every page, the browser session behind it, and the forms' guard. */
import type { Context } from 'koa';
import { html, type Html } from './html.ts';
import { hex, type Session, type User, type World } from './model.ts';
import { input } from './rest-call.ts';

const cookieName = '_gitlab_session';

/** The sub-path, '' when GitLab sits at the root. */
export const basePath = (world: World): string => new URL(world.url).pathname.replace(/\/$/, '');

/** The path with its escapes undone; as it is where they are broken. */
export function decodedPath(ctx: Context): string {
  try {
    return decodeURIComponent(ctx.path);
  } catch {
    return ctx.path;
  }
}

/** The session of this browser; a new one, with its cookie, when there is none yet. */
export function sessionOf(world: World, ctx: Context): Session {
  const known = world.sessions.get(ctx.cookies.get(cookieName) ?? '');
  if (known) return known;
  return startSession(world, ctx, undefined);
}

/** Signing in changes the session id, so that an id known before is worth nothing after. */
export function startSession(world: World, ctx: Context, user: User | undefined): Session {
  const session: Session = { id: hex(16), csrf: hex(16), user, returnTo: undefined, notice: undefined };
  world.sessions.set(session.id, session);
  const secure = world.url.startsWith('https:');
  // What stands before GitLab may end the TLS: the browser's side of it is encrypted all the same.
  ctx.cookies.secure = secure;
  ctx.cookies.set(cookieName, session.id, {
    httpOnly: true,
    sameSite: 'lax',
    path: basePath(world) || '/',
    secure,
    overwrite: true,
  });
  return session;
}

/** The signed-in user; otherwise the browser is sent to the sign-in page and comes back afterwards. */
export function requireUser(world: World, ctx: Context): { user: User; session: Session } | undefined {
  const session = sessionOf(world, ctx);
  if (session.user && !session.user.blocked) return { user: session.user, session };
  if (ctx.method === 'GET') session.returnTo = ctx.url;
  ctx.redirect(`${basePath(world)}/users/sign_in`);
  return undefined;
}

export const csrfField = (session: Session): Html =>
  html`<input type="hidden" name="authenticity_token" value="${session.csrf}" />`;

/** True when the form was ours; else the answer is written already. */
export function formIsOurs(world: World, ctx: Context, session: Session): boolean {
  if (input(ctx)['authenticity_token'] === session.csrf) return true;
  ctx.status = 422;
  sendPage(
    world,
    ctx,
    'The change you requested was rejected',
    html`<p>The form was too old. Go back and try again.</p>`,
  );
  return false;
}

export function sendPage(world: World, ctx: Context, title: string, content: Html, head?: Html): void {
  const session = sessionOf(world, ctx);
  const base = basePath(world);
  const { notice, user } = session;
  session.notice = undefined;
  ctx.type = 'html';
  ctx.set('Content-Security-Policy', "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'");
  const nav = user
    ? html`<a href="${base}/">Projects</a> <a href="${base}/projects/new">New project</a>
        <a href="${base}/-/user_settings/applications">Applications</a>
        <a href="${base}/admin/application_settings/network">Network</a>
        <form method="post" action="${base}/users/sign_out">
          ${csrfField(session)}<span>${user.name}</span> <button class="plain">Sign out</button>
        </form>`
    : html`<a href="${base}/users/sign_in">Sign in</a>`;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} · Practice GitLab</title>
        <link rel="stylesheet" href="${base}/-/practice.css" />
        ${head}
      </head>
      <body>
        <header>
          <a class="brand" href="${base}/">Practice GitLab</a>
          <nav aria-label="Main">${nav}</nav>
        </header>
        <aside class="label" aria-label="About this site">
          A stand-in for trying things out. Not the real GitLab; everything is forgotten when it stops.
        </aside>
        <main>
          ${notice === undefined ? '' : html`<p class="notice" role="status">${notice}</p>`}
          <h1>${title}</h1>
          ${content}
        </main>
      </body>
    </html>`;
  ctx.body = page.text;
}
