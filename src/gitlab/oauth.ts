import { createHash } from 'node:crypto';
import type { Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Clock, Random } from '../model/world.ts';
import type { Http } from '../net/http.ts';
import type { HttpAnswer } from '../net/transport.ts';
import { errorText, isHtml, readJson } from './answer.ts';
import { tokenAnswer } from './schema.ts';

/** A pair as GitLab issued it. Both halves live and die together: a refresh ends the old access token at once. */
export interface Tokens {
  readonly accessToken: Secret;
  /** Empty: this token cannot be renewed (an access token made by hand). */
  readonly refreshToken: Secret;
  /** ms since 1970 by our own clock. */
  readonly expiresAt: number;
  /** ms since 1970 by our own clock. */
  readonly issuedAt: number;
}

/** What a person authorised, with the scopes GitLab granted. */
interface Authorisation {
  readonly tokens: Tokens;
  readonly scopes: string;
}

export interface Oauth {
  /** Where to send the browser. Throws `instance-missing`. */
  authorizeUrl(ask: { state: string; challenge: string }): string;
  /** Swaps the code of a callback. Throws `application-unknown`, `grant-lost`, and what `Http.request` throws. */
  exchange(proof: { code: string; verifier: Secret }): Promise<Authorisation>;
  /**
   * A new pair for a refresh token, which works once: keep the answer before anything else. Takes no signal on purpose,
   * since an answer given up is a grant lost. Throws as `exchange`; `grant-lost`: only a person can authorise again.
   */
  refresh(token: Secret): Promise<Tokens>;
  /** Ends a pair, by either half. Also succeeds for an unknown token. */
  revoke(token: Secret): Promise<void>;
  /** Whether GitLab knows the application id with this secret, tried with a code that cannot exist. */
  knowsApplication(): Promise<boolean>;
}

/** Code flow with PKCE against the one instance; a confidential client, so the secret goes along too. */
export function createOauth(deps: {
  http: Http;
  instance: () => Instance | undefined;
  redirectUri: string;
  clock: Clock;
}): Oauth {
  const instance = (): Instance => {
    const found = deps.instance();
    if (!found) throw new Problem('instance-missing');
    return found;
  };

  async function ask(form: Record<string, string>): Promise<HttpAnswer> {
    const { tokenUrl, applicationId, secret } = instance();
    const client = { client_id: applicationId, client_secret: secret.open() };
    const headers = { accept: 'application/json' };
    return deps.http.request({ method: 'POST', url: tokenUrl, headers, form: { ...client, ...form } });
  }

  async function issue(form: Record<string, string>): Promise<Authorisation> {
    const answer = await ask(form);
    if (answer.status >= 400) throw oauthRefusal(answer);
    const read = readJson(answer, tokenAnswer);
    if (read.token_type !== undefined && read.token_type.toLowerCase() !== 'bearer') {
      throw new Problem('gitlab-answer-odd', { status: '200', reason: 'the token is of an unknown type' });
    }
    // By our clock and the lifetime, not by `created_at`: the two machines' clocks may differ.
    const issuedAt = deps.clock.now();
    const tokens = {
      accessToken: new Secret(read.access_token),
      refreshToken: new Secret(read.refresh_token ?? ''),
      expiresAt: issuedAt + (read.expires_in ?? usualLifetimeS) * 1_000,
      issuedAt,
    };
    return { tokens, scopes: read.scope ?? instance().scopes };
  }

  return {
    authorizeUrl({ state, challenge }) {
      const { authorizeUrl, applicationId, scopes } = instance();
      const url = new URL(authorizeUrl);
      url.searchParams.set('client_id', applicationId);
      url.searchParams.set('redirect_uri', deps.redirectUri);
      url.searchParams.set('response_type', 'code');
      url.searchParams.set('state', state);
      url.searchParams.set('scope', scopes);
      url.searchParams.set('code_challenge', challenge);
      url.searchParams.set('code_challenge_method', 'S256');
      return url.href;
    },

    exchange: ({ code, verifier }) =>
      issue({
        grant_type: 'authorization_code',
        code,
        redirect_uri: deps.redirectUri,
        code_verifier: verifier.open(),
      }),

    async refresh(token) {
      const form = { grant_type: 'refresh_token', refresh_token: token.open(), redirect_uri: deps.redirectUri };
      return (await issue(form)).tokens;
    },

    async revoke(token) {
      const { tokenUrl, applicationId, secret } = instance();
      const form = { client_id: applicationId, client_secret: secret.open(), token: token.open() };
      const url = tokenUrl.replace(/\/token$/, '/revoke');
      const answer = await deps.http.request({ method: 'POST', url, form, breaker: 'ignore' });
      if (answer.status >= 400) throw oauthRefusal(answer);
    },

    async knowsApplication() {
      const code = 'mooring-connection-test';
      const answer = await ask({ grant_type: 'authorization_code', code, redirect_uri: deps.redirectUri });
      const { code: error } = errorText(answer);
      if (error === 'invalid_grant' || error === 'invalid_request') return true;
      if (error === 'invalid_client' || error === 'unauthorized_client') return false;
      throw oauthRefusal(answer);
    },
  };
}

/** GitLab's fixed lifetime, should an answer not name it. */
const usualLifetimeS = 7_200;

/** A PKCE verifier (43 characters) and its S256 challenge. */
export function makePkce(random: Random): { verifier: Secret; challenge: string } {
  const verifier = random.bytes(32).toString('base64url');
  return { verifier: new Secret(verifier), challenge: createHash('sha256').update(verifier).digest('base64url') };
}

/** The OAuth error codes as Problems. Descriptions are GitLab's fixed sentences and hold no secrets. */
function oauthRefusal(answer: HttpAnswer): Problem {
  const { code, text } = errorText(answer);
  const facts = { status: String(answer.status), error: code.slice(0, 60), text };
  if (code === 'invalid_client' || code === 'unauthorized_client') return new Problem('application-unknown', facts);
  if (code === 'invalid_grant') return new Problem('grant-lost', facts);
  if (code === 'invalid_scope') return new Problem('scope-too-small', facts);
  if (code === 'access_denied') return new Problem('authorisation-denied', facts);
  if (code === '' && (isHtml(answer) || answer.status === 404)) return new Problem('instance-not-gitlab', facts);
  return new Problem('gitlab-answer-odd', { ...facts, reason: `GitLab answered ${code || String(answer.status)}` });
}
