import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { defaultSettings } from '../../src/model/site.ts';
import type { Change, Entry, Oid, SitePath } from '../../src/model/tree.ts';
import { type Loss, guard, lossOf, tooMuch } from '../../src/sync/guard.ts';

const guarding = suite('sync/guard');

// More than 20 paths and more than 30 %.
const { limits } = defaultSettings;

const entry = (content: string, mode: Entry['mode'] = '100644'): Entry => ({ mode, oid: content as Oid });
const added = (path: string, content: string): Change => ({ path: path as SitePath, after: entry(content) });
const removed = (path: string, content: string): Change => ({ path: path as SitePath, before: entry(content) });
const changed = (path: string, before: string, after: string): Change => ({
  path: path as SitePath,
  before: entry(before),
  after: entry(after),
});

const losses: readonly (readonly [name: string, changes: readonly Change[], total: number, loss: Loss])[] = [
  ['no changes lose nothing', [], 5, { removed: 0, total: 5, left: 5 }],
  ['a removed path is lost', [removed('a', '1')], 5, { removed: 1, total: 5, left: 4 }],
  ['an added path is a gain', [added('a', '1')], 5, { removed: 0, total: 5, left: 6 }],
  ['a changed path is neither', [changed('a', '1', '2')], 5, { removed: 0, total: 5, left: 5 }],
  ['a moved path is not lost', [removed('a', '1'), added('b', '1')], 5, { removed: 0, total: 5, left: 5 }],
  [
    'a moved path is not lost in whatever order it is listed',
    [added('a', '1'), removed('b', '1')],
    5,
    { removed: 0, total: 5, left: 5 },
  ],
  [
    'a path that is replaced by another content is lost',
    [removed('a', '1'), added('b', '2')],
    5,
    { removed: 1, total: 5, left: 5 },
  ],
  [
    'one copy that arrives makes up for one of two that go',
    [removed('a', '1'), removed('b', '1'), added('c', '1')],
    5,
    { removed: 1, total: 5, left: 4 },
  ],
  [
    'two copies that arrive make up for two that go',
    [removed('a', '1'), removed('b', '1'), added('c', '1'), added('d', '1')],
    5,
    { removed: 0, total: 5, left: 5 },
  ],
  [
    'two copies that arrive make up for no other content',
    [removed('a', '1'), removed('b', '2'), added('c', '1'), added('d', '1')],
    5,
    { removed: 1, total: 5, left: 5 },
  ],
  [
    'a content that comes by an edit of a path that stays makes up for nothing',
    [removed('a', '1'), changed('b', '2', '1')],
    5,
    { removed: 1, total: 5, left: 4 },
  ],
  [
    'a content that goes by an edit of a path that stays uses up no arrival',
    [changed('a', '1', '2'), added('b', '1'), removed('c', '1')],
    5,
    { removed: 0, total: 5, left: 5 },
  ],
  [
    'a content that goes by an edit of a path that stays is no move, wherever it arrives',
    [changed('a', '1', '2'), added('b', '1'), removed('c', '3')],
    5,
    { removed: 1, total: 5, left: 5 },
  ],
  [
    'a path that moves and becomes executable is not lost',
    [removed('a', '1'), { path: 'b' as SitePath, after: entry('1', '100755') }],
    5,
    { removed: 0, total: 5, left: 5 },
  ],
  ['the last path that goes leaves nothing', [removed('a', '1')], 1, { removed: 1, total: 1, left: 0 }],
];

for (const [name, changes, total, loss] of losses) guarding(name, () => assert.equal(lossOf(changes, total), loss));

const amounts: readonly (readonly [name: string, loss: Loss, held: boolean])[] = [
  ['nothing of nothing goes', { removed: 0, total: 0, left: 0 }, false],
  ['a side that has nothing cannot lose anything', { removed: 1, total: 0, left: 0 }, false],
  ['a step that removes nothing goes, though nothing would be left', { removed: 0, total: 5, left: 0 }, false],
  ['the only path is all of them and waits', { removed: 1, total: 1, left: 0 }, true],
  ['the last of two paths that stays lets the step go', { removed: 1, total: 2, left: 1 }, false],
  ['all paths wait however few they are', { removed: 3, total: 3, left: 0 }, true],
  ['counts that do not add up wait like all paths', { removed: 4, total: 3, left: -1 }, true],
  ['20 paths of 21 go', { removed: 20, total: 21, left: 1 }, false],
  ['21 paths of 22 wait', { removed: 21, total: 22, left: 1 }, true],
  ['21 paths that are exactly 30 % go', { removed: 21, total: 70, left: 49 }, false],
  ['21 paths that are a little more than 30 % wait', { removed: 21, total: 69, left: 48 }, true],
  ['20 paths that are much more than 30 % go', { removed: 20, total: 30, left: 10 }, false],
  ['300 paths of 1,000 are exactly 30 % and go', { removed: 300, total: 1_000, left: 700 }, false],
  ['301 paths of 1,000 wait', { removed: 301, total: 1_000, left: 699 }, true],
  ['1,000 paths of 10,000 go', { removed: 1_000, total: 10_000, left: 9_000 }, false],
  ['new paths do not make a loss smaller', { removed: 40, total: 50, left: 100 }, true],
];

for (const [name, loss, held] of amounts) guarding(name, () => assert.is(tooMuch(loss, limits), held));

guarding('the site’s own limits count in place of the usual ones', () => {
  const loss = { removed: 3, total: 10, left: 7 };
  assert.is(tooMuch(loss, { ...limits, massPaths: 2, massShare: 0.29 }), true);
  assert.is(tooMuch(loss, { ...limits, massPaths: 3, massShare: 0.29 }), false, 'as many paths as the limit');
  assert.is(tooMuch(loss, { ...limits, massPaths: 2, massShare: 0.3 }), false, 'as large a share as the limit');
});

const [none, much]: [Loss, Loss] = [
  { removed: 0, total: 50, left: 50 },
  { removed: 40, total: 50, left: 10 },
];

guarding('a step that takes little from either side goes', () => {
  assert.equal(guard({ branch: none, folder: none }, limits), { kind: 'go' });
});

guarding('what the branch would lose, the folder has lost already', () => {
  assert.equal(guard({ branch: much, folder: none }, limits), { kind: 'hold', code: 'folder-lost-files' });
});

guarding('what the folder would lose, the branch has lost already', () => {
  assert.equal(guard({ branch: none, folder: much }, limits), { kind: 'hold', code: 'branch-lost-files' });
});

guarding('where both would lose much, it asks first about what the folder has lost', () => {
  assert.equal(guard({ branch: much, folder: much }, limits), { kind: 'hold', code: 'folder-lost-files' });
});

guarding('the losses of both sides are not added up', () => {
  const half = { removed: 15, total: 40, left: 25 };
  assert.equal(guard({ branch: half, folder: half }, limits), { kind: 'go' });
});

guarding('a folder that is renamed as a whole goes', () => {
  const files = Array.from({ length: 50 }, (_, n) => String(n));
  const changes = files.flatMap((n) => [removed(`old/${n}`, n), added(`new/${n}`, n)]);
  const loss = lossOf(changes, 50);
  assert.equal(guard({ branch: loss, folder: none }, limits), { kind: 'go' });
});

guarding.run();
