import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEvents, type Events } from '../src/events.ts';
import type { Numbered, SyncEvent } from '../src/model/event.ts';

const eventsSuite = suite('events');

const act = (detail: string): SyncEvent => ({
  kind: 'act',
  act: { id: detail, at: 0, by: 'Ada', act: 'paused', detail },
});
const detailOf = (event: Numbered): string => (event.kind === 'act' ? event.act.detail : '');

function bus(capacity = 1000): { events: Events; faults: unknown[]; clock: { at: number } } {
  const faults: unknown[] = [];
  const clock = { at: 5_000 };
  return { events: createEvents({ now: () => clock.at, onFault: (e) => faults.push(e), capacity }), faults, clock };
}

eventsSuite('every follower hears every event, with growing ids and a time', () => {
  const { events } = bus();
  const heard: Numbered[] = [];
  events.follow(undefined, (event) => heard.push(event));
  const first = events.publish(act('a'));
  events.publish(act('b'));
  assert.equal(heard.map(detailOf), ['a', 'b']);
  assert.is(heard[0], first);
  assert.is(heard[1]!.id, first.id + 1);
  assert.is(first.at, 5_000);
});

eventsSuite('who comes back with an id hears what was missed, then what comes', () => {
  const { events } = bus();
  const { id } = events.publish(act('a'));
  events.publish(act('b'));
  const [since, fresh]: string[][] = [[], []];
  events.follow(id, (event) => since!.push(detailOf(event)));
  events.follow(undefined, (event) => fresh!.push(detailOf(event)));
  events.publish(act('c'));
  assert.equal([since, fresh], [['b', 'c'], ['c']]);
});

eventsSuite('an id from before a restart replays what is new', () => {
  const before = bus();
  const { id } = before.events.publish(act('old'));
  const after = createEvents({ now: () => 6_000, onFault: () => undefined });
  after.publish(act('new'));
  const heard: string[] = [];
  after.follow(id, (event) => heard.push(detailOf(event)));
  assert.equal(heard, ['new']);
});

eventsSuite('only so many are remembered', () => {
  const { events } = bus(3);
  for (const detail of ['a', 'b', 'c', 'd']) events.publish(act(detail));
  const heard: string[] = [];
  events.follow(0, (event) => heard.push(detailOf(event)));
  assert.equal(heard, ['b', 'c', 'd']);
});

eventsSuite('who stops hears no more, also from within', () => {
  const { events } = bus();
  const heard: string[] = [];
  const stop = events.follow(undefined, (event) => {
    heard.push(detailOf(event));
    stop();
    stop();
  });
  events.publish(act('a'));
  events.publish(act('b'));
  assert.equal(heard, ['a']);
});

eventsSuite('a follower that throws disturbs nobody', () => {
  const { events, faults } = bus();
  const heard: string[] = [];
  events.publish(act('z'));
  events.follow(0, () => {
    throw new Error('mine');
  });
  events.follow(undefined, (event) => heard.push(detailOf(event)));
  events.publish(act('a'));
  assert.equal([heard, faults.length], [['a'], 2]);
});

eventsSuite('what a follower publishes comes after, in the same order for everybody', () => {
  const { events } = bus();
  const [one, two]: string[][] = [[], []];
  events.follow(undefined, (event) => {
    one!.push(detailOf(event));
    if (detailOf(event) === 'a') events.publish(act('b'));
  });
  events.follow(undefined, (event) => two!.push(detailOf(event)));
  events.publish(act('a'));
  assert.equal(
    [one, two],
    [
      ['a', 'b'],
      ['a', 'b'],
    ],
  );
});

eventsSuite('what is published during a replay is heard once, after it', () => {
  const { events } = bus();
  events.publish(act('a'));
  events.publish(act('b'));
  const heard: string[] = [];
  events.follow(0, (event) => {
    heard.push(detailOf(event));
    if (detailOf(event) === 'a') events.publish(act('c'));
  });
  assert.equal(heard, ['a', 'b', 'c']);
});

eventsSuite.run();
