/** The practice GitLab's OAuth. */
import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBrowser, signIn, type Browser, type Page } from './browser.ts';
import { redirectMatches } from './redirect-uri.ts';
import { startGitLab, type GitLab, type GitLabOptions } from './server.ts';

const oauth = suite('practice GitLab: OAuth');
const callback = 'http://127.0.0.1:4000/connect/callback';

interface Scene {
  readonly gitlab: GitLab;
  readonly browser: Browser;
  readonly clientId: string;
  readonly secret: string;
  readonly authorize: (members?: Record<string, string | undefined>) => Promise<Page>;
  readonly token: (members: Record<string, string>, headers?: Record<string, string>) => Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function scene(
  run: (given: Scene) => Promise<void>,
  options: GitLabOptions = {},
  extra: { trusted?: boolean; confidential?: boolean } = {},
): Promise<void> {
  const gitlab = await startGitLab(options);
  try {
    gitlab.users.add({ username: 'ana', name: 'Ana', email: 'ana@example.org', password: 'secret' });
    const { applicationId: clientId, secret } = gitlab.applications.add({
      ...{ name: 'Mooring', redirectUris: [callback, 'https://mooring.example/cb'], scopes: ['api', 'read_user'] },
      ...extra,
    });
    const browser = createBrowser();
    await run({
      ...{ gitlab, browser, clientId, secret },
      async authorize(members = {}) {
        const all = {
          client_id: clientId,
          redirect_uri: callback,
          response_type: 'code',
          state: 'STATE',
          scope: 'api',
          ...members,
        };
        const query = new URLSearchParams(
          Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined),
        );
        return signIn(browser, await browser.open(`${gitlab.url}/oauth/authorize?${query}`), 'ana', 'secret');
      },
      async token(members, headers = {}) {
        const response = await fetch(`${gitlab.url}/oauth/token`, {
          method: 'POST',
          body: new URLSearchParams(members),
          headers,
        });
        return {
          status: response.status,
          headers: response.headers,
          body: (await response.json()) as Record<string, unknown>,
        };
      },
    });
    assert.equal(gitlab.errors, []);
    assert.equal(gitlab.violations, []);
  } finally {
    await gitlab.stop();
  }
}

const codeOf = (page: Page): string => new URL(page.leads ?? '').searchParams.get('code') ?? '';

async function consentedCode({ authorize, browser }: Scene, members: Record<string, string> = {}): Promise<string> {
  await authorize(members);
  return codeOf(await browser.press('Authorize Mooring'));
}

const userStatus = async (gitlab: GitLab, token: unknown): Promise<number> =>
  (await fetch(`${gitlab.url}/api/v4/user`, { headers: { Authorization: `Bearer ${String(token)}` } })).status;

oauth('the whole way: sign in, consent, code with S256, tokens that work', () =>
  scene(
    async (given) => {
      const { gitlab, browser, authorize, token, clientId, secret } = given;
      const verifier = 'v'.repeat(64);
      const challenge = createHash('sha256').update(verifier).digest('base64url');
      const consent = await authorize({ code_challenge: challenge, code_challenge_method: 'S256' });
      assert.match(consent.text, 'Authorize Mooring to use your account?');
      const back = await browser.press('Authorize Mooring');
      assert.is(back.status, 302);
      assert.is(new URL(back.leads ?? '').searchParams.get('state'), 'STATE');
      const exchange = {
        grant_type: 'authorization_code',
        client_id: clientId,
        client_secret: secret,
        redirect_uri: callback,
        code: codeOf(back),
      };

      const without = await token(exchange);
      assert.is(without.status, 400);
      assert.equal(without.body, {
        error: 'invalid_request',
        error_description: 'Missing required parameter: code_verifier.',
      });
      assert.is((await token({ ...exchange, code_verifier: 'wrong' })).body['error'], 'invalid_grant');
      const good = await token({ ...exchange, code_verifier: verifier });
      assert.is(good.status, 200);
      assert.match(good.headers.get('cache-control') ?? '', 'no-store');
      assert.equal(Object.keys(good.body), [
        'access_token',
        'token_type',
        'expires_in',
        'refresh_token',
        'scope',
        'created_at',
      ]);
      assert.is(good.body['expires_in'], 7200);
      assert.is(await userStatus(gitlab, good.body['access_token']), 200);

      const again = await token({ ...exchange, code_verifier: verifier });
      assert.is(again.status, 400);
      assert.is(again.body['error'], 'invalid_grant');
      assert.match(again.headers.get('www-authenticate') ?? '', 'Bearer realm="Doorkeeper", error="invalid_grant"');
    },
    { basePath: '/gitlab' },
  ),
);

oauth('Deny goes back with access_denied, its description and the state', () =>
  scene(async ({ authorize, browser }) => {
    await authorize();
    const back = await browser.press('Deny');
    assert.is(back.status, 302);
    assert.is(
      back.leads,
      `${callback}?error=access_denied&error_description=The+resource+owner+or+authorization+server+denied+the+request.&state=STATE`,
    );
  }),
);

oauth(
  'a bad client, redirect, scope, response type or challenge method is a page with status 200, never a redirect',
  () =>
    scene(async ({ authorize }) => {
      const wrong: Record<string, string | undefined>[] = [
        { client_id: 'nobody' },
        { redirect_uri: 'https://evil.example/' },
        { redirect_uri: `${callback}/` },
        { scope: 'api sudo' },
        { response_type: 'token' },
        { response_type: undefined },
        { code_challenge: 'x', code_challenge_method: 'S512' },
        { code_challenge: 'x' },
      ];
      for (const members of wrong) {
        const page = await authorize(members);
        assert.is(page.status, 200, JSON.stringify(members));
        assert.is(page.leads, undefined, JSON.stringify(members));
        assert.match(page.text, 'An error has occurred');
      }
    }),
);

oauth(
  'a trusted application, or a live token with the same scopes, is forwarded by a page without a question',
  async () => {
    await scene(
      async ({ authorize }) => {
        const page = await authorize();
        assert.is(page.status, 200);
        assert.ok(codeOf(page));
      },
      {},
      { trusted: true },
    );
    await scene(async ({ gitlab, clientId, authorize }) => {
      assert.match((await authorize()).text, 'Authorize Mooring');
      const { accessToken } = gitlab.tokens.oauth('ana', clientId, ['api']);
      assert.ok(codeOf(await authorize()));
      assert.is((await authorize({ scope: 'read_user' })).leads, undefined);
      gitlab.revokeToken(accessToken);
      assert.is((await authorize()).leads, undefined);
    });
  },
);

oauth('a refresh kills the whole old pair at once', () =>
  scene(async ({ gitlab, clientId, secret, token }) => {
    const old = gitlab.tokens.oauth('ana', clientId, ['api']);
    const members = {
      grant_type: 'refresh_token',
      client_id: clientId,
      client_secret: secret,
      refresh_token: old.refreshToken,
    };
    const fresh = await token(members);
    assert.is(fresh.status, 200);
    assert.is(await userStatus(gitlab, old.accessToken), 401);
    assert.is(await userStatus(gitlab, fresh.body['access_token']), 200);
    assert.is((await token(members)).body['error'], 'invalid_grant');
    const wrong = await token({
      ...members,
      refresh_token: String(fresh.body['refresh_token']),
      client_secret: 'wrong',
    });
    assert.is(wrong.status, 401);
    assert.is(wrong.body['error'], 'invalid_client');
    const other = gitlab.applications.add({ name: 'Other', redirectUris: [callback], scopes: ['api'] });
    const stranger = {
      ...members,
      refresh_token: String(fresh.body['refresh_token']),
      client_id: other.applicationId,
      client_secret: other.secret,
    };
    assert.is((await token(stranger)).body['error'], 'invalid_grant');
  }),
);

oauth('tokens expire after their lifetime; refreshing still works then', async () => {
  let now = Date.UTC(2026, 5, 1);
  await scene(
    async ({ gitlab, clientId, secret, token }) => {
      const { accessToken, refreshToken } = gitlab.tokens.oauth('ana', clientId, ['api']);
      now += 59_000;
      assert.is(await userStatus(gitlab, accessToken), 200);
      now += 2_000;
      const response = await fetch(`${gitlab.url}/api/v4/user`, {
        headers: { Authorization: `Bearer ${accessToken}` },
      });
      assert.is(response.status, 401);
      assert.match(
        response.headers.get('www-authenticate') ?? '',
        'realm="Protected by OAuth 2.0", error="invalid_token"',
      );
      assert.match(await response.text(), 'Token is expired.');
      const basic = `Basic ${Buffer.from(`${clientId}:${secret}`).toString('base64')}`;
      const fresh = await token({ grant_type: 'refresh_token', refresh_token: refreshToken }, { Authorization: basic });
      assert.is(fresh.status, 200);
    },
    { now: () => now, tokenLifetimeSeconds: 60 },
  );
});

oauth('a code lives 600 seconds', async () => {
  let now = Date.UTC(2026, 5, 1);
  await scene(
    async (given) => {
      const { token, clientId, secret } = given;
      const code = await consentedCode(given);
      now += 600_000;
      const late = await token({
        grant_type: 'authorization_code',
        client_id: clientId,
        client_secret: secret,
        redirect_uri: callback,
        code,
      });
      assert.is(late.body['error'], 'invalid_grant');
    },
    { now: () => now },
  );
});

oauth('parameters and clients are checked as Doorkeeper does, in a form or in JSON', () =>
  scene(async (given) => {
    const { gitlab, token, clientId, secret } = given;
    assert.equal((await token({})).body['error_description'], 'Missing required parameter: grant_type.');
    assert.is((await token({ grant_type: 'password' })).body['error'], 'unsupported_grant_type');
    const code = await consentedCode(given);
    const exchange = {
      grant_type: 'authorization_code',
      client_id: clientId,
      client_secret: secret,
      code,
      redirect_uri: callback,
    };
    assert.is(
      (await token({ ...exchange, redirect_uri: '' })).body['error_description'],
      'Missing required parameter: redirect_uri.',
    );
    assert.is(
      (await token({ ...exchange, redirect_uri: 'https://mooring.example/cb' })).body['error'],
      'invalid_grant',
    );
    assert.is((await token({ ...exchange, client_secret: '' })).status, 401);
    const response = await fetch(`${gitlab.url}/oauth/token`, {
      method: 'POST',
      body: JSON.stringify(exchange),
      headers: { 'Content-Type': 'application/json' },
    });
    assert.is(response.status, 200);
  }),
);

oauth('a public client needs no secret; token/info and revoke answer as GitLab', () =>
  scene(
    async (given) => {
      const { gitlab, token, clientId } = given;
      const code = await consentedCode(given, { code_challenge: 'plain-challenge', code_challenge_method: 'plain' });
      const pair = await token({
        grant_type: 'authorization_code',
        client_id: clientId,
        code,
        redirect_uri: callback,
        code_verifier: 'plain-challenge',
      });
      assert.is(pair.status, 200);
      const headers = { Authorization: `Bearer ${String(pair.body['access_token'])}` };
      const info = (await (await fetch(`${gitlab.url}/oauth/token/info`, { headers })).json()) as Record<
        string,
        unknown
      >;
      assert.equal(info['scope'], ['api']);
      assert.equal(info['application'], { uid: clientId });
      const revoke = (token: string): Promise<Response> =>
        fetch(`${gitlab.url}/oauth/revoke`, {
          method: 'POST',
          body: new URLSearchParams({ token, client_id: clientId }),
        });
      assert.is((await revoke('unknown')).status, 200);
      const other = gitlab.applications.add({ name: 'Other', redirectUris: [callback], scopes: ['api'] });
      assert.is((await revoke(gitlab.tokens.oauth('ana', other.applicationId, ['api']).accessToken)).status, 403);
      // Either half ends both.
      assert.equal(await (await revoke(String(pair.body['refresh_token']))).json(), {});
      const gone = await fetch(`${gitlab.url}/oauth/token/info`, { headers });
      assert.is(gone.status, 401);
      assert.equal(await gone.json(), {
        error: 'invalid_token',
        error_description: 'The access token is invalid',
        state: 'unauthorized',
      });
    },
    {},
    { confidential: false },
  ),
);

oauth('redirect addresses are compared by Doorkeeper’s rule', () => {
  const cases: [string, string, boolean][] = [
    ['https://a.example/cb', 'https://a.example/cb', true],
    ['https://a.example/cb/', 'https://a.example/cb', false],
    ['https://a.example/cb?x=1', 'https://a.example/cb', true],
    ['https://a.example/cb?b=2&a=1', 'https://a.example/cb?a=1&b=2', true],
    ['https://a.example/cb', 'https://a.example/cb?a=1', false],
    ['http://127.0.0.1:5000/cb', 'http://127.0.0.1/cb', true],
    ['http://[::1]:5000/cb', 'http://[::1]:6000/cb', true],
    ['http://localhost:5000/cb', 'http://localhost:6000/cb', false],
    ['https://a.example:444/cb', 'https://a.example/cb', false],
    ['https://a.example/cb#x', 'https://a.example/cb', false],
  ];
  for (const [asked, registered, expected] of cases)
    assert.is(redirectMatches(asked, registered), expected, `${asked} for ${registered}`);
});

oauth.run();
