import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Registry } from 'prom-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createProgram } from '../../src/cli/program.ts';
import { readConfig } from '../../src/config.ts';
import { installationGauges, siteGauges } from '../../src/metrics/gauges.ts';
import { createRecorder } from '../../src/metrics/recorder.ts';
import { firstStatus, type SiteId } from '../../src/model/site.ts';
import { variables } from '../../src/settings.ts';

/** The pages about the command line and monitoring say what is there. */
const test = suite('pages about commands and settings');

const root = join(import.meta.dirname, '..', '..');
const page = (name: string): string => readFileSync(join(root, 'docs', name), 'utf8');
const blocks = (text: string, kind: string): string[] =>
  [...text.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, block = '']) => block);

/** The tree of commands, none of which does anything; `ran` receives the path of each that is called. */
function inert(ran: string[]): Command {
  const program = createProgram(() => {});
  const still = (command: Command, path: string): void => {
    command.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
    if (command.commands.length === 0) command.action(() => void ran.push(path));
    for (const each of command.commands) still(each, `${path} ${each.name()}`.trim());
  };
  still(program, '');
  return program;
}

function leaves(command: Command, path = ''): string[] {
  const visible = command.createHelp().visibleCommands(command);
  if (path !== '' && command.commands.length === 0) return [path];
  return visible
    .filter((each) => each.name() !== 'help')
    .flatMap((each) => leaves(each, `${path} ${each.name()}`.trim()));
}

/** The words of each `mooring …` in a line of shell, up to a redirection, a pipe or the end of a quoted script. */
function calls(line: string): string[][] {
  // There is also a user and a unit of this name.
  const commands = line.replace(/(?:-u|--unit) mooring\b|\s+#.*/g, '');
  return [...commands.matchAll(/(?:^|[\s;&|])mooring ((?:[^|>;&'"]|"[^"]*")*)/g)].map(([, words = '']) =>
    [...words.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? ''),
  );
}

test('every example parses as it stands, and every command is on the page', async () => {
  const ran: string[] = [];
  const lines = readdirSync(join(root, 'docs')).flatMap((name) =>
    !name.endsWith('.md') ? [] : blocks(page(name), 'sh').join('').split('\n'),
  );
  const examples = lines.filter((line) => !line.startsWith('printf')).flatMap(calls);
  assert.ok(examples.length > 15);
  for (const words of examples) await inert(ran).parseAsync(words, { from: 'user' });
  assert.is(ran.length, examples.length);

  const text = page('command-line.md');
  const all = leaves(createProgram(() => {}));
  assert.ok(all.length > 20);
  assert.equal(
    all.filter((path) => !text.includes(`mooring ${path}`)),
    [],
  );
});

test('every command has a help of at most 80 columns', () => {
  const each = (command: Command): void => {
    const help = command.createHelp().formatHelp(command, command.createHelp());
    for (const line of help.split('\n')) assert.ok(line.length <= 80, `${command.name()}: ${line}`);
    for (const inner of command.commands) each(inner);
  };
  each(createProgram(() => {}));
});

test('every metric is on the page, and the page names no other', async () => {
  const register = new Registry();
  createRecorder(register, () => 0);
  const status = { ...firstStatus(0, 'unknown'), hold: undefined };
  const sites = siteGauges([{ site: { id: 's' as SiteId, name: 's' }, status: status as never }], { most: 1, now: 0 });
  const installation = installationGauges(
    {
      ...{ version: '1', node: '1', startedAt: 0, memoryBytes: 0, connections: [] },
      ...{ queue: { running: 0, waiting: 0 }, watches: { used: 0, limit: 1 }, disk: { free: 0, total: 1 } },
    },
    { most: 1 },
  );
  const names = [register, sites, installation]
    .flatMap((one) => one.getMetricsAsArray().map(({ name }) => name))
    .sort();
  const told = [
    ...new Set([...page('monitor.md').matchAll(/`(mooring_[a-z_]+)`/g)].map(([, name = '']) => name)),
  ].sort();
  assert.equal(told, names);
});

test('settings that the pages name exist', () => {
  const known = new Set(variables().map(({ name }) => name));
  for (const name of ['command-line.md', 'monitor.md', 'back-up.md', 'after-a-sync.md', 'configuration-as-code.md'])
    for (const [setting] of page(name).matchAll(/\bMOORING_[A-Z_]+\b/g)) assert.ok(known.has(setting), setting);
});

test('the settings that a page shows together are accepted', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-docs-'));
  try {
    for (const text of blocks(page('back-up.md'), 'ini')) {
      const given = text.replace('/var/backups/mooring', dir).trim().split('\n');
      const env = Object.fromEntries(given.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]));
      const config = readConfig({ PATH: process.env['PATH'], ...env }, { terminal: false, uid: 1_500 });
      assert.equal(config.backup, { folder: dir, schedule: '15 3 * * *', keep: 14, withRepositories: true });
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('the scrape configurations are valid', () => {
  if (spawnSync('promtool', ['--version']).error) return console.log('not run here: there is no promtool');
  const dir = mkdtempSync(join(tmpdir(), 'mooring-docs-'));
  try {
    const token = join(dir, 'mooring.token');
    writeFileSync(token, 'mooring_x\n');
    const configs = blocks(page('monitor.md'), 'yaml');
    assert.is(configs.length, 2);
    for (const text of configs) {
      const file = join(dir, 'prometheus.yml');
      writeFileSync(file, text.replace('/etc/prometheus/mooring.token', token));
      const { status, stdout, stderr } = spawnSync('promtool', ['check', 'config', file], { encoding: 'utf8' });
      assert.is(status, 0, stdout + stderr);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test.run();
