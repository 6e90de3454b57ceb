import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe } from '../../src/model/remedy.ts';
import { openStore } from '../../src/store/store.ts';
import { placesIn, releases, unpack } from '../witness/world.ts';
import { beat } from '../support/beat.ts';
import { freshFolder, problemOf, storeOptions } from './fixtures.ts';

/** The store brought to a newer version, with a copy of what was before; and refused where it is newer than the program. */
const test = suite('upgrade of the store');

/** Each step takes a start of the store. */
const stride = process.env['MOORING_TEST_LONG'] === 'yes' ? 1 : 7;

const folders: string[] = [];
test.after(() => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

function fresh(): string {
  const folder = freshFolder();
  folders.push(folder);
  return folder;
}

/** Every file below a folder with what tells whether somebody wrote it. */
function written(path: string, but: (name: string) => boolean = () => false): Record<string, string> {
  const names = (readdirSync(path, { recursive: true }) as string[]).sort();
  return Object.fromEntries(
    names.flatMap((name) => {
      const { mtimeNs, ino, mode } = statSync(join(path, name), { bigint: true });
      const isFile = statSync(join(path, name)).isFile();
      const content = isFile ? readFileSync(join(path, name), 'latin1') : '';
      return but(name) ? [] : [[name, `${isFile ? mtimeNs : 0} ${ino} ${mode} ${content}`]];
    }),
  );
}

const storeFiles = (path: string): Record<string, string> =>
  Object.fromEntries(
    ['', 'sites'].flatMap((inner) =>
      readdirSync(join(path, inner))
        .filter((name) => name.endsWith('.json'))
        .map((name) => [join(inner, name), readFileSync(join(path, inner, name), 'utf8')]),
    ),
  );

const copies = (path: string): string[] => readdirSync(path).filter((name) => name.startsWith('before-upgrade-'));
const open = async (path: string, at = 1_800_000_000_000): Promise<void> =>
  (await openStore({ ...storeOptions(path, { at }), program: '9.9.9' })).close();
const versionOf = (path: string): number =>
  (JSON.parse(readFileSync(join(path, 'state.json'), 'utf8')) as { version: number }).version;

for (const { version, archive } of releases().filter((release) => release.version === '0.1.0')) {
  const witness = (): string => {
    const dir = fresh();
    unpack(archive, dir);
    return placesIn(dir).state;
  };

  test(`${version}: the files from before are kept as they were, and the state names who wrote it`, async () => {
    const state = witness();
    const before = storeFiles(state);
    assert.is(versionOf(state), 1);
    await open(state);
    assert.is(versionOf(state), 2);
    assert.match(readFileSync(join(state, 'state.json'), 'utf8'), '"writtenBy":"9.9.9"');
    assert.equal(copies(state), ['before-upgrade-1-20270115T080000Z']);
    assert.equal(storeFiles(join(state, copies(state)[0]!)), before);
    const after = written(state, (name) => name === 'lock');
    await open(state);
    assert.equal(
      written(state, (name) => name === 'lock'),
      after,
      'a second start writes nothing',
    );
  });

  test(`${version}: going back is putting the copy back, and the next upgrade makes one of its own`, async () => {
    const state = witness();
    const before = storeFiles(state);
    await open(state);
    cpSync(join(state, copies(state)[0]!), state, { recursive: true });
    assert.equal({ ...storeFiles(state), ...before }, storeFiles(state));
    writeFileSync(join(state, 'sites.json'), readFileSync(join(state, 'sites.json')));
    await open(state, 1_800_000_060_000);
    assert.is(versionOf(state), 2);
    assert.is(copies(state).length, 2);
  });

  test(`${version}: an upgrade killed at its steps is completed, with the copy of the first try`, async () => {
    const original = witness();
    const before = storeFiles(original);
    let [steps, tried] = [1, 0];
    for (let isDone = false; !isDone; steps += stride) {
      tried += 1;
      beat(`step ${steps}`);
      const state = join(fresh(), 'state');
      cpSync(original, state, { recursive: true });
      const helper = join(import.meta.dirname, 'rotating.ts');
      const args = [helper, 'upgrade', state, String(steps)];
      const ran = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 120_000 });
      isDone = ran.stdout.includes('done');
      if (!isDone) assert.is(ran.signal, 'SIGKILL', ran.stderr);
      await open(state);
      assert.is(versionOf(state), 2, `step ${steps}`);
      assert.is(copies(state).length, 1, `step ${steps}: ${copies(state).join(' ')}`);
      assert.equal(storeFiles(join(state, copies(state)[0]!)), before, `step ${steps}`);
    }
    process.stdout.write(`\nnote: killed at ${tried - 1} of about ${steps} steps; MOORING_TEST_LONG=yes: all\n`);
    assert.ok(steps > 5);
  });
}

test('a store of a newer version is refused with its name, and nothing is touched', async () => {
  const path = join(fresh(), 'state');
  await open(path);
  mkdirSync(join(path, 'sites'), { recursive: true, mode: 0o700 });
  writeFileSync(join(path, 'sites', 'a.json'), '{"format":"mooring-site","version":1,"data":{"conflicts":[]}}\n');
  const files = readdirSync(path, { recursive: true }) as string[];
  const stores = files.filter((name) => /(^|sites\/)[\w-]+\.json$/.test(name));
  assert.ok(stores.length >= 8, stores.join());
  for (const name of stores) {
    const newer = join(fresh(), 'state');
    cpSync(path, newer, { recursive: true, preserveTimestamps: true });
    const file = join(newer, name);
    const kind = name.startsWith('sites/') ? 'site' : basename(name, '.json');
    // Of a form that nobody knows yet.
    writeFileSync(file, `{"format":"mooring-${kind}","version":99,"data":{"unheard":true,"writtenBy":"3.1.0"}}\n`);
    const seen = written(newer, (each) => each === 'lock');
    const problem = await problemOf('store-newer', () => open(newer));
    assert.equal(
      written(newer, (each) => each === 'lock'),
      seen,
      name,
    );
    assert.not(existsSync(`${file}.bad`));
    const { happened, untouched, todo } = describe(problem.toFacts());
    assert.match(happened, `${file} has the format version 99`);
    assert.is(untouched, 'Nothing was changed.');
    assert.match(todo, name === 'state.json' ? 'Start Mooring 3.1.0 again' : 'Start Mooring 9.9.9 again');
  }
});

test.run();
