#!/usr/bin/env node
/*
 * Starts Mooring, its demo or its tests right after `git clone`, without any other preparation:
 *
 *     node config/launch.js start|demo|test|soak|bench|bench:sites|release|mutants|lint|types [arguments …]
 *
 * Runs on any installed Node from version 18 on, so it is plain JavaScript without dependencies. If that Node is older
 * than package.json requires, the launcher downloads a newer one outside the repository, once, and continues with it.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MAJOR = 24;
/** Exit codes of sysexits(3) for an invalid command line and an invalid configuration. */
const EXIT_USAGE = 64;
const EXIT_CONFIG = 78;
const LOCK_STALE_MS = 15 * 60_000;

const prettier = 'node_modules/prettier/bin/prettier.cjs --config config/prettier.json --check --log-level warn .';
const commands = {
  // Trying Mooring out must work for every user, including root. A service starts without this file and not as root.
  start: { build: true, run: ['--max-semi-space-size=4 dist/main.js serve'], env: { MOORING_ALLOW_ROOT: 'yes' } },
  demo: { build: false, run: ['test/support/demo.ts'] },
  test: { build: false, run: ['test/run.ts'] },
  soak: { build: false, run: ['test/soak/soak.ts'] },
  bench: { build: true, run: ['test/bench/run.ts'] },
  'bench:sites': { build: true, run: ['test/bench/many.ts'] },
  release: { build: false, run: ['config/release.js'] },
  mutants: { build: false, run: ['test/soak/mutants.ts'] },
  lint: { build: false, run: ['node_modules/eslint/bin/eslint.js --config config/eslint.config.js .', prettier] },
  types: { build: false, run: ['node_modules/typescript/bin/tsc -p tsconfig.json --noEmit'] },
};

await main(process.argv.slice(2));

async function main([name, ...args]) {
  const command = Object.hasOwn(commands, name ?? '') ? commands[name] : undefined;
  if (!command)
    leave(
      EXIT_USAGE,
      'usage: node config/launch.js start|demo|test|soak|bench|bench:sites|release|mutants|lint|types [arguments …]',
    );
  const node = await findNode();
  if (node !== process.execPath) process.env.PATH = `${dirname(node)}${delimiter}${process.env.PATH ?? ''}`;
  await install();
  if (command.build) await build(node);
  for (const [name, value] of Object.entries(command.env ?? {})) process.env[name] ??= value;
  for (const line of command.run) {
    const code = await run(node, [...line.split(' '), ...args]);
    if (code !== 0) return void (process.exitCode = code);
  }
}

/** Returns the path of the Node to use: the current one if it is new enough, otherwise a downloaded one. */
async function findNode() {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const needed = engines.node.replace(/^>=/, '');
  if (isAtLeast(process.versions.node, needed)) return process.execPath;
  const platform = `${process.platform}-${process.arch}`;
  if (!['linux-x64', 'linux-arm64'].includes(platform)) {
    leave(
      EXIT_CONFIG,
      `Mooring requires Node ${needed} or newer; this is ${process.versions.node}. Install Node ${NODE_MAJOR} and try again.`,
    );
  }
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mooring', `node-${NODE_MAJOR}`);
  const binary = join(cache, 'node_modules', `node-${platform}`, 'bin', 'node');
  await alone(cache, () => {
    if (works(binary)) return;
    say(
      `This is Node ${process.versions.node}; Mooring requires ${needed} or newer. Downloading Node ${NODE_MAJOR} to ${cache} (only once) …`,
    );
    // Remove what an interrupted download left behind: an incomplete package would count as installed.
    rmSync(join(cache, 'node_modules'), { recursive: true, force: true });
    const fetched = npm(
      [
        'install',
        '--prefix',
        cache,
        '--no-save',
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
        `node-${platform}@${NODE_MAJOR}`,
      ],
      cache,
    );
    if (fetched !== 0 || !works(binary))
      leave(EXIT_CONFIG, `Node ${NODE_MAJOR} could not be downloaded. Install it yourself and try again.`);
  });
  return binary;
}

/** Installs exactly the packages that package-lock.json lists. Does nothing if that file has not changed since. */
async function install() {
  const stamp = join(root, 'node_modules', '.mooring-stamp');
  const lockfile = readFileSync(join(root, 'package-lock.json'), 'utf8');
  const done = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lockfile;
  if (done()) return;
  await alone(root, () => {
    if (done()) return;
    if (!matchesLockfile(lockfile)) {
      say('Installing the packages listed in package-lock.json (about half a minute) …');
      // Package scripts never run. Nothing that Mooring uses needs one, and a hijacked package could abuse them.
      const status = npm(['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund'], root);
      if (status !== 0) leave(status || 1, 'npm ci failed.');
    }
    writeFileSync(stamp, lockfile);
  });
}

/**
 * Whether the installed packages already match the lock file, for example after a plain `npm ci`. In node_modules, npm
 * leaves its own copy of the lock file with one entry per package.
 */
function matchesLockfile(lockfile) {
  const copy = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(copy)) return false;
  const wanted = JSON.parse(lockfile).packages;
  const found = JSON.parse(readFileSync(copy, 'utf8')).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || optional === true || found[path]?.version === version,
  );
}

/** Builds `dist` if it is missing or older than any source file. */
async function build(node) {
  const built = join(root, 'dist', '.built');
  const upToDate = () => existsSync(built) && newest(join(root, 'src')) <= statSync(built).mtimeMs;
  if (upToDate()) return;
  await alone(root, () => {
    if (upToDate()) return;
    say('Building …');
    rmSync(join(root, 'dist'), { recursive: true, force: true });
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const began = new Date();
    const { status } = spawnSync(node, [tsc, '-p', 'tsconfig.build.json'], { cwd: root, stdio: 'inherit' });
    if (status !== 0) leave(status ?? 1, 'The build failed.');
    // Record the time at which the build began, so that a source saved during the build counts as newer.
    writeFileSync(built, `${began.toISOString()}\n`);
  });
}

/** Runs the command in the foreground, forwards signals to it and resolves with its exit code. */
async function run(node, args) {
  const child = spawn(node, args, { cwd: root, stdio: 'inherit' });
  // A terminal sends Ctrl+C to the whole process group, so the child receives it anyway. A `kill` of this process does
  // not reach the child.
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const { code, signal } = await new Promise((resolve) => {
    child.once('error', (error) => leave(1, `Could not start ${node}: ${error.message}`));
    child.once('exit', (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  return code ?? 128 + (signal === 'SIGKILL' ? 9 : signal === 'SIGINT' ? 2 : 15);
}

/**
 * Runs `work` while holding a lock on `folder`, so that only one launch works there at a time. The lock is a folder,
 * because creating one is atomic on every file system. The lock of a process that died is removed.
 */
async function alone(folder, work) {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    leave(
      EXIT_CONFIG,
      `Could not create ${folder} (${error.code}). Set XDG_CACHE_HOME to a folder that you can write to.`,
    );
  }
  const lock = join(folder, '.mooring-launch');
  for (let said = false; !take(lock); said = true) {
    if (!said) say('Waiting for another launch to finish …');
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const release = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', release);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, quit);
  try {
    work();
  } finally {
    release();
    process.off('exit', release);
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, quit);
  }
}

function quit() {
  process.exit(130);
}

function take(lock) {
  try {
    mkdirSync(lock);
    writeFileSync(join(lock, 'pid'), String(process.pid));
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (isAbandoned(lock)) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

function isAbandoned(lock) {
  try {
    const age = Date.now() - statSync(lock).mtimeMs;
    if (age > LOCK_STALE_MS) return true;
    // Just created: its owner may not have written its process ID yet.
    if (!existsSync(join(lock, 'pid'))) return age > 5_000;
    process.kill(Number(readFileSync(join(lock, 'pid'), 'utf8')), 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

function npm(args, cwd) {
  const { status, error } = spawnSync('npm', args, { cwd, stdio: ['ignore', 2, 2] });
  if (error) leave(EXIT_CONFIG, `Could not start npm: ${error.message}`);
  return status ?? 1;
}

function works(binary) {
  return existsSync(binary) && spawnSync(binary, ['--version']).status === 0;
}

function newest(folder) {
  const entries = readdirSync(folder, { withFileTypes: true });
  const times = entries.map((e) =>
    e.isDirectory() ? newest(join(folder, e.name)) : statSync(join(folder, e.name)).mtimeMs,
  );
  return Math.max(statSync(folder).mtimeMs, ...times);
}

function isAtLeast(version, needed) {
  const [a, b] = [version, needed].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i += 1) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** Prints to standard error, so that standard output contains only what the command itself prints. */
function say(text) {
  console.error(text);
}

function leave(code, text) {
  say(text);
  process.exit(code);
}
