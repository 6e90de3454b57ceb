import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GitDriver, GitProcess } from '../../src/git/driver.ts';
import { listTree, parseRaw, parseTree, parseTreeRow, readRows } from '../../src/git/rows.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Change, Entry, Mode, Oid, SitePath } from '../../src/model/tree.ts';

const reading = suite('git/rows');

/** One character per byte. */
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const nul = (...fields: string[]): string => fields.map((field) => `${field}\0`).join('');

async function problemOf(what: () => unknown): Promise<Problem> {
  try {
    await what();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

async function refused(what: () => unknown, command: string): Promise<void> {
  const { code, facts } = await problemOf(what);
  assert.equal([code, facts['command']], ['git-failed', command]);
}

/**
 * What `git ls-tree -r -z -l --full-tree HEAD` of git 2.39.5 printed for a tree with each kind of leaf and with odd
 * names, row by row.
 */
const ZERO = 'c227083464fb9af8955c90d2924774ee50abb547';
const treeRows: readonly (readonly [name: string, row: string, path: string, mode: Mode, oid: string, size: number])[] =
  [
    ['a name that begins with a space', `100644 blob ${ZERO}       1\t lead`, ' lead', '100644', ZERO, 1],
    ['a file', `100644 blob ${ZERO}       1\ta`, 'a', '100644', ZERO, 1],
    ['a name that is no UTF-8', `100644 blob ${ZERO}       1\tcaf\xe9`, 'caf\xe9', '100644', ZERO, 1],
    [
      'an executable file in a folder',
      '100755 blob 4cdb2265d30204be5463b38174b2e8e717982405       5\td/f',
      ...(['d/f', '100755', '4cdb2265d30204be5463b38174b2e8e717982405', 5] as const),
    ],
    [
      'an empty file',
      '100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391       0\tempty',
      ...(['empty', '100644', 'e69de29bb2d1d6434b8b29ae775ad8c2e48c5391', 0] as const),
    ],
    [
      'a size of several digits',
      '100644 blob 1fe2898b10adc6937ad1482a3a42d393892c5a93    5000\tgone',
      ...(['gone', '100644', '1fe2898b10adc6937ad1482a3a42d393892c5a93', 5_000] as const),
    ],
    [
      'a symbolic link',
      '120000 blob 2e65efe2a145dda7ee51d1741299f848e5bf752e       1\tl',
      ...(['l', '120000', '2e65efe2a145dda7ee51d1741299f848e5bf752e', 1] as const),
    ],
    ['a name with a line feed', `100644 blob ${ZERO}       1\tnew\nline`, 'new\nline', '100644', ZERO, 1],
    [
      'a submodule, which has no size',
      '160000 commit 1111111111111111111111111111111111111111       -\tsub',
      ...(['sub', '160000', '1111111111111111111111111111111111111111', 0] as const),
    ],
    ['a name with a tab', `100644 blob ${ZERO}       1\ttab\there`, 'tab\there', '100644', ZERO, 1],
  ];
const wholeTree = nul(...treeRows.map(([, row]) => row));

for (const [name, row, path, mode, oid, size] of treeRows)
  reading(`ls-tree lists ${name}`, () => assert.equal(parseTreeRow(bytes(row)), { path, mode, oid, size }));

reading('ls-tree lists a folder where it is asked for it by name', () => {
  const row = '040000 tree 35584b536f09e74293cb462c34a3beb73d7538d7       -\td';
  assert.equal(parseTreeRow(bytes(row)), { path: 'd', mode: '040000', oid: row.slice(12, 52), size: 0 });
});

reading('a size of more than seven digits moves the name', () => {
  assert.is(parseTreeRow(bytes(`100644 blob ${ZERO} 10737418240\tlarge`)).size, 10_737_418_240);
});

reading('an id of SHA-256 is read too', () => {
  assert.is(parseTreeRow(bytes(`100644 blob ${'a'.repeat(64)}       1\ta`)).oid, 'a'.repeat(64));
});

reading('a whole answer of ls-tree is its rows in order', () => {
  assert.equal(
    parseTree(bytes(wholeTree)),
    treeRows.map(([, , path, mode, oid, size]) => ({ path, mode, oid, size })),
  );
});

reading('an empty tree has no rows', () => assert.equal(parseTree(bytes('')), []));

reading('an answer of ls-tree that is cut off is refused, wherever that is', async () => {
  const ends = new Set<number>([0]);
  for (let at = wholeTree.indexOf('\0'); at >= 0; at = wholeTree.indexOf('\0', at + 1)) ends.add(at + 1);
  for (let length = 1; length < wholeTree.length; length += 1)
    if (!ends.has(length)) await refused(() => parseTree(bytes(wholeTree.slice(0, length))), 'ls-tree');
});

reading('a tree is listed with all it holds, byte by byte', async () => {
  const asked: (readonly string[])[] = [];
  const files = await listTree((args) => {
    asked.push(args);
    return Promise.resolve(bytes(wholeTree));
  }, ZERO as Oid);
  assert.equal(asked, [['ls-tree', '-r', '-z', '-l', '--full-tree', ZERO]]);
  assert.is(files.length, treeRows.length);
});

reading('an object that git does not find is damage, though ls-tree ends well', async () => {
  // By git 2.39.5, with the blob's file removed.
  const oid = '45b983be36b73c0788dc9cbcb76cbb80fc7bb057';
  const { code, facts } = await problemOf(() => parseTreeRow(bytes(`100644 blob ${oid}     BAD\tf`)));
  assert.equal([code, facts], ['git-damaged', { command: 'ls-tree', object: oid }]);
});

const oddTreeRows: readonly (readonly [name: string, row: string])[] = [
  ['an empty row', ''],
  ['a row without a name', `100644 blob ${ZERO}       1\t`],
  ['a row without a tab', `100644 blob ${ZERO}       1`],
  ['a row without a size', `100644 blob ${ZERO}\ta`],
  ['a size that is no number', `100644 blob ${ZERO}     1x1\ta`],
  ['a negative size', `100644 blob ${ZERO}      -1\ta`],
  ['a mode of five digits', `40000 tree ${ZERO}       -\td`],
  ['an id of 39 digits', `100644 blob ${ZERO.slice(1)}       1\ta`],
  ['an id that is no number', `100644 blob ${'g'.repeat(40)}       1\ta`],
  ['the rest of another row', `blob ${ZERO}       1\ta`],
  ['an error in words', `fatal: not a tree object`],
];

for (const [name, row] of oddTreeRows)
  reading(`${name} is no row of ls-tree`, () => refused(() => parseTreeRow(bytes(row)), 'ls-tree'));

/** From `git diff-tree -r -z --raw --no-renames --ignore-submodules=none` of git 2.39.5: pairs of fields. */
const NONE = '0000000000000000000000000000000000000000';
const ONE = '56a6051ca2b02b04ef92d5150c9ef600403cb1de';
const DEEP = '4cdb2265d30204be5463b38174b2e8e717982405';
const NEW = '3e757656cf36eca53338e520d134963a44f793f8';
const LINKED = '2e65efe2a145dda7ee51d1741299f848e5bf752e';
const FILE = 'f73f3093ff865c514c6c51f867e35f693487d0d3';
const [SUB1, SUB2] = ['1'.repeat(40), '2'.repeat(40)];
const at = (mode: Mode, oid: string): Entry => ({ mode, oid: oid as Oid });

const rawRows: readonly (readonly [name: string, what: string, path: string, change: Omit<Change, 'path'>])[] = [
  ['an edited file', `:100644 100644 ${ZERO} ${ONE} M`, 'a', { before: at('100644', ZERO), after: at('100644', ONE) }],
  [
    'an edited file whose name is no UTF-8',
    `:100644 100644 ${ZERO} ${ONE} M`,
    'caf\xe9',
    { before: at('100644', ZERO), after: at('100644', ONE) },
  ],
  ['a removed file', `:100755 000000 ${DEEP} ${NONE} D`, 'd/f', { before: at('100755', DEEP) }],
  ['an added file', `:000000 100755 ${NONE} ${DEEP} A`, 'd/g', { after: at('100755', DEEP) }],
  [
    'a link that became a file',
    `:120000 100644 ${LINKED} ${FILE} T`,
    'l',
    { before: at('120000', LINKED), after: at('100644', FILE) },
  ],
  [
    'a removed file with a line feed in its name',
    `:100644 000000 ${ZERO} ${NONE} D`,
    'new\nline',
    {
      before: at('100644', ZERO),
    },
  ],
  [
    'an added file with the byte 255 in its name',
    `:000000 100644 ${NONE} ${NEW} A`,
    'n\xff',
    { after: at('100644', NEW) },
  ],
  [
    'a submodule that moved',
    `:160000 160000 ${SUB1} ${SUB2} M`,
    'sub',
    { before: at('160000', SUB1), after: at('160000', SUB2) },
  ],
  [
    'a file that became executable, with a tab in its name',
    `:100644 100755 ${ZERO} ${ZERO} M`,
    'tab\there',
    { before: at('100644', ZERO), after: at('100755', ZERO) },
  ],
];

for (const [name, what, path, change] of rawRows)
  reading(`diff-tree lists ${name}`, () => assert.equal(parseRaw([bytes(what), bytes(path)]), { path, ...change }));

const oddRawRows: readonly (readonly [name: string, fields: readonly string[]])[] = [
  ['no field at all', []],
  ['a row without its path', [`:100644 100644 ${ZERO} ${ONE} M`]],
  ['a row with an empty path', [`:100644 100644 ${ZERO} ${ONE} M`, '']],
  ['a path in the place of what changed', ['a', `:100644 100644 ${ZERO} ${ONE} M`]],
  ['a row without its colon', [`100644 100644 ${ZERO} ${ONE} M`, 'a']],
  ['a row of a merge, with two colons', [`::100644 100644 100644 ${ZERO} ${ZERO} ${ONE} MM`, 'a']],
  ['a row without its letter', [`:100644 100644 ${ZERO} ${ONE}`, 'a']],
  ['a row whose second id is cut off', [`:100644 100644 ${ZERO} ${ONE.slice(1)} M`, 'a']],
  ['a row whose first id is cut off', [`:100644 100644 ${ZERO.slice(1)} ${ONE} M`, 'a']],
];

for (const [name, fields] of oddRawRows)
  reading(`${name} is no row of diff-tree`, () => refused(() => parseRaw(fields.map(bytes)), 'diff-tree'));

// Rows as they come.

interface Script {
  readonly chunks: readonly string[];
  readonly code?: number;
  readonly stderr?: string;
}

/** A git that prints `chunks` and ends with `code`. No process: what it is asked to do is noted. */
function scripted({ chunks, code = 0, stderr = '' }: Script): { driver: GitDriver; told: string[] } {
  const told: string[] = [];
  const driver: GitDriver = {
    run: () => Promise.reject(new Error('only what comes row by row is asked for')),
    open: ({ args }) => {
      told.push(args.join(' '));
      const child = { stdin: { end: () => told.push('stdin closed') }, stdout: Readable.from(chunks.map(bytes)) };
      return {
        child,
        ended: Promise.resolve({ code, stderr }),
        end: () => told.push('ended'),
      } as unknown as GitProcess;
    },
  };
  return { driver, told };
}

const run = { args: ['diff-tree', '-z'], environment: {} };

async function rowsOf(script: Script, fields: number): Promise<string[][]> {
  const rows: string[][] = [];
  const { driver } = scripted(script);
  for await (const row of readRows(driver, run, fields)) rows.push(row.map((field) => field.toString('latin1')));
  return rows;
}

const streams: readonly (readonly [name: string, chunks: readonly string[], fields: number, rows: string[][]])[] = [
  ['no output has no rows', [], 2, []],
  ['an empty piece is no end', ['a\0', '', 'b\0'], 2, [['a', 'b']]],
  ['rows come in the order they were printed', ['a\0b\0c\0'], 1, [['a'], ['b'], ['c']]],
  [
    'fields make rows of as many as were asked for',
    ['a\0b\0c\0d\0'],
    2,
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  ['fields that come in pieces are put together', ['a', 'b\0c', '', 'd\0'], 2, [['ab', 'cd']]],
  ['a piece that ends with a NUL ends a field', ['a\0', 'b\0'], 2, [['a', 'b']]],
  [
    'an empty field is a field',
    ['\0b\0', '\0\0'],
    2,
    [
      ['', 'b'],
      ['', ''],
    ],
  ],
  ['a line feed and a byte that is no text are part of a field', ['a\nb\0\xe9\xff\0'], 2, [['a\nb', '\xe9\xff']]],
];

for (const [name, chunks, fields, rows] of streams)
  reading(name, async () => assert.equal(await rowsOf({ chunks }, fields), rows));

const cuts: readonly (readonly [name: string, chunks: readonly string[], fields: number])[] = [
  ['a field that no NUL ends', ['a\0b\0c'], 1],
  ['the first field, which no NUL ends', ['a'], 1],
  ['a row that lacks its second field', ['a\0b\0c\0'], 2],
  ['a row whose second field no NUL ends', ['a\0b\0c\0d'], 2],
];

for (const [name, chunks, fields] of cuts) {
  reading(`${name} is not silently left out`, () => refused(() => rowsOf({ chunks }, fields), 'diff-tree'));
}

reading('what came before the cut was given on', async () => {
  const seen: string[] = [];
  const { driver } = scripted({ chunks: ['a\0b'] });
  await refused(async () => {
    for await (const [field] of readRows(driver, run, 1)) seen.push(String(field));
  }, 'diff-tree');
  assert.equal(seen, ['a']);
});

reading('a git that failed says why, whether or not its rows are whole', async () => {
  for (const chunks of [['a\0'], ['a\0b'], []]) {
    const { code, facts } = await problemOf(() => rowsOf({ chunks, code: 128, stderr: 'fatal: odd\n' }, 1));
    assert.equal([code, facts], ['git-failed', { command: 'diff-tree', text: 'fatal: odd' }]);
  }
  assert.is(
    (await problemOf(() => rowsOf({ chunks: [], code: 1, stderr: 'fatal: bad object' }, 1))).code,
    'git-damaged',
  );
});

reading('git is asked once, gets no input, and is not ended where it was read to its end', async () => {
  const { driver, told } = scripted({ chunks: ['a\0'] });
  for await (const row of readRows(driver, run, 1)) assert.is(String(row[0]), 'a');
  assert.equal(told, ['diff-tree -z', 'stdin closed']);
});

reading('a reader that has enough ends git, and hears nothing of how it ended', async () => {
  const { driver, told } = scripted({ chunks: ['a\0b\0', 'c'], code: 128 });
  for await (const row of readRows(driver, run, 1)) {
    assert.is(String(row[0]), 'a');
    break;
  }
  assert.equal(told, ['diff-tree -z', 'stdin closed', 'ended']);
});

reading('a path that is listed can be asked for again byte by byte', () => {
  const { path } = parseTreeRow(bytes(`100644 blob ${ZERO}       1\tcaf\xe9`));
  assert.is(path, 'caf\xe9' as SitePath);
  assert.equal(Buffer.from(path, 'latin1'), Buffer.from([0x63, 0x61, 0x66, 0xe9]));
});

reading.run();
