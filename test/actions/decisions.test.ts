import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDecisions } from '../../src/actions/decisions.ts';
import type { RunRecord } from '../../src/model/event.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Conflict } from '../../src/model/plan.ts';
import type { Hold, HoldChoice, SiteId } from '../../src/model/site.ts';
import { type Oid, pathFromText } from '../../src/model/tree.ts';

const decisions = suite('decisions');
const site = 'museum' as SiteId;
const path = pathFromText('menus/été.md');

function arrange(
  over: { conflict?: Partial<Conflict>; hold?: Hold; all?: Hold['samples']; outdated?: readonly string[] } = {},
) {
  const asked: unknown[][] = [];
  const acts: { act: string; detail: string }[] = [];
  let conflicts: readonly Conflict[] = [
    { id: 'k1', at: 1, path, kind: 'content', live: 'repository', ...over.conflict },
  ];
  const made = createDecisions({
    runtimes: {
      worker: () => ({
        status: () => (over.hold ? { hold: over.hold } : {}),
        heldPaths: () => over.all ?? [],
        async choose(step: string, choice: HoldChoice) {
          if (over.outdated?.includes(step)) throw new Problem('plan-outdated', {});
          asked.push(['choose', step, choice]);
        },
        resolve: async (conflict: Conflict, choice) => void asked.push(['resolve', conflict.id, choice]),
        restore: async (id, at) => void asked.push(['restore', id, at]),
        removeLetGo: async (at) => void asked.push(['remove', at]),
        kept: async () => [],
        keptFiles: async () => [{ path, oid: 'o1' as Oid, size: 3 }],
        content: async () => Buffer.from('old'),
        conflictsChanged: () => void asked.push(['changed']),
      }),
      followed: async (_id, content) => content,
      conflicts: () => conflicts,
      saveConflicts: async (_id, next) => void (conflicts = next),
    },
    store: {
      history: {
        runs: async () => ({ rows: [{ letGo: [path] } as Pick<RunRecord, 'letGo'> as RunRecord] }),
      },
    },
    projects: { adopt: async (_id, created) => void asked.push(['adopt', created]) },
    connectionEnd: { useAgain: async () => void asked.push(['use again']) },
    clock: { now: () => 7 },
    report: ({ act, detail }) => void acts.push({ act, detail }),
  });
  return { made, asked, acts, conflicts: () => conflicts };
}

decisions('what is live already needs no work, the other version does; both end the question', async () => {
  for (const [choice, work] of [
    ['repository', [['changed']]],
    ['site', [['resolve', 'k1', 'site'], ['changed']]],
  ] as const) {
    const { made, asked, conflicts, acts } = arrange();
    await made.resolve(site, 'k1', choice, 'Ana');
    assert.equal(asked, work);
    assert.equal(conflicts()[0]?.resolved, { at: 7, by: 'Ana', choice });
    assert.equal(acts, [{ act: 'resolved', detail: 'menus/été.md' }]);
  }
});

decisions('of a path that waits, either choice is work', async () => {
  const { made, asked } = arrange({ conflict: { live: 'both' } });
  await made.resolve(site, 'k1', 'repository', 'Ana');
  assert.equal(asked, [['resolve', 'k1', 'repository'], ['changed']]);
});

decisions('a restore is told by what came back and from when, not by its number', async () => {
  const { made, acts } = arrange();
  await made.restore(site, '20261119T140702Z-0123456789ab', undefined, 'Ana');
  await made.restore(site, '20261119T140702Z-0123456789ab', path, 'Ana');
  assert.equal(
    acts.map(({ detail }) => detail),
    ['the whole folder as of 2026-11-19 14:07 UTC', 'menus/été.md'],
  );
});

decisions('all paths of a question are given, also right after a restart', () => {
  const samples = [{ path, mark: '-' as const }];
  const tally = { added: 0, changed: 0, removed: 9 };
  const hold: Hold = { code: 'branch-lost-files', at: 1, step: 's', total: 9, tally, samples, choices: [] };
  assert.equal(arrange({ hold }).made.heldPaths(site), samples);
  const all = [...samples, { path: pathFromText('b'), mark: '-' as const }];
  assert.equal(arrange({ hold, all }).made.heldPaths(site), all);
});

decisions('that a lost authorisation works again: GitLab is asked with it before the site goes on', async () => {
  const none = { added: 0, changed: 0, removed: 0 };
  const hold: Hold = {
    ...{ code: 'reconnect', at: 1, step: 'grant-lost:', total: 0, tally: none, samples: [] },
    choices: ['try-again'],
  };
  const { made, asked } = arrange({ hold });
  await made.choose(site, 'grant-lost:', 'try-again', 'Ana');
  assert.equal(asked, [['use again'], ['choose', 'grant-lost:', 'try-again']]);
  const other = arrange({ hold: { ...hold, code: 'stopped' } });
  await other.made.choose(site, 'grant-lost:', 'try-again', 'Ana');
  assert.equal(other.asked, [['choose', 'grant-lost:', 'try-again']]);
});

decisions('only what a run let go is removed from the folder too', async () => {
  const { made, asked, acts } = arrange();
  try {
    await made.removeLetGo(site, pathFromText('index.html'), 'Miriam');
    assert.unreachable();
  } catch (error) {
    assert.is((error as Problem).code, 'not-found');
  }
  assert.equal(asked, []);
  await made.removeLetGo(site, path, 'Miriam');
  assert.equal(asked, [['remove', path]]);
  assert.equal(acts, [{ act: 'chose', detail: 'remove menus/été.md' }]);
});

decisions(
  'one answer for several sites: each is told, and whose question is another one by now is left alone',
  async () => {
    const tally = { added: 0, changed: 0, removed: 0 };
    const { made, asked, acts } = arrange({
      hold: { code: 'went-back', at: 1, step: 'a:b', total: 0, tally, samples: [], choices: ['put-back', 'go-on'] },
      outdated: ['c:d'],
    });
    const answers = [
      { site: 'museum' as SiteId, step: 'a:b' },
      { site: 'shop' as SiteId, step: 'c:d' },
      { site: 'parks' as SiteId, step: 'a:b' },
    ];
    assert.equal(await made.chooseForEach(answers, 'put-back', 'Ana'), ['shop']);
    assert.equal(asked, [
      ['choose', 'a:b', 'put-back'],
      ['choose', 'a:b', 'put-back'],
    ]);
    assert.equal(acts, [
      { act: 'chose', detail: 'put-back' },
      { act: 'chose', detail: 'put-back' },
    ]);
  },
);

decisions.run();
