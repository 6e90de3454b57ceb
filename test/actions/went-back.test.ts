import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Hold, Site, SiteId, SiteStatus } from '../../src/model/site.ts';
import { type WentBackGroup, wentBackGroup, wentBackWords } from '../../src/model/went-back.ts';

/** Sites whose branches went back together: told from several that did so one by one. */
const together = suite('branches that went back together');

const minute = 60_000;

interface Given {
  readonly at?: number;
  readonly code?: Hold['code'];
  readonly project?: number;
  readonly branch?: string;
  readonly paused?: true;
  readonly connected?: false;
}

/** Site `s1`, `s2` …; `at`: in minutes, absent: not on hold. */
function groupOf(...given: readonly Given[]): WentBackGroup | undefined {
  const sites = given.map(({ project, branch = 'main', paused = false, connected = true }, n) => ({
    ...{ id: `s${n + 1}` as SiteId, paused },
    ...(connected ? { binding: { projectId: project ?? n, branch } as unknown as NonNullable<Site['binding']> } : {}),
  }));
  const status = (id: SiteId): Pick<SiteStatus, 'state' | 'hold'> => {
    const { at, code = 'went-back' } = given[Number(id.slice(1)) - 1] as Given;
    return { state: 'hold', ...(at === undefined ? {} : { hold: { code, at: at * minute } as Hold }) };
  };
  return wentBackGroup(sites, status);
}

together('one alone is no sign of a restored GitLab', () => {
  assert.is(groupOf({ at: 0 }, {}, { at: 1, code: 'history-rewritten' }), undefined);
});

together('two within an hour are, in the order in which they were seen', () => {
  assert.equal(groupOf({ at: 59 }, {}, { at: 0 }), { sites: ['s3', 's1'], branches: 2, since: 0 });
});

together('each may be seen an hour after the one before it', () => {
  assert.equal(groupOf({ at: 0 }, { at: 60 }, { at: 120 })?.sites, ['s1', 's2', 's3']);
});

together('two that have nothing to do with each other stay apart', () => {
  assert.is(groupOf({ at: 0 }, { at: 61 }), undefined);
});

together('of two groups the newest counts', () => {
  assert.equal(groupOf({ at: 0 }, { at: 1 }, { at: 500 }, { at: 501 }, { at: 900 }), {
    ...{ sites: ['s3', 's4'], branches: 2, since: 500 * minute },
  });
});

together('a site that is paused or not connected is asked nothing', () => {
  assert.is(groupOf({ at: 0 }, { at: 1, paused: true }, { at: 2, connected: false }), undefined);
});

together('two sites on one branch are told as one branch, and not as a restored GitLab', () => {
  const one = groupOf({ at: 0, project: 7 }, { at: 1, project: 7 });
  assert.is(one?.branches, 1);
  assert.is(one && wentBackWords(one).title, 'The branch of 2 sites lost commits in GitLab');
  const two = groupOf({ at: 0, project: 7 }, { at: 1, project: 7, branch: 'next' });
  assert.is(
    two && wentBackWords(two).title,
    '2 branches lost commits in GitLab, probably because it was restored from an older backup',
  );
});

together.run();
