import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Output, pairs, shorten, table, widthOf } from '../../src/cli/output.ts';

const test = suite('the command line’s tables');

const output: Output = {
  ...{ terminal: false, columns: 80, line: () => {}, note: () => {}, json: () => {} },
  style: (_, text) => text,
};

test('a table fits whatever stands in it, and cuts in the middle', () => {
  const columns = [
    { title: 'SITE', of: ([name]: readonly string[]) => name ?? '', least: 12 },
    { title: 'STATE', of: ([, state]: readonly string[]) => state ?? '' },
    { title: 'REPOSITORY', of: ([, , path]: readonly string[]) => path ?? '', least: 16 },
  ];
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.string({ unit: 'grapheme', maxLength: 120 }),
          fc.constantFrom('In sync', 'Changes waiting', 'Not connected'),
          fc.string({ maxLength: 120 }),
        ),
      ),
      (rows) => {
        for (const line of table(output, columns, rows)) {
          assert.ok(widthOf(line) <= 80, line);
          assert.not.match(line, /[\p{Cc}]/u);
        }
      },
    ),
  );
  const long = 'group/subgroup/a-rather-long-name-of-a-repository:main';
  assert.is(shorten(long, 20), 'group/subg…tory:main');
  assert.is(shorten('short', 20), 'short');
  assert.is(widthOf('港の博物館'), 10);
  assert.is(widthOf(shorten('港の博物館港の博物館', 8)), 7, 'half a character is none');
});

test('columns of numbers stand at the right, and an empty table is its head', () => {
  const columns = [
    { title: 'NAME', of: ({ name }: { name: string; files: number }) => name },
    { title: 'FILES', of: ({ files }: { name: string; files: number }) => String(files), right: true },
  ];
  assert.equal(table(output, columns, []), ['NAME  FILES']);
  assert.equal(table(output, columns, [{ name: 'a', files: 7 }]), ['NAME  FILES', 'a         7']);
});

test('long texts stand beside their label, line below line', () => {
  const lines = pairs({ ...output, columns: 24 }, [
    ['Name', 'Harbour'],
    ['Folder', 'one two three four five'],
  ]);
  assert.equal(lines, ['Name    Harbour', 'Folder  one two three', '        four five']);
});

test.run();
