import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lastingTries } from '../../src/model/notice.ts';
import type { ProjectId } from '../../src/model/instance.ts';
import type { SiteId } from '../../src/model/site.ts';
import { binding } from '../web/support.ts';
import { bad, connection, day, good, harbourmaster, hold, minute, noon } from './support.ts';

const test = suite('notifier');

const unreachable = { problem: { code: 'gitlab-unreachable', facts: { host: 'gitlab.example' }, cause: '' } } as const;

test('a hold is told once, with what happened, what was not touched, what to do and where; its end once more', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  assert.equal(await world.look(), [], 'all is well, and nobody is told so');
  world.is(museum, 'hold', hold('folder-lost-files'));
  assert.equal(await world.look(), ['Mooring: Museum is on hold: The folder lost 30 of 40 files']);
  const [entry] = world.sent[0]?.message.entries ?? [];
  assert.match(entry?.words.happened ?? '', 'Nothing is synced');
  assert.is(entry?.words.untouched, 'No edit: what is changed in the folder is kept, and waits.');
  assert.is(entry?.words.todo, 'Open the site and choose.');
  assert.equal(entry?.sites, [
    { id: 's1', name: 'Museum', repository: 'town/s1', branch: 'main', link: 'https://mooring.example/m/sites/s1' },
  ]);
  for (let i = 0; i < 50; i += 1) assert.equal(await world.look(), []);
  world.is(museum, 'in-sync');
  assert.equal(await world.look(), ['Mooring: Resolved: Museum is on hold: The folder lost 30 of 40 files']);
  assert.equal(await world.look(), []);
  assert.equal(world.ledger.incidents, [], 'and forgotten');
});

test('a try under way, GitLab being away and a restart are no end of a hold', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  world.is(museum, 'hold', hold('branch-missing'));
  assert.is((await world.look()).length, 1);
  for (const state of ['syncing', 'retrying', 'unknown', 'syncing'] as const) {
    world.is(museum, state);
    assert.equal(await world.look(), [], state);
  }
  world.restart();
  assert.equal(await world.look(), []);
  world.is(museum, 'hold', hold('branch-missing', { step: 'another' }));
  assert.equal(await world.look(), [], 'the same trouble');
  world.restart();
  world.is(museum, 'in-sync');
  assert.equal(await world.look(), ['Mooring: Resolved: Museum is on hold: The branch no longer exists in GitLab']);
});

test('another question is another incident; who pauses or disconnects knows, and is not written to', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  world.is(museum, 'hold', hold('branch-missing'));
  await world.look();
  world.is(museum, 'hold', hold('root-missing'));
  assert.equal(await world.look(), ['Mooring: Museum is on hold: The site’s folder is missing']);
  // Before the engine has got round to it.
  world.sites[0] = { ...world.sites[0]!, paused: true };
  assert.equal(await world.look(), []);
  assert.equal(world.ledger.incidents, []);
});

test('a site that keeps retrying is told after ten minutes, however often it tried; a shorter time is nobody’s business', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  const fail = async (minutes: number): Promise<readonly string[]> => {
    const told: string[] = [];
    for (let i = 0; i < minutes; i += 1) {
      world.is(museum, 'retrying', unreachable);
      told.push(...(await world.look(minute)));
      world.is(museum, 'syncing', unreachable);
    }
    return told;
  };
  assert.equal(await fail(9), []);
  world.is(museum, 'in-sync');
  assert.equal(await fail(9), [], 'it had got through between');
  assert.equal(await fail(3), ['Mooring: Museum keeps retrying: GitLab did not answer']);
  assert.equal(await fail(60), []);
  world.is(museum, 'in-sync');
  assert.equal(await world.look(), ['Mooring: Resolved: Museum keeps retrying: GitLab did not answer']);
});

test('what begins at the same time is one message, however many sites it is, and says how many it leaves out', async () => {
  const world = harbourmaster();
  for (let i = 0; i < 60; i += 1) world.is(world.add(`Site ${i}`), 'hold', hold('branch-missing'));
  assert.equal(await world.look(), ['Mooring: 60 items need attention']);
  assert.is(world.sent[0]?.message.entries.length, 10);
  assert.is(world.sent[0]?.message.more, 50);
  for (const { id } of world.sites) world.is(id, 'in-sync');
  assert.equal(await world.look(), ['Mooring: 60 items resolved']);
});

test('a lost grant is told once for all its sites, and is over when a site gets through', async () => {
  const world = harbourmaster();
  const ids = ['Museum', 'Library'].map((name) => world.add(name));
  for (const id of ids) world.is(id, 'hold', hold('reconnect'));
  world.connections = [connection({ health: 'reconnect' })];
  assert.equal(await world.look(), ['Mooring: GitLab no longer accepts the connection of @bot']);
  assert.equal(
    world.sent[0]?.message.entries[0]?.sites.map(({ name }) => name),
    ['Museum', 'Library'],
  );
  world.connections = [connection()];
  for (const id of ids) world.is(id, 'syncing');
  assert.equal(await world.look(), []);
  for (const id of ids) world.is(id, 'in-sync');
  assert.equal(await world.look(), ['Mooring: Resolved: GitLab no longer accepts the connection of @bot']);
});

test('an access token that is lost is told as one, and what to do is to enter another', async () => {
  const world = harbourmaster();
  world.is(world.add('Museum'), 'hold', hold('reconnect'));
  world.connections = [connection({ health: 'reconnect', accessToken: {} })];
  assert.equal(await world.look(), ['Mooring: GitLab no longer accepts the access token of @bot']);
  const words = JSON.stringify(world.sent[0]?.message.entries[0]);
  assert.match(words, 'Enter a new access token');
  assert.not.match(words, /grant|Reconnect/);
});

test('a site whose connection is gone altogether is told by itself', async () => {
  const world = harbourmaster();
  world.connections = [];
  world.is(world.add('Museum'), 'hold', hold('reconnect'));
  assert.equal(await world.look(), ['Mooring: Museum is on hold: GitLab must be connected again']);
});

test('a token is told of thirty days, seven days and a day before its end, also over restarts, and when it is renewed', async () => {
  const world = harbourmaster();
  world.add('Museum');
  const expiresAt = noon + 40 * day;
  world.connections = [connection({ accessToken: { expiresAt } })];
  const told: string[] = [];
  for (let at = 0; at < 41; at += 1) {
    told.push(...(await world.look(day)).map((subject) => `${Math.round((expiresAt - world.now) / day)}: ${subject}`));
    world.restart();
  }
  assert.equal(told, [
    '29: Mooring: The access token of @bot ends in 29 days',
    '6: Mooring: The access token of @bot ends in 6 days',
    '0: Mooring: The access token of @bot ends within a day',
  ]);
  world.connections = [connection({ accessToken: { expiresAt: expiresAt + 365 * day } })];
  assert.match((await world.look())[0] ?? '', /^Mooring: Resolved: The access token of @bot/);
  world.connections = [connection({ accessToken: { expiresAt: world.now + 3 * day } })];
  world.sites = [];
  assert.equal(await world.look(), [], 'nobody uses it');
});

test('what is still on hold is told once a day after eight, and only then', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  world.is(museum, 'hold', hold('branch-missing'));
  assert.is((await world.look()).length, 1);
  const through = async (hours: number): Promise<string[]> => {
    const told: string[] = [];
    for (let i = 0; i < hours; i += 1)
      told.push(...(await world.look(60 * minute)).map((subject) => `${new Date(world.now).getHours()}: ${subject}`));
    return told;
  };
  assert.equal(await through(24 + 12), ['8: Mooring: 1 site is still on hold']);
  assert.is(world.sent.at(-1)?.message.kind, 'digest');
  assert.is(world.sent.at(-1)?.message.entries[0]?.state, 'still');
  world.restart();
  world.is(museum, 'hold', hold('branch-missing'));
  assert.equal(
    await through(24),
    ['8: Mooring: 1 site is still on hold'],
    'not twice in a day, after a restart either',
  );
  world.is(museum, 'in-sync');
  await world.look();
  assert.equal(await through(48), [], 'nothing is on hold');
});

test('a channel that fails is tried with growing pauses, then hourly; nothing is lost and nothing piles up', async () => {
  const world = harbourmaster(['mail', 'webhook']);
  const museum = world.add('Museum');
  let tries = 0;
  world.delivery = (channel) => {
    if (channel === 'webhook') return good;
    tries += 1;
    return bad;
  };
  world.is(museum, 'hold', hold('branch-missing'));
  const at: number[] = [];
  const from = world.now;
  for (let seen = 0; world.now < from + 180 * minute;) {
    await world.look();
    if (tries > seen) at.push(Math.round((world.now - from) / minute));
    seen = tries;
  }
  assert.equal(at, [0, 1, 4, 14, 44, 104, 164]);
  assert.equal(
    world.sent.map(({ channel }) => channel),
    ['webhook'],
    'the other channel does not wait for it',
  );
  const failure = world.notifier.record('mail').failure;
  assert.ok((failure?.times ?? 0) >= lastingTries);
  assert.is(failure?.happened, 'It did not answer.');
  assert.is(failure?.first, from + 15_000);
  assert.ok(world.logged.includes('A notification could not be sent.'));
  assert.is(world.ledger.incidents.length, 1);

  world.restart();
  world.is(museum, 'hold', hold('branch-missing'));
  world.delivery = () => good;
  assert.equal(await world.look(), [], 'a restart is no reason to hurry');
  assert.equal(await world.look(61 * minute), ['Mooring: Museum is on hold: The branch no longer exists in GitLab']);
  assert.is(world.notifier.record('mail').failure, undefined);
});

test('what was over before it could be told is not told', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  world.delivery = () => bad;
  world.is(museum, 'hold', hold('branch-missing'));
  await world.look();
  world.is(museum, 'in-sync');
  world.delivery = () => good;
  assert.equal(await world.look(day), []);
  assert.equal(world.ledger.incidents, []);
});

test('an end that cannot be told is remembered for a week and no longer', async () => {
  const world = harbourmaster();
  const museum = world.add('Museum');
  world.is(museum, 'hold', hold('branch-missing'));
  await world.look();
  world.is(museum, 'in-sync');
  world.delivery = () => bad;
  await world.look();
  assert.is(world.ledger.incidents.length, 1);
  await world.look(8 * day);
  assert.equal(world.ledger.incidents, []);
});

test('more than five hundred incidents are not remembered', async () => {
  const world = harbourmaster();
  for (let i = 0; i < 620; i += 1) world.is(world.add(`Site ${i}`), 'hold', hold('branch-missing'));
  assert.equal(await world.look(), ['Mooring: 500 items need attention']);
  assert.is(world.ledger.incidents.length, 500);
});

test('without a channel nothing is kept; one that is turned on hears what is on hold', async () => {
  const world = harbourmaster([]);
  world.is(world.add('Museum'), 'hold', hold('branch-missing'));
  await world.look();
  assert.equal(world.ledger.incidents, []);
  assert.equal(await world.notifier.test('mail', 'Ana'), {
    kind: 'bad',
    happened: 'This way is off.',
    todo: 'Turn it on and save it first.',
  });
  world.on = ['webhook'];
  assert.is((await world.look()).length, 1);
  world.on = ['webhook', 'mail'];
  await world.look();
  assert.equal(
    world.sent.map(({ channel }) => channel),
    ['webhook', 'mail'],
  );
});

test('a disk that takes nothing does not make a channel tell the same again and again', async () => {
  const full = harbourmaster();
  full.is(full.add('Museum'), 'hold', hold('branch-missing'));
  Object.defineProperty(full, 'ledger', {
    set: () => {
      throw new Error('no room');
    },
    get: () => ({ incidents: [], channels: {} }),
  });
  assert.is((await full.look()).length, 1);
  assert.is((await full.look()).length, 0);
  assert.is(full.logged.filter((line) => line.includes('cannot be written')).length, 1, 'said once');
});

test('a test goes out at once, also while a channel waits after failures, and says what came back', async () => {
  const world = harbourmaster();
  world.is(world.add('Museum'), 'hold', hold('branch-missing'));
  world.delivery = () => bad;
  await world.look();
  assert.equal(await world.notifier.test('mail', 'Ana'), bad);
  assert.is(world.notifier.record('mail').failure?.times, 2);
  world.delivery = () => good;
  assert.equal(await world.notifier.test('mail', 'Ana\r\nBcc: x'), good);
  assert.match(world.sent[0]?.message.lead ?? '', 'Ana\\x0d\\x0aBcc: x sent this test.');
  assert.is((await world.look()).length, 1, 'it works again, so what was owed follows');
});

test('branches that went back together are told once, with all that are seen within two minutes', async () => {
  const world = harbourmaster();
  const ids = ['Museum', 'Library', 'Parks'].map((name, n) =>
    world.add(name, { binding: binding(`town/${n}`, 'main', { projectId: n as ProjectId }) }),
  );
  const [museum, library, parks] = ids as [SiteId, SiteId, SiteId];
  const back = { choices: ['put-back', 'go-on'] } as const;
  world.is(museum, 'hold', hold('went-back', { ...back, at: world.now }));
  assert.equal(await world.look(minute), [], 'others may follow');
  world.is(library, 'hold', hold('went-back', { ...back, at: world.now }));
  world.is(parks, 'hold', hold('went-back', { ...back, at: world.now }));
  assert.equal(await world.look(minute - 1), []);
  const title = 'Mooring: 3 branches lost commits in GitLab, probably because it was restored from an older backup';
  assert.equal(await world.look(1), [title]);
  const [entry] = world.sent[0]?.message.entries ?? [];
  assert.equal(
    entry?.sites.map(({ name }) => name),
    ['Museum', 'Library', 'Parks'],
  );
  assert.match(entry?.words.todo ?? '', '“Push back what GitLab lost” or “Follow GitLab”');
  for (let i = 0; i < 20; i += 1) assert.equal(await world.look(minute), []);
  // The last one that is left is still part of what was told.
  world.is(museum, 'in-sync');
  world.is(library, 'in-sync');
  assert.equal(await world.look(), []);
  world.restart();
  assert.equal(await world.look(), [], 'nobody has looked since the start');
  for (const id of [museum, library]) world.is(id, 'in-sync');
  world.is(parks, 'hold', hold('went-back', { ...back, at: noon }));
  assert.equal(await world.look(), []);
  world.is(parks, 'in-sync');
  assert.equal(await world.look(), [title.replace('Mooring: ', 'Mooring: Resolved: ')]);
  assert.equal(world.ledger.incidents, []);
});

test('a branch that went back alone is told as a hold of its site; when others follow, as what it is', async () => {
  const world = harbourmaster();
  const [museum, library] = ['Museum', 'Library'].map((name, n) =>
    world.add(name, { binding: binding(`town/${n}`, 'main', { projectId: n as ProjectId }) }),
  ) as [SiteId, SiteId];
  const back = { lost: 2, newer: 0 };
  world.is(museum, 'hold', hold('went-back', { at: world.now, back }));
  assert.equal(await world.look(2 * minute), [
    'Mooring: Museum is on hold: GitLab no longer has 2 commits of this branch',
  ]);
  world.is(library, 'hold', hold('went-back', { at: world.now, back }));
  assert.equal(await world.look(), [
    'Mooring: 2 branches lost commits in GitLab, probably because it was restored from an older backup',
  ]);
  assert.is(world.ledger.incidents.length, 1, 'it is told twice from now on');
});

test.run();
