import { inspect } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makePkce, type Tokens } from '../../src/gitlab/oauth.ts';
import { createTokenManager } from '../../src/gitlab/tokens.ts';
import type { ConnectionId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import { problemOf, realRandom } from '../net/support.ts';
import { type Scene, withGitLab } from './support.ts';

const oauth = suite('gitlab/oauth');
const id = 'c1' as ConnectionId;

async function grant({ oauth: room, authorize }: Scene): Promise<Tokens> {
  const { verifier, challenge } = makePkce(realRandom);
  const back = await authorize(room.authorizeUrl({ state: 'STATE', challenge }));
  assert.is(back['state'], 'STATE');
  const granted = await room.exchange({ code: back['code'] ?? '', verifier });
  assert.is(granted.scopes, 'api');
  return granted.tokens;
}

function keep(scene: Scene, first: Tokens) {
  const store = { saved: first, reconnect: 0 };
  const keeper = createTokenManager({
    clock: scene.clock,
    refresh: scene.oauth.refresh,
    store: {
      tokens: () => store.saved,
      saveTokens: (_id, tokens) => Promise.resolve(void (store.saved = tokens)),
      setHealth: () => Promise.resolve(void (store.reconnect += 1)),
    },
  });
  return { store, keeper };
}

oauth('the whole way: authorise, exchange, use, renew, revoke', () =>
  withGitLab(async (scene) => {
    const tokens = await grant(scene);
    assert.ok(Math.abs(tokens.expiresAt - Date.now() - 7_200_000) < 10_000);
    assert.is((await scene.client.user(tokens.accessToken)).username, 'ana');
    const fresh = await scene.oauth.refresh(tokens.refreshToken);
    assert.is((await problemOf(scene.client.user(tokens.accessToken))).code, 'grant-lost');
    assert.is((await problemOf(scene.oauth.refresh(tokens.refreshToken))).code, 'grant-lost');
    await scene.oauth.revoke(fresh.accessToken);
    await scene.oauth.revoke(new Secret('unknown'));
    assert.is((await problemOf(scene.client.user(fresh.accessToken))).code, 'grant-lost');
  }),
);

oauth('on a relative URL install every address keeps the sub-path', () =>
  withGitLab(
    async (scene) => {
      assert.match(scene.instance().tokenUrl, /\/gitlab\/oauth\/token$/);
      assert.is((await scene.client.user((await grant(scene)).accessToken)).username, 'ana');
    },
    { basePath: '/gitlab' },
  ),
);

oauth('another’s verifier, a used code and wrong credentials are named', () =>
  withGitLab(async (scene) => {
    const { verifier, challenge } = makePkce(realRandom);
    const first = await scene.authorize(scene.oauth.authorizeUrl({ state: 's', challenge }));
    const other = makePkce(realRandom).verifier;
    assert.is(
      (await problemOf(scene.oauth.exchange({ code: first['code'] ?? '', verifier: other }))).code,
      'grant-lost',
    );
    assert.ok(await scene.oauth.knowsApplication());
    scene.configure({ secret: new Secret('wrong') });
    assert.not(await scene.oauth.knowsApplication());
    assert.is((await problemOf(scene.oauth.exchange({ code: 'x', verifier }))).code, 'application-unknown');
    scene.configure({ applicationId: 'nobody' });
    assert.not(await scene.oauth.knowsApplication());
  }),
);

oauth('a token endpoint that is a web page is not GitLab', () =>
  withGitLab(async (scene) => {
    scene.gitlab.faults.add({
      match: ({ path }) => path.endsWith('/oauth/token'),
      status: 200,
      body: '<html>hi</html>',
      headers: { 'content-type': 'text/html' },
    });
    const { verifier } = makePkce(realRandom);
    assert.is((await problemOf(scene.oauth.exchange({ code: 'x', verifier }))).code, 'instance-not-gitlab');
  }),
);

oauth('twenty calls on an ended token make one refresh at GitLab', () =>
  withGitLab(async (scene) => {
    const { keeper } = keep(scene, { ...(await grant(scene)), expiresAt: 0 });
    const users = await Promise.all(
      Array.from({ length: 20 }, () => keeper.withToken(id, (token) => scene.client.user(token))),
    );
    assert.is(users.length, 20);
    const refreshes = scene.gitlab.requests.filter(({ path }) => path.endsWith('/oauth/token'));
    assert.is(refreshes.length, 2);
  }, {}),
);

oauth('a token revoked behind our back: one try, then reconnect, no loop', () =>
  withGitLab(async (scene) => {
    const tokens = await grant(scene);
    const { keeper, store } = keep(scene, tokens);
    scene.gitlab.revokeToken(tokens.accessToken.open());
    const before = scene.gitlab.requests.length;
    assert.is((await problemOf(keeper.withToken(id, (token) => scene.client.user(token)))).code, 'grant-lost');
    assert.is(store.reconnect, 1);
    assert.is(scene.gitlab.requests.length - before, 2);
  }),
);

oauth('a refresh whose answer is cut off ends in reconnect at the next try', () =>
  withGitLab(
    async (scene) => {
      const tokens = await grant(scene);
      // At its end by our clock.
      const { keeper, store } = keep(scene, { ...tokens, expiresAt: 0 });
      scene.gitlab.faults.add({ match: ({ path }) => path.endsWith('/oauth/token'), times: 1, cutAfterBytes: 20 });
      assert.is((await problemOf(keeper.tokenFor(id))).code, 'gitlab-unreachable');
      assert.is((await problemOf(keeper.tokenFor(id))).code, 'grant-lost');
      assert.is(store.reconnect, 1);
    },
    { tokenLifetimeSeconds: 100 },
  ),
);

oauth('no Problem, printed any way, holds a secret', () =>
  withGitLab(async (scene) => {
    const canary = new Secret('canary-5e2c');
    scene.configure({ secret: canary });
    const problems = [await problemOf(scene.oauth.refresh(canary)), await problemOf(scene.client.user(canary))];
    scene.gitlab.faults.add({ match: () => true, cutAfterBytes: 0 });
    problems.push(await problemOf(scene.oauth.refresh(canary)), await problemOf(scene.client.user(canary)));
    for (const problem of problems) {
      const shown = `${inspect(problem, { depth: 20, showHidden: true })} ${JSON.stringify(problem.toFacts())}`;
      assert.not.match(shown, 'canary');
    }
  }),
);

oauth.run();
