import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSystemActions } from '../../src/actions/system.ts';
import { gitSupport } from '../../src/model/git-version.ts';
import { until } from '../support/until.ts';
import { freePort, hasEnded, inHarbour, spawnServe } from '../support/daemon.ts';
import { signedIn } from '../support/moored.ts';
import { scratch } from '../support/plain-git.ts';

/** What is under Mooring: packages, git, Node, the user it runs as. */
const platform = suite('platform');
const root = join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

platform('S34: a package with scripts, installed as Mooring installs: none of them runs', () => {
  const { dir, remove } = scratch();
  try {
    const evil = join(dir, 'evil');
    const marker = join(dir, 'it-ran');
    mkdirSync(evil);
    const touch = `node -e "require('fs').writeFileSync('${marker}', '')"`;
    const scripts = { preinstall: touch, install: touch, postinstall: touch, prepare: touch };
    writeFileSync(join(evil, 'package.json'), JSON.stringify({ name: 'evil', version: '1.0.0', scripts }));
    const home = join(dir, 'app');
    mkdirSync(join(home, 'test'), { recursive: true });
    cpSync(join(root, 'config', 'launch.js'), join(home, 'config', 'launch.js'));
    writeFileSync(join(home, 'test', 'run.ts'), `console.log('started');`);
    npm(evil, 'pack', '--ignore-scripts', '--pack-destination', home);
    const engines = { node: '>=18' };
    const dependencies = { evil: 'file:evil-1.0.0.tgz' };
    writeFileSync(
      join(home, 'package.json'),
      JSON.stringify({ name: 'app', version: '1.0.0', type: 'module', engines, dependencies }),
    );
    npm(home, 'install', '--package-lock-only', '--ignore-scripts', '--offline');
    rmSync(marker, { force: true });
    const { stdout, stderr } = spawnSync(process.execPath, ['config/launch.js', 'test'], {
      cwd: home,
      encoding: 'utf8',
      env: { ...process.env, npm_config_offline: 'true' },
    });
    assert.match(stdout, 'started', stderr);
    assert.ok(existsSync(join(home, 'node_modules', 'evil', 'package.json')), 'it was not installed');
    assert.not(existsSync(marker), 'a script of a package ran');
    // The fixture is a real one: without the guard it runs.
    rmSync(join(home, 'node_modules'), { recursive: true });
    npm(home, 'ci', '--offline');
    assert.ok(existsSync(marker), 'the fixture does nothing');
  } finally {
    remove();
  }
});

function npm(cwd: string, ...args: string[]): SpawnSyncReturns<string> {
  const result = spawnSync('npm', [...args, '--no-audit', '--no-fund'], { cwd, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`npm ${args.join(' ')}: ${result.stderr}`);
  return result;
}

platform('S34: the lock file pins every package by digest, and names no address to fetch from', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { version?: string; integrity?: string; resolved?: string; link?: boolean }>;
  };
  const names = Object.keys(packages).filter((name) => name !== '');
  assert.ok(names.length > 100);
  const loose = names.filter((name) => !/^sha512-/.test(packages[name]?.integrity ?? ''));
  assert.equal(loose, []);
  assert.equal(
    names.filter((name) => packages[name]?.resolved !== undefined),
    [],
  );
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> };
  assert.ok(Object.keys(dependencies).length <= 27, 'many direct dependencies');
  assert.equal(
    Object.values(dependencies).filter((range) => !/^\^\d+\.\d+\.\d+$/.test(range)),
    [],
  );
  for (const line of read('Dockerfile')
    .split('\n')
    .filter((text) => /\bnpm (ci|install|i)\b/.test(text)))
    assert.match(line, '--ignore-scripts');
});

/** A git that prints a version, and otherwise is the real one. */
function fakeGit(dir: string, version: string): string {
  const path = join(dir, 'git');
  writeFileSync(
    path,
    `#!/bin/sh\n[ "$1" = --version ] && { echo "git version ${version}"; exit; }\nexec /usr/bin/git "$@"\n`,
  );
  chmodSync(path, 0o755);
  return path;
}

/** Starts the daemon, ends it once it answers; gives its exit code, or undefined, and what it said. */
async function tried(env: Record<string, string>): Promise<{ code: number | undefined; said: string }> {
  const { dir, remove } = scratch();
  chmodSync(dir, 0o777);
  let said = '';
  const port = await freePort();
  const { child, ended } = spawnServe(
    {
      ...{ PATH: process.env['PATH'] ?? '', HOME: dir, MOORING_PORT: String(port), MOORING_ALLOW_ROOT: 'yes' },
      ...{ MOORING_STATE: join(dir, 'state'), MOORING_SITES: join(dir, 'sites'), ...env },
    },
    undefined,
    (text) => (said += text),
  );
  try {
    const url = `http://127.0.0.1:${port}/readyz`;
    const answers = until('it answers', async () => hasEnded(child) || (await fetch(url)).ok);
    const code = await Promise.race([ended, answers.then(() => undefined)]);
    answers.catch(() => {});
    child.kill('SIGTERM');
    await ended;
    if (code !== undefined) assert.not(existsSync(join(dir, 'state')), 'it made a state directory and then refused');
    return { code: code ?? undefined, said };
  } finally {
    child.kill('SIGKILL');
    remove();
  }
}

platform(
  'S35: a git below 2.38 is refused at the start, one without the last security fixes is warned of',
  async () => {
    const { dir, remove } = scratch();
    try {
      for (const version of ['1.9.1', '2.17.1', '2.37.9']) {
        const { code, said } = await tried({ MOORING_GIT: fakeGit(dir, version) });
        assert.is(code, 78, version);
        assert.match(said, version);
        assert.match(said, '2.38');
      }
      const unpatched = await tried({ MOORING_GIT: fakeGit(dir, '2.43.0') });
      assert.is(unpatched.code, undefined, unpatched.said);
      assert.match(unpatched.said, 'security fixes');
      const good = await tried({ MOORING_GIT: fakeGit(dir, '2.51.0') });
      assert.is(good.code, undefined, good.said);
      assert.not.match(good.said, 'security fixes');
    } finally {
      remove();
    }
  },
);

platform('S35: what a version says', () => {
  const say = (...versions: string[]): string[] => versions.map(gitSupport);
  assert.equal(say('2.37.7', '1.8.3.1', '0'), ['old', 'old', 'old']);
  assert.equal(say('2.38.0', '2.39.5', '2.43.6', '2.50.0'), Array(4).fill('unpatched'));
  assert.equal(say('2.43.7', '2.50.1', '2.51.0', '3.0.0'), Array(4).fill('good'));
});

platform('S36: the Node that package.json asks for is the one that is asked for at the start', () => {
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } };
  assert.is(engines.node, '>=22.22');
  assert.match(read('src/main.ts'), /major < 22 \|\| \(major === 22 && minor < 22\)/);
  const [major = 0] = process.versions.node.split('.').map(Number);
  assert.ok(major >= 22);
  process.stdout.write(
    `\nnot run here: S36 on other versions than Node ${process.versions.node}: only this one is here\n`,
  );
});

platform('S36: System shows the versions and how long they are supported', () =>
  inHarbour(async (harbour) => {
    const clicker = await signedIn(harbour);
    const { words } = await clicker.open(`${harbour.url}/system`);
    assert.match(
      words,
      new RegExp(`${process.versions.node.replaceAll('.', '\\.')}, (supported until|out of support)`),
    );
    assert.match(words, /Git .{0,40}\d+\.\d+\.\d+, supported/);
  }),
);

platform('S36: a Node near its end is warned of, one past it too', async () => {
  const found = async (node: string, now: number): Promise<string> => {
    const machine = {
      ...{ host: 'h', startedAt: 0, node, memoryBytes: () => 0, lagMs: () => ({ usual: 0, worst: 0 }) },
      git: () => Promise.resolve('2.51.0'),
      diskSpace: () => Promise.resolve(undefined),
      watches: () => Promise.resolve(undefined),
      privileges: () => ({ uid: 1500, userName: 'mooring', capabilities: new Set<string>() }),
      ownerOf: () => Promise.resolve(1500),
    };
    const acts = createSystemActions({
      ...{
        version: '1',
        config: { stateDir: '/s' },
        machine,
        backups: { status: () => ({}) },
        afterHooks: { failures: () => [] },
        notices: { on: () => [] },
        clock: { now: () => now },
      },
      store: { sites: { all: () => [] }, instance: { connections: () => [] }, notes: [] },
      runtimes: { worker: () => ({}) as never, load: () => ({ running: 0, waiting: 0 }) },
    });
    const check = (await acts.report()).checks.find(({ name }) => name === 'Node');
    return `${check?.result}: ${check?.finding}`;
  };
  assert.match(await found('22.22.0', Date.UTC(2026, 10, 1)), /^good/);
  assert.match(await found('22.22.0', Date.UTC(2027, 3, 1)), /^warn: .*supported until/);
  assert.match(await found('22.22.0', Date.UTC(2027, 5, 1)), /^warn: .*out of support/);
  assert.match(await found('20.19.0', Date.UTC(2026, 10, 1)), /^unknown/);
});

platform('S37: as root it does not start unless it is forced to', async () => {
  if (process.getuid?.() !== 0) {
    process.stdout.write('\nnot run here: S37 as root: the tests do not run as root\n');
    return;
  }
  const { code, said } = await tried({ MOORING_ALLOW_ROOT: '' });
  assert.is(code, 78, said);
  assert.match(said, 'does not run as root');
  assert.match(said, 'MOORING_ALLOW_ROOT=yes');
});

platform('S37: image, compose file and unit take away what Mooring does not need', () => {
  const image = read('Dockerfile');
  assert.match(image, /^USER 10001:10001$/m);
  const compose = read('docker-compose.yml');
  for (const words of ['read_only: true', 'cap_drop:', 'no-new-privileges:true']) assert.match(compose, words);
  const [, mooring = ''] = /\n {2}mooring:\n([\s\S]*?)\n {2}gitlab:\n/.exec(compose) ?? [];
  assert.match(mooring, /cap_drop:\s+- ALL/);
  assert.match(mooring, /'127\.0\.0\.1:/);
  const unit = read('config/mooring.service');
  const giving = 'CAP_CHOWN CAP_FOWNER CAP_FSETID CAP_SETPCAP';
  const sets = [`AmbientCapabilities=${giving}`, `CapabilityBoundingSet=${giving}`];
  for (const line of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'UMask=0077', ...sets])
    assert.match(unit, new RegExp(`^${line}$`, 'm'));
  assert.not.match(unit, /^RestrictSUIDSGID=yes/m, 'new folders need the set-group-ID bit');
  assert.match(unit, /^ReadWritePaths=\S+/m);
  assert.match(unit, /^StateDirectory=mooring$/m);
  assert.match(unit, /^User=mooring$/m);
  assert.not.match(unit, /^User=(root|www|www-data|nginx|apache)$/m);
  assert.match(unit, 'SupplementaryGroups', 'the groups are documented');
});

platform.run();
