import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';

/** The unit and the compose file for the three set-ups of docs/permissions.md, as far as they can be read here. */
const test = suite('set-ups');

const root = join(import.meta.dirname, '../..');
const read = (name: string): string => readFileSync(join(root, name), 'utf8');
const setUps = ['capabilities', 'group', 'same-user'];

test('there is a drop-in and an override for each', () => {
  assert.equal(
    readdirSync(join(root, 'config/systemd')).sort(),
    setUps.map((name) => `${name}.conf`),
  );
  assert.equal(
    readdirSync(join(root, 'config/compose')).sort(),
    setUps.map((name) => `${name}.yml`),
  );
});

for (const name of ['', ...setUps])
  test(`systemd accepts the unit ${name === '' ? 'alone' : `with ${name}.conf`}`, () => {
    const dir = mkdtempSync(join(tmpdir(), 'mooring-unit-'));
    try {
      // The program of the unit is not on this machine; everything else stays as it is.
      writeFileSync(
        join(dir, 'mooring.service'),
        read('config/mooring.service').replace('/opt/mooring/bin/mooring', '/bin/true'),
      );
      if (name !== '') {
        mkdirSync(join(dir, 'mooring.service.d'));
        writeFileSync(join(dir, 'mooring.service.d/set-up.conf'), read(`config/systemd/${name}.conf`));
      }
      const { error, stdout, stderr, status } = spawnSync(
        'systemd-analyze',
        ['verify', '--man=no', join(dir, 'mooring.service')],
        { encoding: 'utf8', env: { ...process.env, SYSTEMD_UNIT_PATH: `${dir}:` } },
      );
      if (error)
        return console.log('not run here: there is no systemd-analyze; and systemd itself starts no unit here');
      assert.not.match(stdout + stderr, /mooring/);
      assert.is(status, 0, stdout + stderr);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

interface Service {
  readonly user?: string;
  readonly group_add?: readonly (string | number)[];
  readonly cap_add?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly read_only?: boolean;
  readonly entrypoint?: readonly string[];
}

/** By docker-compose itself, with the override; undefined where it is not installed. */
function merged(name: string): Service | undefined {
  const files = ['-f', 'docker-compose.yml', ...(name === '' ? [] : ['-f', `config/compose/${name}.yml`])];
  const { error, status, stdout, stderr } = spawnSync('docker-compose', [...files, 'config'], {
    cwd: root,
    encoding: 'utf8',
  });
  if (error) return undefined;
  assert.is(status, 0, stderr);
  return (parse(stdout) as { services: { mooring: Service } }).services.mooring;
}

test('compose accepts the file with each override', () => {
  for (const name of ['', ...setUps]) {
    const service = merged(name);
    if (!service) {
      console.log('not run here: there is no docker-compose; the files are only parsed as YAML');
      for (const each of setUps) assert.ok(parse(read(`config/compose/${each}.yml`)));
      return;
    }
    assert.equal([service.read_only, service.cap_drop], [true, ['ALL']], name);
  }
  console.log('not run here: the containers; no container can start on this machine');
  assert.is(merged('same-user')?.user, '1000:1000');
  assert.equal(merged('group')?.group_add?.map(String), ['33']);
  const { user, cap_add: added, entrypoint } = merged('capabilities') ?? {};
  assert.equal([user, added?.length, entrypoint?.[2]], ['0:0', 6, 'setpriv']);
});

test.run();
