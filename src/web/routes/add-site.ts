import type { Router } from '@koa/router';
import { z } from 'zod';
import type { ProblemCode } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import type { FolderChoice } from '../../actions/sites.ts';
import { beside, fields, filledLine, line, parse, type FieldErrors } from '../form.ts';
import { bytes, count } from '../times.ts';

const form = z
  .object({
    name: filledLine('a name', 100),
    folder: z.string({ error: 'Choose a folder.' }),
    path: line('a path', 4_000).default(''),
  })
  .refine(({ folder, path }) => folder !== 'other' || path !== '', {
    path: ['path'],
    message: 'Enter the path of the folder.',
  });

/** Names a folder. Reads and changes nothing in it. */
export function addSite(router: Router<State>, web: WebContext): void {
  router.get('/sites/add', (ctx) => showForm(ctx, web, {}, {}));

  router.post('/sites/add', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(form, entered);
    if (parsed.kind === 'bad') return showForm(ctx, web, entered, parsed.errors, 422);
    const { name, folder, path } = parsed.values;
    const other = folder === 'other';
    try {
      const by = ctx.state.session?.accountName ?? '';
      const site = await web.deps.sites.add({ name, folder: other ? path : folder }, by);
      web.redirect(ctx, `/sites/${site.id}/settings/syncing`);
    } catch (error) {
      const errors = beside(error, places(other ? 'path' : 'folder'));
      await showForm(ctx, web, entered, errors, 422);
    }
  });
}

const folderCodes = [
  'invalid',
  'outside-roots',
  'overlaps',
  'missing',
  'link',
  'not-folder',
  'unreadable',
  'unwritable',
] as const;

function places(field: string): Partial<Record<ProblemCode, string>> {
  const found: Partial<Record<ProblemCode, string>> = { 'form-invalid': 'name' };
  for (const code of folderCodes) found[`folder-${code}`] = field;
  return found;
}

async function showForm(
  ctx: Context,
  web: WebContext,
  entered: Readonly<Record<string, string>>,
  errors: FieldErrors,
  status = 200,
) {
  const offers = await web.deps.sites.folders();
  const usable = offers.filter(({ disabled }) => disabled === undefined);
  const chosen = entered['folder'] ?? (usable.length > 0 ? '' : 'other');
  const model = {
    nav: 'sites',
    name: entered['name'] ?? '',
    path: entered['path'] ?? '',
    chosen,
    errors,
    roots: web.deps.about.roots.map(escapeControls),
    offers: offers.map(folderView),
  };
  web.render(ctx, 'pages/add-site.njk', model, status);
}

function folderView({ path, files, bytes: size, empty, disabled }: FolderChoice) {
  return {
    path,
    shown: escapeControls(path),
    about: escapeControls(disabled ?? (empty ? 'Empty' : `${count(files, 'file')}, ${bytes(size)}`)),
    disabled: disabled !== undefined,
  };
}
