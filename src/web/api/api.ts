import { bodyParser } from '@koa/bodyparser';
import type { Router } from '@koa/router';
import type { Next, Context, State, WebContext } from '../context.ts';
import { accountEndpoints } from './accounts.ts';
import { activityEndpoints } from './activity.ts';
import { commitAsEndpoints } from './commit-as.ts';
import { connectingEndpoints } from './connecting.ts';
import { connectionEndpoints } from './connections.ts';
import { decisionEndpoints } from './decisions.ts';
import { type Endpoint, apiBase, mount } from './endpoint.ts';
import { createIdempotency } from './idempotency.ts';
import { instanceEndpoints } from './instance.ts';
import { openApi } from './open-api.ts';
import { outgoingEndpoints } from './outgoing.ts';
import { settingsEndpoints } from './settings.ts';
import { siteEndpoints } from './sites.ts';
import { upkeepEndpoints } from './upkeep.ts';

export const endpoints: readonly Endpoint[] = [
  ...siteEndpoints,
  ...settingsEndpoints,
  ...connectingEndpoints,
  ...activityEndpoints,
  ...decisionEndpoints,
  ...commitAsEndpoints,
  ...upkeepEndpoints,
  ...connectionEndpoints,
  ...instanceEndpoints,
  ...accountEndpoints,
  ...outgoingEndpoints,
];

/** `/api/v1`: for programs, by bearer token. Nothing here knows a cookie. */
export function api(router: Router<State>, web: WebContext): void {
  router.get(`${apiBase}/openapi.json`, (ctx) => {
    ctx.body = openApi(endpoints, web.deps.about.publicUrl);
  });
  mount(router, web, endpoints, createIdempotency(web.deps.now));
}

/** Reads the body of a request that changes something: JSON of at most 512 KiB. */
export function jsonBody() {
  const read = bodyParser({ enableTypes: ['json'], jsonLimit: '512kb', jsonStrict: true });
  return (ctx: Context, next: Next): Promise<unknown> =>
    ctx.path.startsWith(`${apiBase}/`) || ctx.state.operator ? read(ctx as never, next) : next();
}
