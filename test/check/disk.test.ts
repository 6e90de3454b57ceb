import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type SetUpDeps, checkSetUp } from '../../src/check/set-up.ts';
import type { DiskFacts } from '../../src/model/disk.ts';
import { type Site, defaultSettings } from '../../src/model/site.ts';

const test = suite('the disk of a site in a check');
const root = join(import.meta.dirname, '..', '..');

/** Tries the disk in a process that is denied these calls. */
function tried(denied: Record<string, string>): DiskFacts | string {
  const folder = mkdtempSync(join(tmpdir(), 'mooring-disk-'));
  try {
    const program = `
      import { realFs } from '${root}/src/files/disk.ts';
      import { tryDisk } from '${root}/src/files/try-disk.ts';
      import { deny } from '${root}/test/support/seccomp.ts';
      if (${Object.keys(denied).length > 0}) deny(${JSON.stringify(denied)});
      console.log(JSON.stringify(await tryDisk(realFs(), ${JSON.stringify(folder)})));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    assert.equal(readdirSync(folder), [], 'nothing is left there');
    return stdout === '' ? stderr : (JSON.parse(stdout) as DiskFacts);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the check says of a site on that disk. */
async function told(disk: DiskFacts | undefined) {
  const site = {
    id: 's',
    name: 'Shop',
    folder: '/srv/shop',
    createdAt: 0,
    paused: false,
    settings: defaultSettings,
  } as Site;
  const deps: SetUpDeps = {
    ...{ config: { stateDir: '/s', roots: [], warnings: [] }, sites: () => [site], hasAccount: () => true },
    ...{ system: async () => [], attention: async () => [], instance: async () => [] },
    privileges: () => ({ uid: 33, capabilities: new Set(), userName: 'www-data' }),
    machine: {
      ...{ checkFolder: async () => {}, lookInto: async () => {}, writeInto: async () => {}, ownerOf: async () => 33 },
      ...{ refused: async () => ({ unreadable: [], unwritable: [] }), disk: async () => disk },
      diskSpace: async () => ({ free: 1e12, total: 2e12 }),
      ...{ keyExposure: async () => undefined, missingPrograms: () => ['prlimit'], unit: async () => undefined },
      declaration: async () => [],
      socketFault: () => 'The path is too long. Choose a shorter MOORING_STATE.',
    },
  };
  return checkSetUp(deps);
}

test('a disk that can do everything is no line of its own', async () => {
  const disk = tried({});
  if (typeof disk === 'string') throw new Error(disk);
  assert.is(disk.replace, 'exchange');
  const lines = (await told(disk)).filter(({ area }) => area === 'Site Shop');
  assert.equal(
    lines.map(({ result }) => result),
    ['ok'],
  );
});

test('one that cannot protect a save is a warning with its fix', async () => {
  const disk = tried({ 'renameat2 with flags': 'EINVAL', link: 'EPERM' });
  if (typeof disk === 'string') return console.log(`not run here: ${disk.trim().split('\n').at(-1)}`);
  assert.is(disk.replace, 'rename');
  const [line] = (await told(disk)).filter(({ area }) => area === 'Site Shop');
  assert.is(line?.result, 'warn');
  assert.match(line?.finding ?? '', 'cannot protect a save');
  assert.match(line?.fix ?? '', 'Move the site to a local disk');
});

test('a program that is missing and a path that is too long each have a line', async () => {
  const lines = await told(undefined);
  const programs = lines.find(({ area }) => area === 'Programs');
  assert.equal([programs?.result, programs?.finding], ['fail', 'Not found on PATH: prlimit.']);
  assert.match(programs?.fix ?? '', 'util-linux');
  const socket = lines.find(({ area }) => area === 'Command line');
  assert.equal([socket?.finding, socket?.fix], ['The path is too long.', 'Choose a shorter MOORING_STATE.']);
});

test.run();
