import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Manifest } from '../../src/files/manifest.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import { scratch } from '../support/plain-git.ts';

const manifests = suite('manifest');
const line = { mode: '100644', oid: '1'.repeat(40) as Oid } as const;

manifests('what is written after a row that was cut short is read again', () => {
  const { dir, remove } = scratch();
  try {
    const file = join(dir, 'manifest.jsonl');
    const first = new Manifest(file);
    first.set('a' as SitePath, line);
    first.save('2'.repeat(40) as Oid);
    writeFileSync(file, `${readFileSync(file, 'utf8')}["b",{"mode":"1006`);
    const torn = new Manifest(file);
    assert.is(torn.commit, undefined, 'a torn manifest vouched for a state of the ledger');
    assert.ok(torn.get('a' as SitePath));
    torn.set('a' as SitePath, undefined);
    torn.set('c' as SitePath, line);
    torn.save('3'.repeat(40) as Oid);
    const again = new Manifest(file);
    assert.is(again.commit, '3'.repeat(40));
    assert.equal([...again.under('')], ['c']);
  } finally {
    remove();
  }
});

manifests.run();
