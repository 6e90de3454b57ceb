import { Problem } from '../model/problem.ts';
import type { Limits, Streamed } from '../net/transport.ts';
import type { HttpRequest } from '../net/http.ts';
import { gitHttpDisabled } from './failure.ts';
import { type RemoteAddress, factsOf } from './session.ts';

/**
 * One POST on a kept-alive connection. Throws the Problems of the `net` module, for a 401 that is not GitLab's too; the status is
 * the caller's to read.
 */
export type WirePost = (request: {
  url: string;
  headers: Record<string, string>;
  body: Buffer | Streamed;
  take?: HttpRequest['take'];
  onSent?: HttpRequest['onSent'];
  signal?: AbortSignal | undefined;
  limits?: Partial<Limits>;
}) => Promise<{ status: number; contentType: string; body: Buffer }>;

type Service = 'git-upload-pack' | 'git-receive-pack';

/** Address and headers of one request to one of git's two services. */
export function requestTo(
  service: Service,
  { url, network }: RemoteAddress,
): { url: string; headers: Record<string, string> } {
  return {
    url: `${url}/${service}`,
    headers: {
      authorization: network.authorization,
      'content-type': `application/x-${service}-request`,
      accept: `application/x-${service}-result`,
      ...(service === 'git-upload-pack' ? { 'git-protocol': 'version=2' } : {}),
    },
  };
}

export const isResult = (service: Service, contentType: string | undefined): boolean =>
  contentType?.startsWith(`application/x-${service}-result`) ?? false;

/** What a status says that is GitLab's word on the question; undefined for 200 and for what only git itself may read. */
export function statusProblem(status: number, body: Buffer, address: RemoteAddress): Problem | undefined {
  const facts = factsOf(address);
  if (status === 401) return new Problem('grant-lost', facts);
  const text = body.toString('utf8').slice(0, 300);
  if (status === 403 && gitHttpDisabled.test(text)) return new Problem('git-http-disabled', { ...facts, text });
  if (status === 403) return new Problem('project-not-yours', { ...facts, text });
  if (status === 404 || status === 410) return new Problem('project-missing', facts);
  return undefined;
}

/** Git itself would take a page for a repository of the old, dumb kind, which has no branches. */
export function pageProblem({ url }: RemoteAddress): Problem {
  const reason = 'a page came in place of an answer to git';
  return new Problem('gitlab-answer-odd', { host: new URL(url).host, status: '200', reason });
}

export function endless({ url }: RemoteAddress): Problem {
  const reason = 'there is no end of what it says beside the commits';
  return new Problem('gitlab-answer-odd', { host: new URL(url).host, status: '200', reason });
}

/**
 * How long a transfer may be silent and how long it may take. GitLab can think for longer before it sends a large pack, or
 * after it got one: each time that was too short the next may take twice as long, or it would end at the same point for
 * ever.
 */
export class WirePatience {
  #factor = 1;

  get limits(): Pick<Limits, 'idleMs' | 'totalMs'> {
    return { idleMs: 90_000 * this.#factor, totalMs: 120_000 * this.#factor };
  }

  learn(problem: Problem): void {
    if (problem.code === 'gitlab-slow') this.#factor = Math.min(2 * this.#factor, 16);
  }

  enough(): void {
    this.#factor = 1;
  }
}
