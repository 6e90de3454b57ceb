import { mkdtempSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { explainPath } from '../../src/files/explain.ts';
import { pathFromText } from '../../src/model/tree.ts';

const test = suite('explain');

test('each rule that catches a path is named with its list', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-explain-'));
  try {
    mkdirSync(join(folder, 'a'));
    writeFileSync(join(folder, '.gitignore'), '*.log\n!keep.log\n');
    writeFileSync(join(folder, 'a', '.gitignore'), 'deep.txt\n');
    symlinkSync('/etc', join(folder, 'out'));
    const ask = async (path: string, allow: string[] = []) => {
      const found = await explainPath({ folder, ignore: ['cache/'], allow }, pathFromText(path));
      return found.kind === 'caught' ? `${found.by} ${found.rule} at ${found.at}` : found.kind;
    };
    assert.is(await ask('x.log'), 'gitignore *.log at x.log');
    assert.is(await ask('keep.log'), 'synced');
    assert.is(await ask('a/deep.txt'), 'gitignore deep.txt at a/deep.txt');
    assert.is(await ask('cache/x/y.html'), 'site cache/ at cache');
    assert.is(await ask('.env'), 'secret .env at .env');
    assert.is(await ask('.env', ['/.env']), 'synced');
    assert.is(await ask('.htaccess'), 'control-file');
    assert.is(await ask('.htaccess', ['/.htaccess']), 'synced');
    assert.is(await ask('page.html~'), 'built-in *~ at page.html~');
    assert.is(await ask('.git/config'), 'bad-name');
    assert.is(await ask('../x'), 'bad-name');
    assert.is(await ask('out/passwd'), 'synced', 'links are not followed for rules');
    assert.is(await ask('gone/for/ever.txt'), 'synced');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
