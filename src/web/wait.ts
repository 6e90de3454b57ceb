import type { WorkProgress } from '../model/site.ts';
import type { Context, WebContext } from './context.ts';
import { progressWords } from './words.ts';

interface Wait {
  readonly title: string;
  readonly lines: readonly string[];
  /** The pages above this one. */
  readonly crumbs: readonly { readonly name: string; readonly href: string }[];
  readonly progress: WorkProgress | undefined;
  /** The path that this page asks again. */
  readonly again: string;
  /** The one other way: to end the work, or to leave it running. */
  readonly leave: { readonly path: string; readonly words: string };
}

/** The page that waits for work of `web.pending`: it refreshes itself, with or without script, until the work is done. */
export function showWait(ctx: Context, web: WebContext, { title, lines, crumbs, progress, again, leave }: Wait): void {
  const shown = progress ? { words: progressWords(progress), done: progress.done, total: progress.total } : null;
  web.render(ctx, 'pages/wait.njk', {
    ...{ title, lines, crumbs, progress: shown, again: web.address.link(again) },
    leave: { href: web.address.link(leave.path), words: leave.words },
  });
}
