import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTokenExpiry } from '../../src/actions/token-expiry.ts';
import type { Connection, ConnectionId } from '../../src/model/instance.ts';
import type { Site } from '../../src/model/site.ts';

const ends = suite('actions/token-expiry');
const dayMs = 86_400_000;

function arrange(given: Partial<Connection>, isUsed = true) {
  const world = { days: 0, said: [] as unknown[], connection: connectionOf(given) };
  const tokens = createTokenExpiry({
    store: {
      instance: { connections: () => [world.connection] },
      sites: { all: () => (isUsed ? [{ binding: { connectionId: world.connection.id } } as Site] : []) },
    },
    clock: { now: () => world.days * dayMs },
    log: (level, _message, fields) => world.said.push([level, fields['user'], fields['days']]),
  });
  const at = (days: number): unknown[] => {
    world.days = days;
    world.said.length = 0;
    tokens.check();
    return [...world.said];
  };
  return { world, at };
}

function connectionOf(given: Partial<Connection>): Connection {
  return {
    ...{ id: 'c1' as ConnectionId, owner: 'ada', gitlabUserId: 1, username: 'bot', name: 'Bot', email: '' },
    ...{ scopes: 'api', health: 'good', renewedAt: 0, ...given },
  };
}

ends('a token’s end is said a month, a week and a day before: once each, and of a new one again', () => {
  const { world, at } = arrange({ accessToken: { expiresAt: 100 * dayMs } });
  assert.equal(at(69), []);
  assert.equal(at(71), [['warn', 'bot', 29]]);
  assert.equal(at(72), []);
  assert.equal(at(94), [['warn', 'bot', 6]]);
  assert.equal(at(94.5), []);
  assert.equal(at(99.5), [['warn', 'bot', 0]]);
  assert.equal(at(99.6), []);
  world.connection = connectionOf({ accessToken: { expiresAt: 102 * dayMs } });
  assert.equal(at(99.7), [['warn', 'bot', 2]]);
});

ends('nothing is said of a token without an end, of a grant, and of what no site uses', () => {
  assert.equal(arrange({ accessToken: {} }).at(99), []);
  assert.equal(arrange({}).at(99), []);
  assert.equal(arrange({ accessToken: { expiresAt: 100 * dayMs } }, false).at(99), []);
});

ends.run();
