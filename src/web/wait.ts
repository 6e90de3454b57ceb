import type { WorkProgress } from '../model/site.ts';
import type { Context, WebContext } from './context.ts';
import { progressWords } from './words.ts';

interface Wait {
  readonly title: string;
  readonly lines: readonly string[];
  /** The pages above this one. */
  readonly crumbs: readonly { readonly name: string; readonly href: string }[];
  /** What is waited for: as given to {@link workKey}. */
  readonly work: string;
  readonly progress: WorkProgress | undefined;
  /** The path that gives the answer when the work is done. */
  readonly again: string;
  /** The one other way: to end the work, or to leave it running. */
  readonly leave: { readonly path: string; readonly words: string };
}

/** Names a person's own work for `web.pending`. */
export function workKey(ctx: Context, work: string): string {
  return `${ctx.state.sessionId} ${work}`;
}

/** The page that waits for work of `web.pending`. Without script it refreshes itself until the work is done. */
export function showWait(ctx: Context, web: WebContext, wait: Wait): void {
  const { title, lines, crumbs, work, progress, again, leave } = wait;
  web.render(ctx, 'pages/wait.njk', {
    ...{ title, lines, crumbs, progress: progressView(progress), again: web.address.link(again) },
    looks: web.address.link(`/waiting?${new URLSearchParams({ work })}`),
    leave: { href: web.address.link(leave.path), words: leave.words },
  });
}

export function progressView(progress: WorkProgress | undefined) {
  return progress ? { words: `${progressWords(progress)}.`, done: progress.done, total: progress.total } : null;
}
