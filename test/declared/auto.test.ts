import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAutoApply } from '../../src/declared/auto.ts';
import type { ApplyResult } from '../../src/model/declared.ts';
import { Problem } from '../../src/model/problem.ts';

/** The daemon's own file, applied at start, on SIGHUP, and again while GitLab does not answer. */
const test = suite('applying by itself');

const good: ApplyResult = { file: '/m.yaml', kind: 'applied', changes: [], waiting: [], notes: [] };
const bad: ApplyResult = {
  ...{ file: '/m.yaml', kind: 'faults' },
  faults: [{ line: 3, column: 1, path: 'sites', text: 'It must be a list.' }],
};

/** Lets everything go on that can. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Applies give these one after the other; the last one for ever. */
function arrange(answers: readonly (ApplyResult | Problem)[]) {
  const waits: number[] = [];
  const asked: string[] = [];
  const logged: string[] = [];
  let at = 0;
  const auto = createAutoApply({
    async apply(_file, { by }) {
      asked.push(by);
      const answer = answers[Math.min(at, answers.length - 1)];
      at += 1;
      if (answer instanceof Problem) throw answer;
      return answer ?? good;
    },
    file: '/m.yaml',
    clock: {
      sleep(ms) {
        waits.push(ms);
        return turn();
      },
    },
    log: (level, message) => void logged.push(`${level}: ${message}`),
  });
  return { auto, waits, asked, logged };
}

test('a GitLab that does not answer is asked again, later each time, until it does', async () => {
  const down = new Problem('gitlab-unreachable', { host: 'gitlab.example' });
  const { auto, waits, asked, logged } = arrange([down, down, good]);
  auto.begin('start');
  while (asked.length < 3) await turn();
  await auto.stop();
  assert.equal(waits, [5_000, 10_000]);
  assert.is(auto.trouble(), undefined);
  assert.match(logged.join('\n'), 'warn: /m.yaml is not applied yet: it is tried again.');
});

test('a file with faults is not tried again by itself, and is over with the next good one', async () => {
  const { auto, waits, asked } = arrange([bad, good]);
  auto.begin('start');
  while (auto.trouble() === undefined) await turn();
  assert.is(auto.trouble(), '/m.yaml:3:1: sites: It must be a list.');
  auto.begin('SIGHUP');
  while (auto.trouble() !== undefined) await turn();
  await auto.stop();
  assert.equal([asked, waits], [['start', 'SIGHUP'], []]);
});

test('stopping ends the wait for GitLab', async () => {
  const { auto, asked } = arrange([new Problem('gitlab-unreachable', {})]);
  auto.begin('start');
  while (asked.length < 2) await turn();
  await auto.stop();
  const tries = asked.length;
  await turn();
  assert.is(asked.length, tries);
});

test.run();
