import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tokens } from '../../src/gitlab/oauth.ts';
import { createTokenManager } from '../../src/gitlab/tokens.ts';
import type { ConnectionId } from '../../src/model/instance.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { handClock, problemOf } from '../net/support.ts';

const tokens = suite('gitlab/tokens');
const id = 'c1' as ConnectionId;
const hours2 = 7_200_000;

/** A store and a GitLab that ends the old pair in the instant it issues the new one. */
function arrange({ leftMs = hours2, holderWaitMs = 60_000 } = {}) {
  const clock = handClock();
  let issued = 1;
  const gitlab = {
    refreshes: 0,
    good: 'a1',
    goodRefresh: 'r1',
    down: false,
    loseAnswer: false,
    delay: Promise.resolve(),
    /** Answers with an empty refresh token: the one before stays good. */
    keepsRefresh: false,
  };
  const store = {
    saved: pair(1, clock.now() + leftMs),
    full: false,
    reconnect: 0,
    lost: false,
    order: [] as string[],
  };
  const keeper = createTokenManager({
    clock,
    holderWaitMs,
    store: {
      tokens: () => store.saved,
      saveTokens: async (_id, fresh) => {
        await Promise.resolve();
        if (store.full) throw new Problem('disk-full');
        store.order.push(`saved ${fresh.accessToken.open()}`);
        store.saved = fresh;
      },
      isLost: () => store.lost,
      setHealth: async () => void (await Promise.resolve(), (store.reconnect += 1)),
    },
    refresh: async (token) => {
      gitlab.refreshes += 1;
      await gitlab.delay;
      if (gitlab.down) throw new Problem('gitlab-unreachable');
      if (token.open() !== gitlab.goodRefresh) throw new Problem('grant-lost', { error: 'invalid_grant' });
      issued += 1;
      gitlab.good = `a${issued}`;
      if (gitlab.keepsRefresh) {
        return { ...pair(issued, clock.now() + hours2), refreshToken: new Secret('') };
      }
      gitlab.goodRefresh = `r${issued}`;
      if (gitlab.loseAnswer) throw new Problem('gitlab-unreachable');
      return pair(issued, clock.now() + hours2);
    },
  });
  /** What a request with this token would come to. */
  const use = (token: Secret): Promise<string> =>
    token.open() === gitlab.good ? Promise.resolve(token.open()) : Promise.reject(new Problem('grant-lost'));
  return { clock, gitlab, store, keeper, use };
}

function pair(n: number, expiresAt: number): Tokens {
  return {
    accessToken: new Secret(`a${n}`),
    refreshToken: new Secret(`r${n}`),
    expiresAt,
    issuedAt: expiresAt - hours2,
  };
}

const turns = async (n = 20): Promise<void> => {
  for (let i = 0; i < n; i += 1) await Promise.resolve();
};

tokens('a token with two minutes left is used as it is, one with less is renewed first', async () => {
  const { keeper, clock, gitlab } = arrange({ leftMs: 200_000 });
  assert.is((await keeper.tokenFor(id)).open(), 'a1');
  clock.pass(81_000);
  assert.is((await keeper.tokenFor(id)).open(), 'a2');
  assert.is(gitlab.refreshes, 1);
});

tokens('twenty calls at once renew once, and the new pair is saved before anybody has it', async () => {
  const { keeper, gitlab, store } = arrange({ leftMs: 0 });
  const calls = Array.from({ length: 20 }, () =>
    keeper.withToken(id, async (token) => {
      store.order.push(`used ${token.open()}`);
      await Promise.resolve();
      return token.open();
    }),
  );
  assert.equal([...new Set(await Promise.all(calls))], ['a2']);
  assert.is(gitlab.refreshes, 1);
  assert.is(store.order[0], 'saved a2');
});

tokens('an operation that holds the token is not cut off by a renewal', async () => {
  const { keeper, clock, gitlab, use } = arrange({ leftMs: 130_000 });
  let finish: () => void = () => undefined;
  const push = keeper.withToken(id, async (token) => {
    await use(token);
    await new Promise<void>((resolve) => (finish = resolve));
    return use(token);
  });
  await turns();
  clock.pass(20_000);
  const other = keeper.withToken(id, use);
  await turns();
  assert.is(gitlab.refreshes, 0);
  finish();
  assert.is(await push, 'a1');
  assert.is(await other, 'a2');
});

tokens('the wait for an operation that never ends is bounded: while the token lasts, it is shared', async () => {
  const { keeper, clock, gitlab, use } = arrange({ leftMs: 130_000 });
  void keeper.withToken(id, () => new Promise(() => undefined));
  await turns();
  clock.pass(20_000);
  const other = keeper.withToken(id, use);
  await turns();
  clock.pass(60_000);
  assert.is(await other, 'a1');
  assert.is(gitlab.refreshes, 0);
  clock.pass(40_000);
  const late = keeper.withToken(id, use);
  await turns();
  clock.pass(60_000);
  assert.is(await late, 'a2');
});

tokens('however many ask meanwhile, an operation that never ends is waited for once', async () => {
  const { keeper, clock, gitlab, use } = arrange({ leftMs: 130_000 });
  void keeper.withToken(id, () => new Promise(() => undefined));
  await turns();
  clock.pass(20_000);
  const others = [1, 2, 3, 4, 5].map(() => keeper.withToken(id, use));
  await turns();
  clock.pass(60_000);
  assert.equal(await Promise.all(others), ['a1', 'a1', 'a1', 'a1', 'a1']);
  assert.is(gitlab.refreshes, 0);
  // It has been waited for: with no time left the next one renews at once.
  clock.pass(40_000);
  assert.is(await keeper.withToken(id, use), 'a2');
});

tokens('a grant that is dropped while its holders are waited for is not shown to anybody any more', async () => {
  const { keeper, clock, gitlab, store } = arrange({ leftMs: 130_000 });
  void keeper.withToken(id, () => new Promise(() => undefined));
  await turns();
  clock.pass(120_000);
  const waiting = problemOf(keeper.withToken(id, () => Promise.resolve()));
  await turns();
  store.saved = { ...store.saved, accessToken: new Secret(''), refreshToken: new Secret('') };
  clock.pass(60_000);
  assert.equal((await waiting).facts, { reason: 'dropped' });
  assert.is(gitlab.refreshes, 0);
});

tokens(
  'a GitLab that renews the access token alone: the refresh token before stays, and serves the next time',
  async () => {
    const { keeper, gitlab, clock, store } = arrange({ leftMs: 0 });
    gitlab.keepsRefresh = true;
    assert.is((await keeper.tokenFor(id)).open(), 'a2');
    assert.is(store.saved.refreshToken.open(), 'r1');
    clock.pass(hours2);
    assert.is((await keeper.tokenFor(id)).open(), 'a3');
  },
);

tokens('a token that a person entered: GitLab says when it ended, and is not shown it again', async () => {
  const { keeper, gitlab, store, use } = arrange({ leftMs: -1 });
  store.saved = { ...store.saved, refreshToken: new Secret('') };
  assert.is(await keeper.withToken(id, use), 'a1');
  gitlab.good = 'another';
  const ended = await problemOf(keeper.withToken(id, use));
  assert.equal([ended.code, ended.facts['reason']], ['grant-lost', 'entered']);
  assert.equal([store.reconnect, gitlab.refreshes], [1, 0]);
  store.lost = true;
  let shown = 0;
  const known = await problemOf(keeper.withToken(id, () => Promise.resolve((shown += 1))));
  assert.equal([known.facts['reason'], shown], ['entered', 0]);
});

tokens('a 401 renews once and repeats once, whatever the clock says', async () => {
  const { keeper, gitlab, use, store } = arrange();
  gitlab.good = 'somebody revoked a1';
  assert.is(await keeper.withToken(id, use), 'a2');
  assert.is(gitlab.refreshes, 1);
  assert.is(store.reconnect, 0);
});

tokens('several operations that meet the same 401 renew once between them', async () => {
  const { keeper, gitlab, use } = arrange();
  gitlab.good = 'x';
  assert.equal(await Promise.all([1, 2, 3].map(() => keeper.withToken(id, use))), ['a2', 'a2', 'a2']);
  assert.is(gitlab.refreshes, 1);
});

tokens('a grant that is really gone ends in reconnect, without a loop', async () => {
  const revoked = arrange();
  revoked.gitlab.good = 'x';
  revoked.gitlab.goodRefresh = 'x';
  assert.is((await problemOf(revoked.keeper.withToken(id, revoked.use))).code, 'grant-lost');
  assert.is(revoked.store.reconnect, 1);
  assert.is(revoked.gitlab.refreshes, 1);

  const useless = arrange();
  let asked = 0;
  const never = () => Promise.reject(new Problem('grant-lost', { n: String((asked += 1)) }));
  assert.is((await problemOf(useless.keeper.withToken(id, never))).code, 'grant-lost');
  assert.is(asked, 2);
  assert.is(useless.store.reconnect, 1);
});

tokens('a rotation whose answer was lost ends in reconnect at the next try', async () => {
  const { keeper, gitlab, store } = arrange({ leftMs: 0 });
  gitlab.loseAnswer = true;
  assert.is((await problemOf(keeper.tokenFor(id))).code, 'gitlab-unreachable');
  assert.is(store.reconnect, 0);
  gitlab.loseAnswer = false;
  assert.is((await problemOf(keeper.tokenFor(id))).code, 'grant-lost');
  assert.is(store.reconnect, 1);
});

tokens('GitLab being away loses nothing', async () => {
  const { keeper, gitlab, store } = arrange({ leftMs: 0 });
  gitlab.down = true;
  assert.is((await problemOf(keeper.tokenFor(id))).code, 'gitlab-unreachable');
  gitlab.down = false;
  assert.is((await keeper.tokenFor(id)).open(), 'a2');
  assert.is(store.reconnect, 0);
});

tokens('a new pair that could not be saved is kept and offered again, and not used before', async () => {
  const { keeper, gitlab, store } = arrange({ leftMs: 0 });
  store.full = true;
  assert.is((await problemOf(keeper.tokenFor(id))).code, 'disk-full');
  assert.is((await problemOf(keeper.tokenFor(id))).code, 'disk-full');
  store.full = false;
  assert.is((await keeper.tokenFor(id)).open(), 'a2');
  assert.is(gitlab.refreshes, 1);
});

tokens('a renewal under way cannot overwrite the grant of a new connect', async () => {
  const { keeper, gitlab, store, clock } = arrange({ leftMs: 0 });
  let answer: () => void = () => undefined;
  gitlab.delay = new Promise((resolve) => (answer = resolve));
  const renewal = keeper.tokenFor(id);
  await turns();
  store.saved = pair(50, clock.now() + hours2);
  answer();
  assert.is((await renewal).open(), 'a50');
  assert.is(store.saved.accessToken.open(), 'a50');
});

tokens('nor can a refresh that fails late condemn it, nor a pair that could not be saved', async () => {
  const late = arrange({ leftMs: 0 });
  let answer: () => void = () => undefined;
  late.gitlab.delay = new Promise((resolve) => (answer = resolve));
  late.gitlab.goodRefresh = 'x';
  const renewal = late.keeper.tokenFor(id);
  await turns();
  late.store.saved = pair(50, late.clock.now() + hours2);
  answer();
  await problemOf(renewal);
  assert.is(late.store.reconnect, 0);

  const full = arrange({ leftMs: 0 });
  full.store.full = true;
  await problemOf(full.keeper.tokenFor(id));
  full.store.full = false;
  full.store.saved = pair(60, full.clock.now() + hours2);
  assert.is((await full.keeper.tokenFor(id)).open(), 'a60');
});

tokens('whoever gives up waiting leaves the renewal to be finished and holds nothing', async () => {
  const { keeper, gitlab, store, clock } = arrange({ leftMs: 0 });
  let answer: () => void = () => undefined;
  gitlab.delay = new Promise((resolve) => (answer = resolve));
  const stop = new AbortController();
  const waiting = keeper.withToken(id, () => Promise.resolve('used'), stop.signal);
  await turns();
  const reason = new Error('stopping');
  stop.abort(reason);
  assert.is(await waiting.catch((error: unknown) => error), reason);
  answer();
  await turns();
  assert.is(store.saved.accessToken.open(), 'a2');
  clock.pass(hours2);
  assert.is((await keeper.tokenFor(id)).open(), 'a3');
});

tokens('an access token without a refresh token is used until GitLab refuses it', async () => {
  const { keeper, store, use, gitlab } = arrange();
  store.saved = { ...store.saved, refreshToken: new Secret('') };
  assert.is(await keeper.withToken(id, use), 'a1');
  gitlab.good = 'x';
  assert.is((await problemOf(keeper.withToken(id, use))).code, 'grant-lost');
  assert.is(gitlab.refreshes, 0);
  assert.is(store.reconnect, 1);
});

tokens('a token that lives half a minute is renewed at three quarters of its life, not for each use', async () => {
  const { keeper, gitlab, store, clock } = arrange();
  store.saved = { ...store.saved, issuedAt: clock.now(), expiresAt: clock.now() + 30_000 };
  clock.pass(22_000);
  await keeper.tokenFor(id);
  assert.is(gitlab.refreshes, 0);
  clock.pass(1_000);
  await keeper.tokenFor(id);
  assert.is(gitlab.refreshes, 1);
});

tokens.run();
