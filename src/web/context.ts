import type Koa from 'koa';
import type { Account, ApiToken, Reach, Session } from '../model/account.ts';
import type { Problem } from '../model/problem.ts';
import type { Site } from '../model/site.ts';
import type { Address } from './address.ts';
import type { WebDeps } from './deps.ts';
import type { Pending } from './pending.ts';

/** Who sent a request, and how far they reach: an account that is signed in, or as far as its token goes. */
export interface Person extends Reach {
  readonly account: Account;
  /** As the audit log names them. */
  readonly by: string;
  /** Absent: a browser, or the operator. */
  readonly token?: ApiToken;
}

/** What the middleware learns about one request. */
export interface State {
  /** Absent: nobody is signed in. */
  session?: Session;
  /** The cookie's value, never shown or logged. */
  sessionId?: string;
  /** Random cookie value that binds the form token of somebody who is not signed in. */
  visitor?: string;
  /** Absent where the route asks for nobody; set by the check of access. */
  person?: Person;
  /** The site the request is about, so that a problem page can lead back to it. */
  site?: Site;
  /** The request came in over the daemon's own socket: every right. Set by `web/operator.ts` alone. */
  operator?: Person;
}

export type Context = Koa.ParameterizedContext<State>;
export type App = Koa<State>;
export type Next = Koa.Next;

/** An answer that outlives one redirect: shown once on the next page. */
export interface Notice {
  readonly tone: 'good' | 'warn' | 'bad' | 'busy';
  readonly title: string;
  readonly lines: readonly string[];
}

/** Everything a route works with. */
export interface WebContext {
  readonly deps: WebDeps;
  readonly address: Address;
  readonly pending: Pending;
  /** Renders a page of `views/`; `status` defaults to 200. */
  render(ctx: Context, template: string, model: Readonly<Record<string, unknown>>, status?: number): void;
  /** Renders the problem page, or the problem inside a dialog. */
  showProblem(ctx: Context, problem: Problem, status?: number): void;
  /** 303 to a path of ours, with a notice that the next page shows. */
  redirect(ctx: Context, path: string, notice?: Notice): void;
}
