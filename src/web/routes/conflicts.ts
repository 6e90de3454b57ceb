import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Conflict } from '../../model/plan.ts';
import { Problem } from '../../model/problem.ts';
import type { ConflictPolicy, Site } from '../../model/site.ts';
import { displayPath, escapeControls } from '../../model/tree.ts';
import { asText, compare, pictureType } from '../compare.ts';
import type { Context, WebContext, State } from '../context.ts';
import type { ConflictVersions } from '../../actions/decisions.ts';
import { fields, parse } from '../form.ts';
import { sendFile, sendPicture } from '../send-file.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import { bytes, when } from '../times.ts';
import { accountName } from '../session.ts';

const form = z.object({ use: z.enum(['repository', 'site']) });

/** Paths that both sides changed: the list, each one compared, and the choice. */
export function conflicts(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  router.get('/sites/:id/conflicts', (ctx) => {
    const site = siteOf(ctx, web);
    const all = deps.decisions.conflicts(site.id);
    const row = (conflict: Conflict) => rowView(web, site, conflict);
    web.render(ctx, 'pages/conflicts.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'conflicts'),
      lede: ledes[site.settings.policy],
      open: all.filter(({ resolved }) => !resolved).map(row),
      resolved: all
        .filter(({ resolved }) => resolved)
        .slice(0, 50)
        .map(row),
    });
  });

  router.get('/sites/:id/conflicts/:cid', async (ctx) => {
    const { site, conflict } = conflictOf(ctx, web);
    const versions = await deps.decisions.versions(site.id, conflict.id);
    const view = fields(ctx.query)['view'] === 'inline' ? 'inline' : 'split';
    const home = web.address.link(`/sites/${site.id}/conflicts/${encodeURIComponent(conflict.id)}`);
    web.render(ctx, 'pages/conflict.njk', {
      nav: 'sites',
      site: siteFrame(web, site, 'conflicts'),
      conflict: rowView(web, site, conflict),
      home,
      view,
      keepDays: site.settings.keepDays,
      comparison: comparisonView(versions),
      repository: sideView(versions.repository, `${home}/file/repository`),
      folder: sideView(versions.site, `${home}/file/site`),
    });
  });

  router.get('/sites/:id/conflicts/:cid/file/:side', async (ctx) => {
    const { site, conflict } = conflictOf(ctx, web);
    const side = ctx.params['side'] === 'site' ? 'site' : 'repository';
    const content = (await deps.decisions.versions(site.id, conflict.id))[side];
    if (!content) throw new Problem('not-found', { what: 'version' });
    if (fields(ctx.query)['as'] === 'picture') return sendPicture(ctx, content);
    sendFile(ctx, conflict.path, content, `${side}-`);
  });

  router.post('/sites/:id/conflicts/:cid', async (ctx) => {
    const { site, conflict } = conflictOf(ctx, web);
    const parsed = parse(form, ctx.request.body);
    if (parsed.kind === 'bad') throw new Problem('form-invalid');
    await deps.decisions.resolve(site.id, conflict.id, parsed.values.use, accountName(ctx));
    const used = parsed.values.use === 'repository' ? 'The repository’s version' : 'The site’s version';
    web.redirect(ctx, `/sites/${site.id}/conflicts`, {
      tone: 'good',
      title: `${used} of ${displayPath(conflict.path)} is used`,
      lines: [`The other one is kept for ${site.settings.keepDays} days.`],
    });
  });
}

function conflictOf(
  ctx: Context & { params: Record<string, string> },
  web: WebContext,
): { site: Site; conflict: Conflict } {
  const site = siteOf(ctx, web);
  const conflict = web.deps.decisions.conflicts(site.id).find(({ id }) => id === ctx.params['cid']);
  if (!conflict) throw new Problem('not-found', { what: 'conflict' });
  return { site, conflict };
}

const kinds: Record<Conflict['kind'], string> = {
  content: 'Both sides changed the text',
  'add-add': 'Both sides added it, with different content',
  'modify-delete': 'One side changed it, the other removed it',
  'file-directory': 'A file on one side, a folder on the other',
  rename: 'Both sides renamed it',
  binary: 'Both sides changed a file that is not text',
  mode: 'Both sides changed whether it can be run',
};

const ledes: Record<ConflictPolicy, string> = {
  repository: 'the repository’s version is live, the site’s is kept',
  site: 'the site’s version is live, the repository’s stays in its history',
  hold: 'each side keeps its own version, and only these paths wait',
};

const lives: Record<Conflict['live'], string> = {
  repository: 'the repository’s version',
  site: 'the site’s version',
  both: 'each side’s own',
};

function rowView({ deps, address }: WebContext, site: Site, conflict: Conflict) {
  const { resolved } = conflict;
  return {
    path: displayPath(conflict.path),
    kind: kinds[conflict.kind],
    live: conflict.live,
    lives: lives[conflict.live],
    time: when(conflict.at, deps.now()),
    href: address.link(`/sites/${site.id}/conflicts/${encodeURIComponent(conflict.id)}`),
    resolved: resolved
      ? {
          time: when(resolved.at, deps.now()),
          by: escapeControls(resolved.by),
          used: resolved.choice === 'repository' ? 'the repository’s' : 'the site’s',
        }
      : null,
  };
}

/** Rows, or the sentence that says why there are none. */
function comparisonView({ repository, site }: ConflictVersions): { rows: unknown; why: string } {
  if (!repository || !site)
    return { rows: null, why: `${repository ? 'The site' : 'The repository'} removed this file.` };
  const [left, right] = [asText(repository), asText(site)];
  if (left === undefined || right === undefined)
    return { rows: null, why: 'This is not text, so it is not compared line by line.' };
  if (left === right) return { rows: null, why: 'Both versions have the same text.' };
  const rows = compare(left, right);
  return {
    rows: rows ?? null,
    why: rows ? '' : 'The versions are too large or too different to compare them here. Download both.',
  };
}

function sideView(content: Buffer | undefined, href: string) {
  if (!content) return null;
  const picture = pictureType(content);
  const type =
    picture === undefined
      ? asText(content) === undefined
        ? 'Binary file'
        : 'Text'
      : `${picture.slice(6).toUpperCase()} picture`;
  return {
    about: `${type}, ${bytes(content.length)}`,
    picture: picture === undefined ? '' : `${href}?as=picture`,
    href,
  };
}
