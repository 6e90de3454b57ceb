import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createConnectionEnd } from '../../src/actions/connection-end.ts';
import type { Connection, ConnectionId } from '../../src/model/instance.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Binding, Site, SiteId } from '../../src/model/site.ts';

const ends = suite('actions/connection-end');

const site = (name: string, connectionId: string): Site =>
  ({ id: name, name, binding: { connectionId } }) as unknown as Site;
const blog = site('blog', 'c1');
const bound = blog.binding as Binding;

interface Given {
  /** Of the connection `c1`; null: it is not stored. */
  readonly connection?: Partial<Connection> | null;
  /** `c1`'s access token; empty: dropped. */
  readonly token?: string;
  readonly sites?: readonly Site[];
  readonly revokeFails?: boolean;
}

function arrange({ connection = {}, token = 't', sites = [blog], revokeFails = false }: Given) {
  const done: string[] = [];
  const c1 = { id: 'c1' as ConnectionId, owner: 'ana', health: 'good', ...connection } as Connection;
  const kept = connection === null ? [] : [c1];
  const end = createConnectionEnd({
    store: {
      instance: {
        connections: () => kept,
        connection: (id) => kept.find((one) => one.id === id),
        tokens: () => ({ accessToken: new Secret(token) }),
        setHealth: async (id, health) => void done.push(`${id} ${health}`),
        disconnect: async (id) => void done.push(`delete ${id}`),
      },
      sites: { all: () => sites, get: (id) => sites.find((one) => one.id === id) },
    },
    oauth: {
      async revoke(secret) {
        if (revokeFails) throw new Problem('gitlab-unreachable');
        done.push(`revoke ${secret.open()}`);
      },
    },
    tokens: { forget: (id) => void done.push(`forget ${id}`) },
    runtimes: { worker: (id) => ({ trigger: (trigger) => void done.push(`${id} ${trigger}`) }) },
    log: (_level, message) => void done.push(`log ${message.slice(0, 15)}`),
  });
  return { end, done };
}

const entered = { accessToken: {} };
const another = [blog, site('shop', 'c1')];

const fates: readonly (readonly [string, Given, string, readonly string[], RegExp | undefined])[] = [
  ['an authorised one is revoked', {}, 'revoked', ['revoke t', 'delete c1', 'forget c1'], undefined],
  [
    'an entered token is only forgotten',
    { connection: entered },
    'forgotten',
    ['delete c1', 'forget c1'],
    /still works/,
  ],
  ['one that another site uses stays', { sites: another }, 'shared', [], undefined],
  ['one whose tokens were dropped', { token: '' }, 'dropped', ['delete c1', 'forget c1'], /no longer has its tokens/],
  ['one that is not stored', { connection: null }, 'dropped', [], /no longer has its tokens/],
];

for (const [name, given, fate, steps, sentence] of fates) {
  ends(`${name}: what is announced is what happens`, async () => {
    const { end, done } = arrange(given);
    assert.is(end.fateOf(blog.id, bound), fate);
    assert.equal(done, [], 'asking changes nothing');
    const sentences = await end.endFor(blog.id, bound);
    assert.equal(done, steps);
    assert.is(sentences.length, sentence ? 1 : 0);
    if (sentence) assert.match(sentences[0] ?? '', sentence);
  });
}

ends('a GitLab that does not answer is reported, and the connection stays', async () => {
  const { end, done } = arrange({ revokeFails: true });
  assert.match((await end.endFor(blog.id, bound))[0] ?? '', /could not revoke/);
  assert.equal(done, []);
});

ends('an unused one ends quietly, a used one never', async () => {
  const unused = arrange({ sites: [] });
  await unused.end.endUnused('c1' as ConnectionId);
  assert.equal(unused.done, ['revoke t', 'delete c1', 'forget c1']);
  const used = arrange({});
  await used.end.endUnused('c1' as ConnectionId);
  assert.equal(used.done, []);
  await arrange({ sites: [], revokeFails: true }).end.endUnused('c1' as ConnectionId);
});

ends('with an account end its connections, and their sites find out; other accounts keep theirs', async () => {
  const { end, done } = arrange({ sites: [blog, site('shop', 'c2')] });
  await end.endAllOf('ben');
  assert.equal(done, []);
  await end.endAllOf('ana');
  assert.equal([...done].sort(), ['blog person', 'c1 reconnect', 'revoke t']);
});

ends('an account is removed although GitLab does not answer', async () => {
  const { end, done } = arrange({ revokeFails: true });
  await end.endAllOf('ana');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(done, ['c1 reconnect', 'blog person', 'log A removed admin']);
});

ends('only an entered token that is still here is used again', async () => {
  const cases: readonly (readonly [Given, readonly string[]])[] = [
    [{ connection: entered }, ['c1 good']],
    [{}, []],
    [{ connection: entered, token: '' }, []],
    [{ connection: entered, sites: [] }, []],
  ];
  for (const [given, steps] of cases) {
    const { end, done } = arrange(given);
    await end.useAgain('blog' as SiteId);
    assert.equal(done, steps);
  }
});

ends.run();
