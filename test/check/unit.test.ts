import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { checkUnit } from '../../src/check/unit.ts';

const test = suite('the sandbox of the unit');

const ours = readFileSync(join(import.meta.dirname, '..', '..', 'config', 'mooring.service'), 'utf8');
const told = (unit: string, folders: readonly string[]) =>
  checkUnit(unit, { folders, stateDir: '/var/lib/mooring' }).map(
    ({ result, finding, fix }) => `${result} ${finding} ${fix ?? ''}`,
  );

test('the unit that we ship leaves its folders writable, and hides homes', () => {
  assert.equal(told(ours, ['/var/www', '/var/www/shop']), ['ok Its sandbox leaves Mooring the folders it needs. ']);
  const [hidden = '', readOnly = ''] = told(ours, ['/home/ana/site']);
  assert.match(hidden, /^fail ProtectHome hides \/home\/ana\/site .*ProtectHome=no/);
  assert.match(readOnly, /^fail ProtectSystem=strict makes \/home\/ana\/site read-only .*ReadWritePaths/);
  assert.match(told(ours, ['/srv/sites'])[0] ?? '', /^fail ProtectSystem=strict makes \/srv\/sites read-only/);
});

test('drop-ins count after the unit, lists grow, and an empty one begins anew', () => {
  assert.is(told(`${ours}\n[Service]\nReadWritePaths=/srv/sites\n`, ['/srv/sites', '/var/www'])[0]?.slice(0, 2), 'ok');
  assert.match(told(`${ours}\nReadWritePaths=\nReadWritePaths=/srv\n`, ['/var/www'])[0] ?? '', /^fail .*\/var\/www/);
  assert.is(told(`${ours}\nProtectHome=no\nReadWritePaths=-/home/ana/\n`, ['/home/ana/site'])[0]?.slice(0, 2), 'ok');
  assert.match(told(`${ours}\nRestrictSUIDSGID=true\n`, ['/var/www'])[0] ?? '', /^warn RestrictSUIDSGID .*Remove/);
  assert.equal(told('[Service]\nExecStart=/bin/true\n', ['/home/x'])[0]?.slice(0, 2), 'ok');
  assert.equal(checkUnit(undefined, { folders: ['/home/x'], stateDir: '/s' }), []);
});

test.run();
