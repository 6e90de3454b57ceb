import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createConnectionActions, type Tokens } from '../../src/actions/connections.ts';
import { makePkce } from '../../src/gitlab/oauth.ts';
import type { Connection, ConnectionId } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { until } from '../support/until.ts';
import { handClock, problemOf, realRandom } from '../net/support.ts';
import { deny, type Scene, withGitLab } from '../gitlab/support.ts';

const connections = suite('actions/connections');
const me = { accountId: 'account-1', sessionKey: 'session-1' };
const site = 's1' as SiteId;

/** `isSilent`: a GitLab that tells nothing about a token. */
function arrange(scene: Scene, { isSilent = false } = {}) {
  const clock = handClock(Date.now());
  const kept: { connection: Connection; tokens: Tokens }[] = [];
  const logged: string[] = [];
  const told: string[] = [];
  const woken: string[] = [];
  const waiting: Site[] = [];
  const acts = createConnectionActions({
    oauth: scene.oauth,
    makePkce,
    client: {
      user: scene.client.user,
      tokenFacts: (token) => (isSilent ? Promise.resolve(undefined) : scene.client.tokenFacts(token)),
    },
    runtimes: { worker: (id) => ({ trigger: (trigger) => woken.push(`${id} ${trigger}`) }) },
    report: ({ by, act, detail }) => told.push(`${by} ${act} ${detail}`),
    store: {
      accounts: { get: () => ({ name: 'Ana' }) },
      sites: { all: () => waiting },
      instance: {
        get: scene.instance,
        connection: (id) => kept.findLast(({ connection }) => connection.id === id)?.connection,
        connectionOf: (owner) => kept.findLast(({ connection }) => connection.owner === owner)?.connection,
        connect: (made, tokens) => {
          const before = kept.findLast(({ connection }) => connection.gitlabUserId === made.gitlabUserId);
          const id = before?.connection.id ?? (`c${kept.length}` as ConnectionId);
          const connection: Connection = { ...made, id, health: 'good', renewedAt: tokens.issuedAt };
          kept.push({ connection, tokens });
          return Promise.resolve(before ? { connection, replaced: before.tokens } : { connection });
        },
      },
    },
    log: (_level, message) => logged.push(message),
    clock,
    random: realRandom,
  });
  return { acts, kept, clock, logged, told, woken, waiting };
}

connections('a person authorises, and the connection is theirs', () =>
  withGitLab(async (scene) => {
    const { acts, kept } = arrange(scene);
    assert.is(acts.mine(me.accountId), undefined);
    const back = await scene.authorize(await acts.begin(me, { site }));
    const done = await acts.finish(me, back);
    assert.equal(done.wanted, { site });
    assert.is(done.connection.username, 'ana');
    assert.is(done.connection.email, 'ana@example.org');
    assert.is(done.connection.owner, me.accountId);
    assert.is(acts.mine(me.accountId)?.id, done.connection.id);
    assert.is(acts.get(done.connection.id), done.connection);
    assert.is((await scene.client.user(kept[0]?.tokens.accessToken ?? (undefined as never))).username, 'ana');
  }),
);

connections('sites that waited for the connection go on at once, others are left alone, and the audit log has it', () =>
  withGitLab(async (scene) => {
    const { acts, told, woken, waiting } = arrange(scene);
    const connect = async () =>
      (await acts.finish(me, await scene.authorize(await acts.begin(me, { site })))).connection;
    const { id: connectionId } = await connect();
    const siteOf = (name: string, of: string) => ({ id: name, binding: { connectionId: of } }) as unknown as Site;
    waiting.push(siteOf('blog', connectionId), siteOf('shop', 'another'));
    await connect();
    assert.equal(woken, ['blog person']);
    assert.equal(told, ['Ana connected-gitlab @ana', 'Ana connected-gitlab @ana']);
  }),
);

connections('authorising again ends the pair before at GitLab, never the new one; that it fails is only logged', () =>
  withGitLab(async (scene) => {
    const { acts, kept, logged } = arrange(scene);
    const connect = async (): Promise<void> =>
      void (await acts.finish(me, await scene.authorize(await acts.begin(me, { site }))));
    const works = (at: number): Promise<boolean> =>
      scene.client.user(kept[at]?.tokens.accessToken ?? new Secret('none')).then(
        () => true,
        () => false,
      );
    await connect();
    await connect();
    await until('the pair before has ended', async () => !(await works(0)) || undefined);
    assert.is(await works(1), true);
    assert.equal(logged, []);
    scene.gitlab.faults.add({ match: ({ path }) => path.endsWith('/oauth/revoke'), status: 500 });
    await connect();
    await until('it is logged', async () => logged.length > 0 || undefined);
    assert.equal([await works(2), acts.mine(me.accountId)?.id], [true, kept[0]?.connection.id]);
  }),
);

connections(
  'a token’s last day where GitLab does not tell: read as its beginning in UTC, wrong ones told at the field',
  () =>
    withGitLab(async (scene) => {
      const { acts, clock, kept } = arrange(scene, { isSilent: true });
      const enter = (expires: string): Promise<Connection> =>
        acts.useToken(me.accountId, { accessToken: scene.pat('ana').open(), expires });
      const next = new Date(clock.now() + 40 * 86_400_000).toISOString().slice(0, 10);
      assert.equal((await enter(` ${next} `)).accessToken, { expiresAt: Date.parse(`${next}T00:00:00Z`) });
      assert.is(kept.at(-1)?.tokens.expiresAt, Date.parse(`${next}T00:00:00Z`));
      assert.equal((await enter('')).accessToken, {});
      const today = new Date(clock.now()).toISOString().slice(0, 10);
      for (const [wrong, said] of [
        ['31.3.2027', 'Write the day as 2027-03-31.'],
        ['2027-02-30x', 'Write the day as 2027-03-31.'],
        ['2027-13-01', 'Write the day as 2027-03-31.'],
        ['2020-01-01', 'This day is over'],
        [today, 'This day is over'],
      ] as const) {
        const problem = await problemOf(enter(wrong));
        assert.is(problem.code, 'form-invalid');
        assert.match(problem.facts['expires'] ?? '', said, wrong);
      }
      assert.is(kept.length, 2);
    }),
);

connections('a connection is used by its id only by the account that made it, and while it works', () =>
  withGitLab(async (scene) => {
    const { acts, kept } = arrange(scene);
    const { id } = await acts.useToken(me.accountId, { accessToken: scene.pat('ana').open(), expires: '' });
    assert.is(acts.mine(me.accountId, id)?.id, id);
    assert.is(acts.mine('account-2', id), undefined);
    assert.is(acts.mine(me.accountId, 'unknown'), undefined);
    const [{ connection, tokens }] = kept as [(typeof kept)[number]];
    kept.push({ connection: { ...connection, health: 'reconnect' }, tokens });
    assert.is(acts.mine(me.accountId, id), undefined);
  }),
);

connections('saying no in GitLab is told as such', () =>
  withGitLab(async (scene) => {
    const { acts, kept } = arrange(scene);
    const back = await deny(await acts.begin(me, { site }));
    assert.is(back['error'], 'access_denied');
    const problem = await problemOf(acts.finish(me, back));
    assert.is(problem.code, 'authorisation-denied');
    assert.is(problem.facts['error'], 'access_denied');
    assert.is(kept.length, 0);
  }),
);

connections('forged, replayed, late and foreign callbacks store nothing and ask GitLab nothing', () =>
  withGitLab(async (scene) => {
    const { acts, kept, clock } = arrange(scene);
    const asked = () => scene.gitlab.requests.filter(({ path }) => path.endsWith('/oauth/token')).length;
    const forged = async (query: object, browser = me) => {
      assert.is((await problemOf(acts.finish(browser, query))).code, 'callback-forged');
    };
    const fresh = () => acts.begin(me, { site }).then((url) => new URL(url).searchParams.get('state') ?? '');
    await forged({});
    await forged({ code: 'x' });
    await forged({ state: '', code: 'x' });
    await forged({ state: 'guess', code: 'x' });
    await forged({ state: await fresh() });
    await forged({ state: await fresh(), code: 'x' }, { ...me, sessionKey: 'another browser' });
    await forged({ state: await fresh(), code: 'x' }, { ...me, accountId: 'another account' });
    const late = await fresh();
    clock.pass(10 * 60_000 + 1);
    await forged({ state: late, code: 'x' });
    const moved = await fresh();
    const before = scene.instance();
    scene.configure({ url: 'http://other.example', tokenUrl: 'http://other.example/oauth/token' });
    await forged({ state: moved, code: 'x' });
    scene.configure(before);
    assert.is(asked(), 0);
    const back = await scene.authorize(await acts.begin(me, { site }));
    await acts.finish(me, back);
    await forged(back);
    assert.is(asked(), 1);
    assert.is(kept.length, 1);
  }),
);

connections('states are unguessable and different, and the verifier is not in the URL', () =>
  withGitLab(async (scene) => {
    const { acts } = arrange(scene);
    const urls = await Promise.all([1, 2, 3].map(() => acts.begin(me, { site })));
    const states = urls.map((url) => new URL(url).searchParams.get('state') ?? '');
    assert.is(new Set(states).size, 3);
    for (const state of states) assert.ok(Buffer.from(state, 'base64url').length >= 16);
    for (const url of urls) {
      assert.is(new URL(url).searchParams.get('code_challenge_method'), 'S256');
      assert.not.match(url, 'verifier');
      assert.not.match(url, scene.instance().secret.open());
    }
  }),
);

connections('if GitLab does not tell who it is, the grant is not kept', () =>
  withGitLab(async (scene) => {
    const { acts, kept } = arrange(scene);
    const back = await scene.authorize(await acts.begin(me, { site }));
    scene.gitlab.faults.add({ match: ({ path }) => path.endsWith('/user'), status: 500 });
    assert.is((await problemOf(acts.finish(me, back))).code, 'gitlab-error');
    assert.is(kept.length, 0);
    assert.ok(scene.gitlab.requests.some(({ path }) => path.endsWith('/oauth/revoke')));
  }),
);

connections(
  'S24: another instance’s answer is refused; a code goes to the configured instance’s token endpoint alone',
  () =>
    withGitLab((ours) =>
      withGitLab(async (other) => {
        const { acts, kept } = arrange(ours);
        const asked = ({ gitlab }: Scene) => gitlab.requests.filter(({ path }) => path.endsWith('/oauth/token')).length;
        const back = await ours.authorize(await acts.begin(me, { site }));
        const mixed = await problemOf(acts.finish(me, { ...back, iss: other.gitlab.url }));
        assert.is(mixed.code, 'callback-forged');
        assert.equal([asked(ours), asked(other)], [0, 0], 'the code was sent somewhere');
        const { state = '' } = Object.fromEntries(new URL(await acts.begin(me, { site })).searchParams);
        const { code = '' } = await other.authorize(await arrange(other).acts.begin(me, { site }));
        await problemOf(acts.finish(me, { state, code }));
        assert.equal([asked(ours), asked(other)], [1, 0]);
        assert.is(kept.length, 0);
        const good = await ours.authorize(await acts.begin(me, { site }));
        await acts.finish(me, { ...good, iss: `${ours.gitlab.url}/` });
        assert.is(kept.length, 1);
      }),
    ),
);

connections.run();
