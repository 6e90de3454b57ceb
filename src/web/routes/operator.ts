import type { Router } from '@koa/router';
import { Problem, asProblem } from '../../model/problem.ts';
import { describe } from '../../model/remedy.ts';
import type { Context, WebContext, State } from '../context.ts';

/** `/operator/v1`: what the command line asks that no program on the network may. Answers are JSON, errors too. */
export function operator(router: Router<State>, { deps }: WebContext): void {
  const call = (answer: (ctx: Context, by: string) => Promise<unknown>) => async (ctx: Context) => {
    ctx.set('Cache-Control', 'no-store');
    try {
      const by = ctx.state.operator?.name;
      // These routes are only mounted behind the daemon's own socket; a mistake there must not open them.
      if (by === undefined) throw new Problem('not-allowed', { why: 'token' });
      ctx.body = await answer(ctx, by);
    } catch (error) {
      const problem = asProblem(error);
      if (problem.code === 'unexpected')
        deps.log('error', 'A command failed.', { path: ctx.path, error: problem.cause });
      const { title, happened, todo, status } = describe(problem.toFacts());
      ctx.status = status;
      ctx.body = { error: { code: problem.code, title, happened, todo } };
    }
  };

  router.get(
    '/operator/v1/check',
    call(async () => ({ checks: await deps.setUp.check() })),
  );
}
