import type { Router } from '@koa/router';
import type { KeptVersion } from '../../model/plan.ts';
import { Problem } from '../../model/problem.ts';
import type { Site } from '../../model/site.ts';
import { displayPath, pathBytes, sitePath, type SitePath } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { fields } from '../form.ts';
import { pageNumber, pages } from '../paging.ts';
import { sendFile } from '../send-file.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { bytes, count, number, when } from '../times.ts';
import { keptWords } from '../words.ts';
import { accountName } from '../session.ts';

const day = 86_400_000;
const perPage = 50;

/** Kept versions: the list, the files of one version, and restoring them. */
export function kept(router: Router<State>, web: WebContext): void {
  const { deps, address } = web;

  router.get('/sites/:id/kept', async (ctx) => {
    const site = siteOf(ctx, web);
    const all = [...(await deps.decisions.kept(site.id))].sort((a, b) => b.at - a.at);
    const query = fields(ctx.query);
    const q = (query['q'] ?? '').trim().slice(0, 200);
    const asked = pageNumber(query['page']);
    const home = address.link(`/sites/${site.id}/kept`);
    const paging = pages(asked, 50, all.length, (n) => (n === 1 ? home : `${home}?page=${n}`));
    web.render(ctx, 'pages/kept.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'kept'),
      keepDays: count(site.settings.keepDays, 'day'),
      amount:
        all.length === 0
          ? ''
          : `${count(all.length, 'version')}, ${bytes(all.reduce((sum, one) => sum + one.bytes, 0))}`,
      q,
      found: q === '' ? null : await search(web, site, all, q),
      rows: all.slice(paging.from, paging.to).map((one) => rowView(web, site, one)),
      pages: paging,
    });
  });

  router.get('/sites/:id/kept/:kid', async (ctx) => {
    const { site, version } = await versionOf(ctx, web);
    const query = fields(ctx.query);
    const q = (query['q'] ?? '').slice(0, 200);
    const files = await deps.decisions.keptFiles(site.id, version.id);
    const found = files.filter(({ path }) => displayPath(path).toLowerCase().includes(q.toLowerCase()));
    const row = rowView(web, site, version);
    const paging = pages(
      pageNumber(query['page']),
      perPage,
      found.length,
      (n) => `${row.href}?${new URLSearchParams({ q, page: String(n) })}`,
    );
    web.render(ctx, 'pages/kept-version.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'kept'),
      kept: row,
      q,
      files: found
        .slice(paging.from, paging.to)
        .map((file) => ({ path: displayPath(file.path), p: encodePath(file.path), size: bytes(file.bytes) })),
      pages: paging,
    });
  });

  router.get('/sites/:id/kept/:kid/file', async (ctx) => {
    const { site, version } = await versionOf(ctx, web);
    const path = decodePath(fields(ctx.query)['p']);
    if (path === undefined) throw new Problem('not-found', { what: 'file' });
    sendFile(ctx, path, await deps.decisions.keptFile(site.id, version.id, path));
  });

  router.get('/sites/:id/kept/:kid/restore', async (ctx) => {
    const { site, version } = await versionOf(ctx, web);
    const p = fields(ctx.query)['p'];
    const path = decodePath(p);
    const row = rowView(web, site, version);
    web.render(ctx, 'pages/restore.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'kept'),
      kept: row,
      path: path === undefined ? '' : displayPath(path),
      question:
        path === undefined ? `Restore the whole folder of ${siteFrame(web, site, 'kept').name}?` : 'Restore this file?',
      action: `${row.href}/restore`,
      cancel: row.href,
      verb: path === undefined ? 'Restore the whole folder' : 'Restore',
      final: false,
      hidden: path === undefined ? [] : [{ name: 'p', value: encodePath(path) }],
    });
  });

  router.post('/sites/:id/kept/:kid/restore', async (ctx) => {
    const { site, version } = await versionOf(ctx, web);
    const p = fields(ctx.request.body)['p'];
    const path = decodePath(p);
    // A damaged path must not turn "this file" into "the whole folder".
    if (p !== undefined && path === undefined) throw new Problem('form-invalid');
    await deps.decisions.restore(site.id, version.id, path, accountName(ctx));
    web.redirect(ctx, `/sites/${site.id}`, {
      tone: 'good',
      title: path === undefined ? 'The folder is being restored' : `${displayPath(path)} is being restored`,
      lines: ['It is an edit like any other: committed, pushed, and itself to be undone under Kept versions.'],
    });
  });
}

/** Reading a version costs a look into git, so only the newest are searched; the page says so. */
const mostSearched = 30;
const mostFound = 100;

/** Every file of the newest versions whose path holds the words. */
async function search(web: WebContext, site: Site, all: readonly KeptVersion[], q: string) {
  const hits = [];
  const searched = all.slice(0, mostSearched);
  for (const version of searched) {
    const files = await web.deps.decisions.keptFiles(site.id, version.id);
    const row = rowView(web, site, version);
    for (const { path, bytes: size } of files) {
      if (!displayPath(path).toLowerCase().includes(q.toLowerCase())) continue;
      hits.push({ path: displayPath(path), p: encodePath(path), size: bytes(size), of: row });
      if (hits.length >= mostFound) return { hits, note: `The first ${mostFound} matches. Type more of the path.` };
    }
  }
  const rest = all.length - searched.length;
  return {
    hits,
    note: rest > 0 ? `Searched the newest ${mostSearched} versions; ${count(rest, 'older one')} not.` : '',
  };
}

async function versionOf(
  ctx: Context & { params: Record<string, string> },
  web: WebContext,
): Promise<{ site: Site; version: KeptVersion }> {
  const site = siteOf(ctx, web);
  const version = (await web.deps.decisions.kept(site.id)).find(({ id }) => id === ctx.params['kid']);
  if (!version) throw new Problem('kept-missing');
  return { site, version };
}

function rowView({ deps, address }: WebContext, site: Site, version: KeptVersion) {
  const now = deps.now();
  return {
    title: keptWords[version.cause],
    time: when(version.at, now),
    until: when(version.at + site.settings.keepDays * day, now),
    files: number(version.files),
    filesWords: count(version.files, 'file'),
    size: bytes(version.bytes),
    whole: version.cause === 'connect',
    href: address.link(`/sites/${site.id}/kept/${encodeURIComponent(version.id)}`),
  };
}

/** Paths are bytes; a form carries text. */
function encodePath(path: SitePath): string {
  return pathBytes(path).toString('base64url');
}

function decodePath(text: string | undefined): SitePath | undefined {
  return text !== undefined && /^[\w-]{1,8000}$/.test(text) ? sitePath(Buffer.from(text, 'base64url')) : undefined;
}
