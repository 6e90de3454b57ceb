import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const table = suite('fault table');

const root = join(import.meta.dirname, '..');
const rows = readFileSync(join(root, 'faults.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| (?:[FS]\d+|R\d+[a-z]?) \|/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .map(([, row = '', , tests = '']) => ({ row, tests: tests.split('; ') }));

table('every row of the catalogue is in it once, and says something', () => {
  const wanted = [...numbered('F', 41), ...numbered('S', 38)];
  const catalogue = rows.map(({ row }) => row).filter((row) => !row.startsWith('R'));
  assert.equal(catalogue, wanted);
  // What the field found came later and has gaps: each once, in order.
  const found = rows.map(({ row }) => row).filter((row) => row.startsWith('R'));
  assert.equal(found, [...new Set(found)].sort(byNumber));
  for (const { row, tests } of rows)
    assert.ok(
      tests.every((text) => text.length > 10),
      row,
    );
});

table('every test it names is in that file under that name', () => {
  const wrong: string[] = [];
  for (const { row, tests } of rows) {
    for (const text of tests) {
      if (/^not (yet|run here): /.test(text)) continue;
      const [, file = '', name = ''] = /^(\S+\.test\.ts): (.+)$/.exec(text) ?? [];
      const path = join(root, file);
      const source = file && existsSync(path) ? readFileSync(path, 'utf8') : '';
      const literal = ["'", '`'].some((quote) => source.includes(`${quote}${name}`));
      if (!name || !literal) wrong.push(`${row}: ${text}`);
    }
  }
  assert.equal(wrong, []);
});

table('says how much is still open', () => {
  const open = rows.filter(({ tests }) => tests.some((text) => text.startsWith('not yet: ')));
  const bare = open.filter(({ tests }) => tests.every((text) => text.startsWith('not yet: ')));
  process.stdout.write(
    `\nnote: ${rows.length} rows; ${open.length} not complete, of these ${bare.length} without a test\n`,
  );
  assert.ok(rows.length > 79);
  const excuses = rows.filter(({ tests }) => tests.every((text) => /^not (yet|run here): /.test(text)));
  assert.equal(excuses, [], 'a row without a test');
});

/** `R9` before `R10`, and `R10` before `R10b`. */
function byNumber(a: string, b: string): number {
  return Number.parseInt(a.slice(1)) - Number.parseInt(b.slice(1)) || (a < b ? -1 : 1);
}

function numbered(letter: string, last: number): string[] {
  return Array.from({ length: last }, (_, i) => `${letter}${i + 1}`);
}

table.run();
