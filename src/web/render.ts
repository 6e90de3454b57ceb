import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import nunjucks from 'nunjucks';
import type { Problem, ProblemCode } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { escapeControls, escapeLines, shortened } from '../model/tree.ts';
import { rawOf } from './words.ts';
import type { Address } from './address.ts';
import type { Context, Notice, WebContext } from './context.ts';
import type { WebDeps } from './deps.ts';
import { wayOut } from './failure.ts';
import { createFlash } from './flash.ts';
import { createPending } from './pending.ts';
import { formToken } from './session.ts';
import { readTheme } from './routes/theme.ts';
import { when } from './times.ts';

export const publicFolder = fileURLToPath(new URL('../../public', import.meta.url));
const viewsFolder = fileURLToPath(new URL('../../views', import.meta.url));

/** Nunjucks, and what every page receives beside its own model. */
export function createWebContext(deps: WebDeps, address: Address, mayUse: MayUse): WebContext {
  const views = environment(address);
  const flash = createFlash();
  const web: WebContext = {
    deps,
    address,
    pending: createPending(),
    render(ctx, template, model, status = 200) {
      const shared = frame(ctx, deps, address, mayUse);
      // Script that follows a redirect throws the page away: the notice waits for the one that is seen.
      const seen = askedPart(ctx) === 'page' && ctx.state.sessionId !== undefined;
      const notice = seen ? flash.take(ctx.state.sessionId ?? '') : undefined;
      ctx.status = status;
      ctx.type = 'html';
      ctx.set('Cache-Control', 'no-store');
      ctx.vary('X-Part');
      ctx.body = views.render(template, { ...shared, notice: notice ?? null, ...model });
    },
    showProblem: (ctx, problem, status) => showProblem(web, ctx, problem, status),
    redirect(ctx, path, notice?: Notice) {
      if (notice && ctx.state.sessionId !== undefined) flash.put(ctx.state.sessionId, notice);
      ctx.status = 303;
      ctx.redirect(address.link(path));
    },
  };
  return web;
}

/** Which frame a page is asked for in: the whole, its live parts, or the inside of a dialog. */
function askedPart(ctx: Context): 'page' | 'live' | 'dialog' {
  const part = ctx.get('X-Part');
  return part === 'live' || part === 'dialog' ? part : 'page';
}

function environment(address: Address): nunjucks.Environment {
  const loader = new nunjucks.FileSystemLoader(viewsFolder, { watch: false, noCache: false });
  const views = new nunjucks.Environment(loader, { autoescape: true, throwOnUndefined: true });
  for (const name of ['app.css', 'app.js', 'icons.svg', 'mark.svg']) {
    views.addGlobal(name.replace('.', '_'), address.link(`/${name}?v=${digest(name)}`));
  }
  views.addGlobal('base', address.base);
  views.addFilter('short', (text: unknown) => shortened(String(text)));
  // All at once: a template that does not compile fails at the start. Found only when it is included, nunjucks throws
  // the error outside of every request, and the process ends.
  for (const name of readdirSync(viewsFolder, { recursive: true, encoding: 'utf8' })) {
    if (name.endsWith('.njk')) views.getTemplate(name.replaceAll('\\', '/'), true);
  }
  return views;
}

/** The address changes with the content, so browsers may keep the file for ever. */
function digest(name: string): string {
  return createHash('sha256')
    .update(readFileSync(`${publicFolder}/${name}`))
    .digest('base64url')
    .slice(0, 10);
}

/** Whether whoever sent a request may use a page or a form. */
type MayUse = (ctx: Context, asked: { readonly method: string; readonly path: string }) => boolean;

function frame(ctx: Context, deps: WebDeps, address: Address, mayUse: MayUse): Record<string, unknown> {
  const part = askedPart(ctx);
  const asked = (method: string) => (href: string) =>
    mayUse(ctx, { method, path: address.inside(href.replace(/[?#].*$/s, '')) });
  return {
    shell: part === 'live' ? 'shells/live.njk' : 'shells/page.njk',
    askShell: part === 'dialog' ? 'shells/ask-dialog.njk' : 'shells/ask-page.njk',
    token: formToken(ctx, deps, address),
    account: ctx.state.session ? escapeControls(ctx.state.session.accountName) : '',
    // Templates show no link and no button that leads to a refusal.
    may: { open: asked('GET'), post: asked('POST') },
    theme: readTheme(ctx),
    version: deps.about.version,
    here: address.known(pageOf(address.inside(ctx.url))) ?? '/',
    nav: '',
    live: '',
    clock: when(deps.now(), deps.now()),
  };
}

/** The page that a live part belongs to: its forms must lead back to the whole and not to the part. */
function pageOf(url: string): string {
  if (/^\/sites\/[^/?]+\/live\?view=syncing/.test(url)) return url.replace(/\/live\?.*$/, '/settings/syncing');
  return url.replace(/^(\/sites\/[^/?]+)?\/live(?=\?|$)/, (_whole, site?: string) => site ?? '/');
}

const aboutTheUser = new Set<ProblemCode>(['project-missing', 'project-not-yours', 'push-not-allowed']);

function showProblem(web: WebContext, ctx: Context, problem: Problem, status?: number): void {
  const facts = problem.toFacts();
  const words = describe(facts);
  const { site, session } = ctx.state;
  const out = wayOut(problem.code);
  const back = site
    ? { name: escapeControls(site.name), href: web.address.link(`/sites/${site.id}/settings/syncing`) }
    : null;
  if (facts.retryAfterMs !== undefined) ctx.set('Retry-After', String(Math.ceil(facts.retryAfterMs / 1_000)));
  web.render(
    ctx,
    askedPart(ctx) === 'dialog' ? 'pages/problem-dialog.njk' : 'pages/problem.njk',
    {
      code: problem.code,
      title: escapeControls(words.title),
      happened: escapeControls(words.happened),
      untouched: escapeControls(words.untouched),
      todo: escapeControls(words.todo),
      cause: rawOf(facts, words.happened),
      facts: Object.entries(facts.facts).map(([name, value]) => ({
        name: escapeControls(name),
        value: escapeLines(value),
      })),
      signedIn: session !== undefined,
      out,
      back,
      // Only where another user's connection would help: the site keeps the one it has until that works.
      reconnect: site?.binding && aboutTheUser.has(problem.code) ? web.address.link(`/sites/${site.id}/reconnect`) : '',
    },
    status ?? words.status,
  );
}
