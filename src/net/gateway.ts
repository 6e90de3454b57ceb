import type { Buffer } from 'node:buffer';
import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from '../model/problem.ts';

/**
 * A 401 that is not GitLab's word on the token: a gateway before it asks for a sign-in of its own, in its own realm or
 * with a page. That is over by itself, and no token may count as lost for it. Undefined: GitLab said it.
 */
export function foreign401({ headers, body }: { headers: IncomingHttpHeaders; body: Buffer }, url: URL) {
  return isGitLabs(headers['www-authenticate'], body) ? undefined : signInBefore(url);
}

/** What stands before the instance asks for a sign-in. */
export function signInBefore(url: URL): Problem {
  const reason = 'something before it asks for a sign-in of its own';
  return new Problem('gitlab-answer-odd', { host: url.host, status: '401', reason });
}

/** The realm tells, where there is one. Without: the API's JSON, or what GitLab says to git. */
function isGitLabs(challenge: string | undefined, body: Buffer): boolean {
  const realm = /realm\s*=\s*"?([^",]*)/i.exec(challenge ?? '')?.[1]?.trim();
  if (realm !== undefined) return /^(GitLab|Doorkeeper|Protected by OAuth)/i.test(realm);
  return /^\s*([{[]|HTTP Basic: Access denied)/.test(body.toString('utf8', 0, 1_000));
}
