import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type MergeTreeOutput, conflictsOf, parseMergeTree } from '../../src/git/merge-tree.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Change, Mode, Oid, SitePath } from '../../src/model/tree.ts';
import type { MergeConflict } from '../../src/sync/ports.ts';

const merging = suite('git/merge-tree');

/**
 * What git 2.39.5 printed, byte by byte (one character per byte), for two branches `ours` and `theirs` that were made
 * from one commit `base` as each comment says, with
 *
 *     git merge-tree --write-tree -z --messages --allow-unrelated-histories ours theirs
 *
 * `one` is a file with the numbers 1 to 10, each on a line.
 */
const nul = (...fields: string[]): string => fields.map((field) => `${field}\0`).join('');

const [A, B, C] = [
  '78981922613b2afb6025042ff6bd878ac1994e85',
  '61780798228d17af2d34fce4cfbdf35556832472',
  'f2ad6c76f0115a6ba5b00456a849810e7ec0af20',
] as [Oid, Oid, Oid];
const [FILE, EDITED, ONE, TWENTY] = [
  'f73f3093ff865c514c6c51f867e35f693487d0d3',
  '7663aa741bec2b1328630882586fb7a2cbc8a255',
  'f00c965d8307308469e537302baa73048488f162',
  'e6c4914c5f14d633184a01d71fba78c8d05c7c03',
] as [Oid, Oid, Oid, Oid];
const [ZERO, EINS, ZWEI] = [
  '573541ac9702dd3969c9bc859d2b91ec1f7e6e56',
  'd00491fd7e5bb6fa28c517a0bb32b8b506539d4d',
  '0cfbf08886fca9a91cb753ec8734c84fcbe52c9f',
] as [Oid, Oid, Oid];
const [LINK, PLAIN] = ['c1b0730e0133447badcfd47fd144e254807b06e1', '6a69f92020f5df77af6e8813ff1232493383b708'] as [
  Oid,
  Oid,
];
const [OTHER, CHANGED] = ['e45c9c2666d44e0327c1f9c239a74c508336053e', '3bb459b831ea471b9cd1cbb7c6d54a74251a711b'] as [
  Oid,
  Oid,
];
const [S1, S2, S3] = ['1'.repeat(40), '2'.repeat(40), '3'.repeat(40)] as [Oid, Oid, Oid];
const [IN, SEVENTH, EMPTY] = ['4'.repeat(40), '7'.repeat(40), 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391'] as [
  Oid,
  Oid,
  Oid,
];

const samples = {
  // ours adds b, theirs adds c
  clean: nul('04a59185a0c5f4047e4fd3fa87b0c84e671b00ee', ''),
  // ours changes the first line of `one`, theirs the last
  automerge: nul('741f99daf1bde6bab039debd89dbd94fb76b6f50', '', '1', 'a', 'Auto-merging', 'Auto-merging a\n'),
  // both change a
  content: nul(
    'efc3a079cccd09fcbfb6570afd780eada0fcb2e5',
    `100644 ${A} 1\ta`,
    `100644 ${B} 2\ta`,
    `100644 ${C} 3\ta`,
    '',
    ...['1', 'a', 'Auto-merging', 'Auto-merging a\n'],
    ...['1', 'a', 'CONFLICT (contents)', 'CONFLICT (content): Merge conflict in a\n'],
  ),
  // both add a
  addAdd: nul(
    'b1a0e2a876760917621ae24484e9076d60216e8c',
    `100644 ${B} 2\ta`,
    `100644 ${C} 3\ta`,
    '',
    ...['1', 'a', 'Auto-merging', 'Auto-merging a\n'],
    ...['1', 'a', 'CONFLICT (contents)', 'CONFLICT (add/add): Merge conflict in a\n'],
  ),
  // ours changes a, theirs removes it
  modifyDelete: nul(
    'eebfed94e75e7760540d1485c740902590a00332',
    `100644 ${A} 1\ta`,
    `100644 ${B} 2\ta`,
    '',
    ...['1', 'a', 'CONFLICT (modify/delete)'],
    'CONFLICT (modify/delete): a deleted in theirs and modified in ours.  Version ours of a left in tree.\n',
  ),
  // ours moves `one` from a to b, theirs from a to c
  renameRename: nul(
    '072576fcaf3f75957c42126543defa5984eb3b3d',
    `100644 ${ONE} 1\ta`,
    `100644 ${ONE} 2\tb`,
    `100644 ${ONE} 3\tc`,
    '',
    ...['3', 'a', 'b', 'c', 'CONFLICT (rename/rename)'],
    'CONFLICT (rename/rename): a renamed to b in ours and to c in theirs.\n',
  ),
  // ours moves a to c, theirs moves b to c
  renamesMeet: nul(
    '632342fa8c42640187faf858ddd0ce5f88dadb95',
    `100644 ${ONE} 2\tc`,
    `100644 ${TWENTY} 3\tc`,
    '',
    ...['1', 'c', 'Auto-merging', 'Auto-merging c\n'],
    ...['1', 'c', 'CONFLICT (contents)', 'CONFLICT (add/add): Merge conflict in c\n'],
  ),
  // ours moves a to b, theirs removes a
  renameDelete: nul(
    '8848b7aa40a00145db767c461140d74b81303aa7',
    `100644 ${ONE} 1\tb`,
    `100644 ${ONE} 2\tb`,
    '',
    ...['2', 'b', 'a', 'CONFLICT (rename/delete)'],
    'CONFLICT (rename/delete): a renamed to b in ours, but deleted in theirs.\n',
  ),
  // ours adds a file a, theirs adds a folder a with a file in it
  fileFolder: nul(
    '42662a00e9da5c5b5c4e3b4943b6f58f559edea0',
    `100644 ${FILE} 2\ta~ours`,
    '',
    ...['2', 'a~ours', 'a', 'CONFLICT (file/directory)'],
    'CONFLICT (file/directory): directory in the way of a from ours; moving it to a~ours instead.\n',
  ),
  // ours makes the file a a folder, theirs edits the file
  editedFileFolder: nul(
    '9d1d697edc1cadc6878a2df7bd1f83569a5bd4f5',
    `100644 ${FILE} 1\ta~theirs`,
    `100644 ${EDITED} 3\ta~theirs`,
    '',
    ...['2', 'a~theirs', 'a', 'CONFLICT (file/directory)'],
    'CONFLICT (file/directory): directory in the way of a from theirs; moving it to a~theirs instead.\n',
    ...['1', 'a~theirs', 'CONFLICT (modify/delete)'],
    'CONFLICT (modify/delete): a~theirs deleted in ours and modified in theirs.  Version theirs of a~theirs left in tree.\n',
  ),
  // ours removes the file a and moves the folder old to a, theirs adds an empty file to old
  folderMovedOverFile: nul(
    'c18a478dfd16b3a9125b1ec76230eb993eb8f7b4',
    `100644 ${EMPTY} 3\ta/new`,
    '',
    ...['2', 'a/new', 'old/new', 'CONFLICT (directory rename suggested)'],
    'CONFLICT (file location): old/new added in theirs inside a directory that was renamed in ours, suggesting it should perhaps be moved to a/new.\n',
    ...['2', 'a~theirs', 'a', 'CONFLICT (file/directory)'],
    'CONFLICT (file/directory): directory in the way of a from theirs; moving it to a~theirs instead.\n',
  ),
  // ours adds a file a, theirs adds a link a
  fileLink: nul(
    '3521c7545363bba3a4be54bf1c0f9d7ea8b7bf2b',
    `120000 ${LINK} 3\ta`,
    `100644 ${PLAIN} 2\ta~ours`,
    '',
    ...['2', 'a', 'a~ours', 'CONFLICT (distinct modes)'],
    'CONFLICT (distinct types): a had different types on each side; renamed one of them so each can be recorded somewhere.\n',
  ),
  // ours moves `one` from a to b, theirs adds a line to a and another file b
  moveMeetsEdit: nul(
    '66407d9ac66d2cead7fda3af13af45564461ec80',
    `100644 ${ONE} 2\tb`,
    `100644 ${OTHER} 3\tb`,
    '',
    ...['1', 'b', 'Auto-merging', 'Auto-merging b\n'],
    ...['1', 'b', 'CONFLICT (contents)', 'CONFLICT (add/add): Merge conflict in b\n'],
  ),
  // both change three files: one whose name is no UTF-8, one with a line feed, one with a tab and what looks like a stage
  names: nul(
    'c4699d6454b1d4ca4e96ec3684ebe17214d6cb83',
    `100644 ${ZERO} 1\tcaf\xe9`,
    `100644 ${EINS} 2\tcaf\xe9`,
    `100644 ${ZWEI} 3\tcaf\xe9`,
    `100644 ${ZERO} 1\tnew\nline`,
    `100644 ${EINS} 2\tnew\nline`,
    `100644 ${ZWEI} 3\tnew\nline`,
    `100644 ${ZERO} 1\ttab\t2 3`,
    `100644 ${EINS} 2\ttab\t2 3`,
    `100644 ${ZWEI} 3\ttab\t2 3`,
    '',
    ...['1', 'caf\xe9', 'Auto-merging', 'Auto-merging caf\xe9\n'],
    ...['1', 'caf\xe9', 'CONFLICT (contents)', 'CONFLICT (content): Merge conflict in caf\xe9\n'],
    ...['1', 'new\nline', 'Auto-merging', 'Auto-merging new\nline\n'],
    ...['1', 'new\nline', 'CONFLICT (contents)', 'CONFLICT (content): Merge conflict in new\nline\n'],
    ...['1', 'tab\t2 3', 'Auto-merging', 'Auto-merging tab\t2 3\n'],
    ...['1', 'tab\t2 3', 'CONFLICT (contents)', 'CONFLICT (content): Merge conflict in tab\t2 3\n'],
  ),
  // both move a submodule; the advice at the end is ended by no NUL
  submodule: `${nul(
    '9e7d17a50d8ab090893b03081884d06bfb61d1e7',
    `160000 ${S1} 1\ts`,
    `160000 ${S2} 2\ts`,
    `160000 ${S3} 3\ts`,
    '',
    ...['1', 's', 'CONFLICT (submodule not initialized)', 'Failed to merge submodule s (not checked out)\n'],
    ...['1', 's', 'CONFLICT (contents)', 'CONFLICT (submodule): Merge conflict in s\n'],
  )}Recursive merging with submodules currently only supports trivial cases.\nPlease manually handle the merging of each conflicted submodule.\nThis can be accomplished with the following steps:\n - come back to superproject and run:\n\n      git add s\n\n   to record the above merge or update\n - resolve any other conflicts in the superproject\n - commit the resulting index in the superproject\n`,
};

const parse = (text: string): MergeTreeOutput => parseMergeTree(Buffer.from(text, 'latin1'));

const staged = (path: string, ...versions: [stage: 1 | 2 | 3, oid: Oid][]): MergeTreeOutput['staged'] =>
  versions.map(([stage, oid]) => ({ path: path as SitePath, oid, stage }));
const message = (kind: string, ...paths: string[]): MergeTreeOutput['messages'][number] => ({
  kind,
  paths: paths as SitePath[],
});

const parsed: readonly (readonly [name: string, text: string, staged: unknown, messages: unknown])[] = [
  ['a clean merge has a tree and nothing else', samples.clean, [], []],
  ['a merge within a file is clean and says so', samples.automerge, [], [message('Auto-merging', 'a')]],
  [
    'a conflict stages the base, ours and theirs',
    samples.content,
    staged('a', [1, A], [2, B], [3, C]),
    [message('Auto-merging', 'a'), message('CONFLICT (contents)', 'a')],
  ],
  [
    'a path without a base has two stages',
    samples.addAdd,
    staged('a', [2, B], [3, C]),
    [message('Auto-merging', 'a'), message('CONFLICT (contents)', 'a')],
  ],
  [
    'a path that was removed there has no stage for theirs',
    samples.modifyDelete,
    staged('a', [1, A], [2, B]),
    [message('CONFLICT (modify/delete)', 'a')],
  ],
  [
    'a file that was moved to two names is told with all three',
    samples.renameRename,
    [...staged('a', [1, ONE]), ...staged('b', [2, ONE]), ...staged('c', [3, ONE])],
    [message('CONFLICT (rename/rename)', 'a', 'b', 'c')],
  ],
  [
    'a message of two paths keeps their order',
    samples.renameDelete,
    staged('b', [1, ONE], [2, ONE]),
    [message('CONFLICT (rename/delete)', 'b', 'a')],
  ],
  [
    'a file in a folder’s way is staged under an invented name',
    samples.editedFileFolder,
    staged('a~theirs', [1, FILE], [3, EDITED]),
    [message('CONFLICT (file/directory)', 'a~theirs', 'a'), message('CONFLICT (modify/delete)', 'a~theirs')],
  ],
  [
    'names that are no text, with a line feed or a tab, come whole',
    samples.names,
    ['caf\xe9', 'new\nline', 'tab\t2 3'].flatMap((path) => staged(path, [1, ZERO], [2, EINS], [3, ZWEI])),
    ['caf\xe9', 'new\nline', 'tab\t2 3'].flatMap((path) => [
      message('Auto-merging', path),
      message('CONFLICT (contents)', path),
    ]),
  ],
  [
    'advice on submodules, which no NUL ends, is not taken for a message',
    samples.submodule,
    staged('s', [1, S1], [2, S2], [3, S3]),
    [message('CONFLICT (submodule not initialized)', 's'), message('CONFLICT (contents)', 's')],
  ],
  [
    'a name of digits is not taken for the number of paths',
    nul(S1, `100644 ${A} 2\t3`, '', '1', '3', 'CONFLICT (contents)', '7'),
    staged('3', [2, A]),
    [message('CONFLICT (contents)', '3')],
  ],
  [
    'a message about ten paths is read to its end',
    nul(S1, '', '10', ...'abcdefghij', 'CONFLICT (x)', 'x', '1', 'k', 'CONFLICT (y)', 'y'),
    [],
    [message('CONFLICT (x)', ...'abcdefghij'), message('CONFLICT (y)', 'k')],
  ],
  ['a message about no path is read over', nul(S1, '', '0', 'CONFLICT (x)', 'x'), [], [message('CONFLICT (x)')]],
];

for (const [name, text, rows, messages] of parsed)
  merging(name, () => assert.equal(parse(text), { tree: text.slice(0, 40), staged: rows, messages }));

merging('ids of SHA-256 are read too', () => {
  const [tree, oid] = ['a'.repeat(64), 'b'.repeat(64)];
  assert.equal(parse(nul(tree, `100644 ${oid} 2\ta`, '')), {
    tree,
    staged: staged('a', [2, oid as Oid]),
    messages: [],
  });
});

function refuses(text: string): boolean {
  try {
    parse(text);
    return false;
  } catch (error) {
    return error instanceof Problem && error.code === 'git-failed' && error.facts['command'] === 'merge-tree';
  }
}

/** Lengths at which nothing tells that anything is missing: before the first message, and after each. */
function wholeAt(text: string): Set<number> {
  const fields = text.split('\0');
  let at = fields.indexOf('', 1) + 1;
  const ends = [at];
  for (const { paths } of parse(text).messages) ends.push((at += paths.length + 3));
  return new Set(ends.map((end) => fields.slice(0, end).join('\0').length + 1));
}

for (const [name, text] of Object.entries(samples)) {
  merging(`output that is cut off anywhere is refused: ${name}`, () => {
    const complete = text.slice(0, text.lastIndexOf('\0') + 1);
    const whole = wholeAt(text);
    assert.ok(whole.has(complete.length));
    for (let length = 0; length < complete.length; length += 1)
      if (!whole.has(length)) assert.ok(refuses(complete.slice(0, length)), `cut at ${length} of ${complete.length}`);
  });
}

const malformed: readonly (readonly [name: string, text: string])[] = [
  ['empty output', ''],
  ['a single NUL', '\0'],
  ['a tree without what ends it', S1],
  ['a tree without the line that ends what is staged', nul(S1)],
  ['words in place of a tree', nul('fatal: not a tree', '')],
  ['a tree of 39 digits', nul('1'.repeat(39), '')],
  ['a tree of 65 digits', nul('1'.repeat(65), '')],
  ['a tree with capital letters', nul('A'.repeat(40), '')],
  ['a stage 0', nul(S1, `100644 ${A} 0\ta`, '')],
  ['a stage 0 in the place of what ends the stages', nul(S1, `100644 ${A} 0\ta`)],
  ['a stage 4', nul(S1, `100644 ${A} 4\ta`, '')],
  ['a staged row without a path', nul(S1, `100644 ${A} 2\t`, '')],
  ['a mode of five digits', nul(S1, `10064 ${A} 2\ta`, '')],
  ['fewer paths than were told', nul(S1, '', '3', 'a', 'CONFLICT (x)', 'x')],
  ['words where a number of paths is due', nul(S1, '', 'x', 'a', 'CONFLICT (x)', 'x')],
  ['more paths than anything holds', nul(S1, '', '99999999999999999999', 'a', 'CONFLICT (x)', 'x')],
];

for (const [name, text] of malformed) merging(`${name} is refused`, () => assert.ok(refuses(text)));

// What needs a decision.

const at = (mode: Mode, oid: Oid): { mode: Mode; oid: Oid } => ({ mode, oid });
const change = (path: string, before: Oid | undefined, after: Oid | undefined, mode: Mode = '100644'): Change => ({
  path: path as SitePath,
  ...(before ? { before: at(mode, before) } : {}),
  ...(after ? { after: at(mode, after) } : {}),
});
const clash = (
  path: string,
  kind: string,
  [base, ours, theirs]: readonly (Oid | undefined)[],
  mode: Mode = '100644',
): MergeConflict => ({
  path: path as SitePath,
  kind,
  ...(base ? { base: at(mode, base) } : {}),
  ...(ours ? { ours: at(mode, ours) } : {}),
  ...(theirs ? { theirs: at(mode, theirs) } : {}),
});

interface Decision {
  readonly text: string;
  readonly ours: readonly Change[];
  readonly theirs: readonly Change[];
  readonly conflicts: readonly MergeConflict[];
  readonly staged: readonly string[];
}

const decisions: readonly (readonly [name: string, decision: Decision])[] = [
  [
    'a path both changed has the base and both versions',
    {
      text: samples.content,
      ours: [change('a', A, B)],
      theirs: [change('a', A, C)],
      conflicts: [clash('a', 'contents', [A, B, C])],
      staged: ['a'],
    },
  ],
  [
    'a path both added has no base',
    {
      text: samples.addAdd,
      ours: [change('a', undefined, B)],
      theirs: [change('a', undefined, C)],
      conflicts: [clash('a', 'contents', [undefined, B, C])],
      staged: ['a'],
    },
  ],
  [
    'a path ours changed and theirs removed has no version of theirs',
    {
      text: samples.modifyDelete,
      ours: [change('a', A, B)],
      theirs: [change('a', A, undefined)],
      conflicts: [clash('a', 'modify/delete', [A, B])],
      staged: ['a'],
    },
  ],
  [
    'a message that is no conflict asks nothing',
    { text: samples.automerge, ours: [change('a', A, B)], theirs: [change('a', A, C)], conflicts: [], staged: [] },
  ],
  [
    'a file moved to two names is a question at each of the three',
    {
      text: samples.renameRename,
      ours: [change('a', ONE, undefined), change('b', undefined, ONE)],
      theirs: [change('a', ONE, undefined), change('c', undefined, ONE)],
      conflicts: [
        clash('a', 'rename/rename', [ONE]),
        clash('b', 'rename/rename', [undefined, ONE]),
        clash('c', 'rename/rename', [undefined, undefined, ONE]),
      ],
      staged: ['a', 'b', 'c'],
    },
  ],
  [
    'two files moved to one name are a question there only',
    {
      text: samples.renamesMeet,
      ours: [change('a', ONE, undefined), change('c', undefined, ONE)],
      theirs: [change('b', TWENTY, undefined), change('c', undefined, TWENTY)],
      conflicts: [clash('c', 'contents', [undefined, ONE, TWENTY])],
      staged: ['c'],
    },
  ],
  [
    'a file ours moved and theirs removed is a question at both names',
    {
      text: samples.renameDelete,
      ours: [change('a', ONE, undefined), change('b', undefined, ONE)],
      theirs: [change('a', ONE, undefined)],
      conflicts: [clash('b', 'rename/delete', [undefined, ONE]), clash('a', 'rename/delete', [ONE])],
      staged: ['b'],
    },
  ],
  [
    'a file against a folder is a question at the file and at each file of the folder, never at an invented name',
    {
      text: samples.fileFolder,
      ours: [change('a', undefined, FILE)],
      theirs: [change('a/in', undefined, IN), change('a/deep/in', undefined, IN), change('ab', undefined, IN)],
      conflicts: [
        clash('a', 'file/directory', [undefined, FILE]),
        clash('a/in', 'file/directory', [undefined, undefined, IN]),
        clash('a/deep/in', 'file/directory', [undefined, undefined, IN]),
      ],
      staged: ['a~ours'],
    },
  ],
  [
    'an edited file against a folder that took its place is a question at both',
    {
      text: samples.editedFileFolder,
      ours: [change('a', FILE, undefined), change('a/in', undefined, IN)],
      theirs: [change('a', FILE, EDITED)],
      conflicts: [
        clash('a', 'file/directory', [FILE, undefined, EDITED]),
        clash('a/in', 'file/directory', [undefined, IN]),
      ],
      staged: ['a~theirs'],
    },
  ],
  [
    'a file that went while a folder took its place is no question where the other side left it as it was',
    {
      text: samples.folderMovedOverFile,
      ours: [change('a', FILE, undefined), change('a/1', undefined, ONE), change('old/1', ONE, undefined)],
      theirs: [change('old/new', undefined, EMPTY)],
      conflicts: [clash('old/new', 'directory rename suggested', [undefined, undefined, EMPTY])],
      staged: ['a/new'],
    },
  ],
  [
    'the same from the other side is no question either',
    {
      text: nul(S1, '', '2', 'a~ours', 'a', 'CONFLICT (file/directory)', 'x'),
      ours: [],
      theirs: [change('a', FILE, undefined), change('a/1', undefined, ONE)],
      conflicts: [],
      staged: [],
    },
  ],
  [
    'what is removed from a folder that is in a file’s way is no question',
    {
      text: samples.fileFolder,
      ours: [change('a', undefined, FILE)],
      theirs: [change('a/in', undefined, IN), change('a/gone', IN, undefined)],
      conflicts: [
        clash('a', 'file/directory', [undefined, FILE]),
        clash('a/in', 'file/directory', [undefined, undefined, IN]),
      ],
      staged: ['a~ours'],
    },
  ],
  [
    'a file against a link is a question at the real name',
    {
      text: samples.fileLink,
      ours: [change('a', undefined, PLAIN)],
      theirs: [change('a', undefined, LINK, '120000')],
      conflicts: [{ ...clash('a', 'distinct modes', [undefined, PLAIN]), theirs: at('120000', LINK) }],
      staged: ['a', 'a~ours'],
    },
  ],
  [
    'a submodule both moved is one question, of the first kind that is told',
    {
      text: samples.submodule,
      ours: [change('s', S1, S2, '160000')],
      theirs: [change('s', S1, S3, '160000')],
      conflicts: [clash('s', 'submodule not initialized', [S1, S2, S3], '160000')],
      staged: ['s'],
    },
  ],
  [
    'names that are no text, with a line feed or a tab, are questions under those names',
    {
      text: samples.names,
      ours: ['caf\xe9', 'new\nline', 'tab\t2 3'].map((path) => change(path, ZERO, EINS)),
      theirs: ['caf\xe9', 'new\nline', 'tab\t2 3'].map((path) => change(path, ZERO, ZWEI)),
      conflicts: ['caf\xe9', 'new\nline', 'tab\t2 3'].map((path) => clash(path, 'contents', [ZERO, EINS, ZWEI])),
      staged: ['caf\xe9', 'new\nline', 'tab\t2 3'],
    },
  ],
  [
    'a side that left a path alone has the base there',
    {
      text: samples.content,
      ours: [],
      theirs: [change('a', A, C)],
      conflicts: [clash('a', 'contents', [A, A, C])],
      staged: ['a'],
    },
  ],
  [
    'a side that left a path alone has the base there, also if that is theirs',
    {
      text: samples.content,
      ours: [change('a', A, B)],
      theirs: [],
      conflicts: [clash('a', 'contents', [A, B, A])],
      staged: ['a'],
    },
  ],
  [
    'a path that no message names and that is staged is a question about its contents',
    {
      text: nul(S1, `100644 ${B} 2\ta`, `100644 ${C} 3\tb`, `100644 ${C} 3\tinvented`, ''),
      ours: [change('a', A, B)],
      theirs: [change('b', A, C)],
      conflicts: [clash('a', 'contents', [A, B, A]), clash('b', 'contents', [A, A, C])],
      staged: ['a', 'b', 'invented'],
    },
  ],
  [
    'a kind without brackets is its own name',
    {
      text: nul(S1, '', '1', 'a', 'CONFLICT', 'x'),
      ours: [change('a', A, B)],
      theirs: [change('a', A, C)],
      conflicts: [clash('a', 'CONFLICT', [A, B, C])],
      staged: [],
    },
  ],
  [
    'no conflict and nothing staged asks nothing',
    {
      text: samples.clean,
      ours: [change('b', undefined, B)],
      theirs: [change('c', undefined, C)],
      conflicts: [],
      staged: [],
    },
  ],
  // An edit that git carried to a new name where another file stands too.
  [
    'an edit that git carried to a name where another file stands too is a question at the old name',
    {
      // ours adds a line to a and another file b, theirs moves `one` from a to b; again git 2.39.5
      text: nul(
        'b685c49d81aed1f6730b92d44a75f932fbfe2b24',
        `100644 ${OTHER} 2\tb`,
        `100644 ${CHANGED} 3\tb`,
        '',
        ...['1', 'b', 'Auto-merging', 'Auto-merging b\n'],
        ...['1', 'b', 'CONFLICT (contents)', 'CONFLICT (add/add): Merge conflict in b\n'],
      ),
      ours: [change('a', ONE, CHANGED), change('b', undefined, OTHER)],
      theirs: [change('a', ONE, undefined), change('b', undefined, ONE)],
      conflicts: [clash('b', 'contents', [undefined, OTHER, ONE]), clash('a', 'rename', [ONE, CHANGED])],
      staged: ['b'],
    },
  ],
  [
    'an edit that git carried with our move is a question at the old name too',
    {
      text: nul(S1, `100644 ${CHANGED} 2\tb`, `100644 ${OTHER} 3\tb`, '', '1', 'b', 'CONFLICT (contents)', 'x'),
      ours: [change('a', ONE, undefined), change('b', undefined, ONE)],
      theirs: [change('a', ONE, CHANGED), change('b', undefined, OTHER)],
      conflicts: [clash('b', 'contents', [undefined, ONE, OTHER]), clash('a', 'rename', [ONE, undefined, CHANGED])],
      staged: ['b'],
    },
  ],
  [
    'where git carried no edit, the old name is no question',
    {
      text: samples.moveMeetsEdit,
      ours: [change('a', ONE, undefined), change('b', undefined, ONE)],
      theirs: [change('b', undefined, OTHER)],
      conflicts: [clash('b', 'contents', [undefined, ONE, OTHER])],
      staged: ['b'],
    },
  ],
  [
    'a file that is known to have moved elsewhere is no question where an edit was carried',
    {
      text: nul(S1, `100644 ${CHANGED} 2\tb`, `100644 ${OTHER} 3\tb`, '', '1', 'b', 'CONFLICT (contents)', 'x'),
      ours: [
        ...[change('a', ONE, undefined), change('b', undefined, ONE)],
        ...[change('y', TWENTY, undefined), change('z', undefined, TWENTY)],
      ],
      theirs: [change('a', ONE, CHANGED), change('b', undefined, OTHER), change('y', TWENTY, SEVENTH)],
      conflicts: [clash('b', 'contents', [undefined, ONE, OTHER]), clash('a', 'rename', [ONE, undefined, CHANGED])],
      staged: ['b'],
    },
  ],
  [
    'a moved file that was changed on the way could be anywhere and is a question',
    {
      text: nul(S1, `100644 ${CHANGED} 2\tb`, `100644 ${OTHER} 3\tb`, '', '1', 'b', 'CONFLICT (contents)', 'x'),
      ours: [change('a', ONE, undefined), change('b', undefined, SEVENTH)],
      theirs: [change('a', ONE, CHANGED), change('b', undefined, OTHER)],
      conflicts: [clash('b', 'contents', [undefined, SEVENTH, OTHER]), clash('a', 'rename', [ONE, undefined, CHANGED])],
      staged: ['b'],
    },
  ],
  [
    'a path removed on both sides is no edit that was carried',
    {
      text: nul(S1, `100644 ${CHANGED} 2\tb`, `100644 ${OTHER} 3\tb`, '', '1', 'b', 'CONFLICT (contents)', 'x'),
      ours: [change('a', ONE, undefined), change('b', undefined, SEVENTH)],
      theirs: [change('a', ONE, undefined), change('b', undefined, OTHER)],
      conflicts: [clash('b', 'contents', [undefined, SEVENTH, OTHER])],
      staged: ['b'],
    },
  ],
  [
    'an edit that keeps the kind git told of it does not become a rename',
    {
      text: nul(
        ...[S1, `100644 ${CHANGED} 2\tb`, `100644 ${OTHER} 3\tb`, ''],
        ...['1', 'a', 'CONFLICT (modify/delete)', 'x', '1', 'b', 'CONFLICT (contents)', 'x'],
      ),
      ours: [change('a', ONE, undefined), change('b', undefined, ONE)],
      theirs: [change('a', ONE, CHANGED), change('b', undefined, OTHER)],
      conflicts: [
        clash('a', 'modify/delete', [ONE, undefined, CHANGED]),
        clash('b', 'contents', [undefined, ONE, OTHER]),
      ],
      staged: ['b'],
    },
  ],
];

for (const [name, { text, ours, theirs, conflicts, staged: paths }] of decisions)
  merging(name, () => assert.equal(conflictsOf(parse(text), ours, theirs), { conflicts, staged: paths }));

merging.run();
