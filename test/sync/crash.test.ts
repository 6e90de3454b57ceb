import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import type { BranchName } from '../../src/model/instance.ts';
import type { Fs } from '../../src/model/world.ts';
import { connect, planConnect } from '../../src/sync/connect.ts';
import { Doom, doomedFs, doomedRemote, doomedRepository, inlineScanner } from '../soak/doom.ts';
import { assertSame, folderFiles, isAncestor, leftovers, missing, treeFiles } from '../soak/oracle.ts';
import { type Scenario, type Value, everything, scenarios, site as website } from '../soak/scenarios.ts';
import type { Hold } from '../../src/model/site.ts';
import { type EngineWorld, answering, engineWorld } from '../support/engine.ts';
import { git } from '../support/plain-git.ts';
import { beat } from '../support/beat.ts';

/**
 * The process ends at its n-th step, for every n; a new one goes on from what it left. `MOORING_CRASH=all` runs every
 * step; otherwise a sample that the seed chooses, until the time is up. `MOORING_ONLY` narrows by name, `MOORING_STEP`
 * to one step.
 */
const crash = suite('a crash at every step');
const all = process.env['MOORING_CRASH'] === 'all';
const seed = Number(process.env['MOORING_SEED'] ?? 20_261_122);
const budgetMs = all ? Number.POSITIVE_INFINITY : Number(process.env['MOORING_BUDGET_S'] ?? 45) * 1_000;
const only = process.env['MOORING_ONLY'] ?? '';
/** After so many failures the rest would tell nothing new. */
const mostFailures = Number(process.env['MOORING_FAILURES'] ?? 20);
const oneStep = process.env['MOORING_STEP'] ? Number(process.env['MOORING_STEP']) : undefined;

interface Template {
  readonly scenario: Scenario;
  readonly dir: string;
  readonly values: readonly string[];
  /** The names of all steps of a run that is not interrupted. */
  readonly steps: readonly string[];
  readonly recoverySteps: number;
}

crash('wherever it ends, the next process makes both sides equal and nothing is lost', async () => {
  const root = mkdtempSync(join(tmpdir(), 'mooring-test-crash-'));
  const failures: string[] = [];
  const began = performance.now();
  let ran = 0;
  let twice = 0;
  try {
    const templates: Template[] = [];
    for (const scenario of scenarios.filter(({ name }) => name.includes(only))) {
      beat(`not interrupted: ${scenario.name}`);
      try {
        templates.push(await template(root, scenario));
      } catch (error) {
        failures.push(`${scenario.name}, not interrupted: ${text(error)}`);
      }
    }
    const cases = shuffled(
      templates.flatMap((made) => made.steps.map((_, i) => ({ made, n: i + 1 }))),
      seed,
    ).filter(({ n }) => oneStep === undefined || n === oneStep);
    for (const [index, { made, n }] of cases.entries()) {
      // A slow machine crashes fewer times, but once for each scenario on average.
      const isLate = performance.now() - began > budgetMs && ran >= templates.length;
      if (isLate || failures.length >= mostFailures) break;
      ran += 1;
      // A run of all takes long: whoever ends it early still has what it found.
      if (all && ran % 100 === 0) process.stdout.write(`note: ${ran} of ${cases.length}, ${failures.length} failed\n`);
      beat(`crash ${ran} of ${cases.length}: ${made.scenario.name}, step ${n}`);
      // Every fifth: the recovery is broken off as well.
      const second = index % 5 === 0 ? 1 + ((n * 7 + index) % made.recoverySteps) : undefined;
      if (second) twice += 1;
      try {
        await oneCrash(root, made, n, second);
      } catch (error) {
        const step = `${made.scenario.name}, step ${n} (${made.steps[n - 1]})${second ? `, again at ${second}` : ''}`;
        failures.push(`${step}: ${text(error)}`);
        process.stdout.write(`note: ${step} failed\n`);
      }
    }
    const total = templates.reduce((sum, { steps }) => sum + steps.length, 0);
    process.stdout.write(
      `note: ${templates.length} scenarios, ${total} steps; crashed at ${ran} of them, ${twice} crashed twice, seed ${seed}\n`,
    );
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  assert.is(failures.length, 0, `\n${failures.join('\n')}`);
  assert.ok(ran >= 1);
});

crash.run();

const text = (error: unknown): string =>
  error instanceof Error
    ? `${error.message}${'actual' in error ? ` ${JSON.stringify(error.actual)}` : ''}\n${(error.stack ?? '')
        .split('\n')
        .filter((line) => line.includes('/src/') || line.includes('judge'))
        .join('\n')}`.slice(0, 1_200)
    : String(error);

/** The world as it is before the process acts, and how many steps it then takes. */
async function template(root: string, scenario: Scenario): Promise<Template> {
  const dir = mkdtempSync(join(root, 'template-'));
  const values: string[] = [];
  const value = valueOf(values);
  const world = await engineWorld({
    keep: dir,
    repository: website,
    ...scenario.options,
    scanner: inlineScanner(realFs()),
  });
  values.push(...Object.values({ ...(scenario.options?.files ?? {}) }));
  if (!scenario.first) await world.connect();
  await scenario.prepare?.(world, value);
  await world.close();
  const made = { scenario, dir, values, steps: [], recoverySteps: 1 };
  const { steps, recoverySteps } = await oneCrash(root, made, Number.POSITIVE_INFINITY);
  return { ...made, steps, recoverySteps };
}

function valueOf(values: string[]): Value {
  return (name) => {
    const content = `${name} ${values.length}.${process.pid}.${Math.trunc(performance.now() * 1000)}\n`;
    values.push(content);
    return content;
  };
}

async function oneCrash(
  root: string,
  { scenario, dir: from, values: before }: Template,
  n: number,
  again?: number,
): Promise<{ steps: string[]; recoverySteps: number }> {
  const dir = mkdtempSync(join(root, 'w-'));
  const values = [...before];
  const value = valueOf(values);
  try {
    copy(from, dir);
    const pushes: [string | null, string][] = [];
    const first = await live(dir, scenario, n, pushes, async (world) => act(world, scenario), value);
    const down = await engineWorld({ keep: dir });
    scenario.meanwhile?.(down, value);
    await down.close();
    let recoverySteps = 1;
    if (again !== undefined) await live(dir, scenario, again, pushes, async (world) => settle(world, scenario));
    const { steps } = await live(dir, scenario, Number.POSITIVE_INFINITY, pushes, async (world) => {
      await settle(world, scenario);
    });
    recoverySteps = Math.max(1, steps.length);
    await judge(dir, scenario, values, pushes);
    return { steps: first.steps, recoverySteps };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** One process on the directories, until it ends at step `n` or is done. */
async function live(
  dir: string,
  scenario: Scenario,
  n: number,
  pushes: [string | null, string][],
  work: (world: EngineWorld) => Promise<void>,
  value?: Value,
): Promise<{ steps: string[] }> {
  const doom = new Doom(n, join(dir, 'state'));
  const fs = doomedFs(withRival(platform(scenario), dir, scenario, value), doom);
  const world = await engineWorld({
    keep: dir,
    fs,
    scanner: inlineScanner(fs),
    ...(scenario.options?.settings ? { settings: scenario.options.settings } : {}),
    wrap: (repository) => doomedRepository(repository, doom),
    remote: (remote) => doomedRemote(remote, doom, (expected, commit) => pushes.push([expected, commit])),
  });
  await world.repository.prepare();
  doom.armed = true;
  try {
    await work(world);
  } catch (error) {
    if (!doom.dead) throw error;
  }
  await doom.buried();
  doom.armed = false;
  return { steps: doom.trace };
}

function platform(scenario: Scenario): Fs {
  const { exchange: _exchange, renameNoReplace: _renameNoReplace, ...linking } = realFs();
  return scenario.way === 'link' ? linking : realFs();
}

/** Somebody acts before the first swap of a file that is live. */
function withRival(real: Fs, dir: string, { rival }: Scenario, value?: Value): Fs {
  if (!rival || !value) return real;
  let done = false;
  const act = (): void => {
    if (done) return;
    done = true;
    rival(join(dir, 'site'), value);
  };
  const { exchange } = real;
  return {
    ...real,
    rename(...args) {
      act();
      real.rename(...args);
    },
    ...(exchange
      ? {
          exchange(...args: Parameters<typeof exchange>) {
            act();
            exchange(...args);
          },
        }
      : {}),
  };
}

async function act(world: EngineWorld, scenario: Scenario): Promise<void> {
  if (scenario.first) await firstConnect(world, scenario.first);
  await (scenario.act ?? everything)(world);
}

async function firstConnect(world: EngineWorld, direction: 'replace' | 'start-from-folder'): Promise<void> {
  const { repository, directory, remote } = world;
  const deps = { repository, directory, remote, branch: 'main' as BranchName, now: () => Date.now(), fileLimit: 1_000 };
  const plan = await planConnect(deps, direction);
  await connect(deps, direction, plan.id, async () => writeFileSync(join(world.dir, 'bound'), ''));
}

/** What the next process does: connects again if that never came about, then looks until nothing is left to do. */
async function settle(world: EngineWorld, scenario: Scenario): Promise<void> {
  if (scenario.first && !existsSync(join(world.dir, 'bound'))) await firstConnect(world, scenario.first);
  let hold: Hold | undefined;
  for (let round = 0; round < 8; round += 1) {
    world.directory.touchedAll();
    const trigger = round === 0 ? 'start' : 'person';
    const outcome = await world.sync({ trigger, ...answering(hold, scenario.answer) });
    hold = outcome.hold;
    const moved = outcome.pulled.length + outcome.pushed.length + outcome.unsettled;
    if (!outcome.hold && moved === 0 && round > 0) return;
  }
}

async function judge(
  dir: string,
  scenario: Scenario,
  values: readonly string[],
  pushes: readonly [string | null, string][],
): Promise<void> {
  const world = await engineWorld({ keep: dir, fs: platform(scenario), scanner: inlineScanner(realFs()) });
  world.directory.touchedAll();
  const before = [world.tip(), git(world.gitDir, 'for-each-ref', 'refs/sync')];
  const quiet = await world.sync();
  const apart = new Set(quiet.notSynced.map(({ path }) => path as string));
  const without = (files: Map<string, string>): Map<string, string> =>
    new Map([...files].filter(([path]) => !apart.has(path)));
  assertSame(without(folderFiles(world.site, 'with links')), without(treeFiles(world.bare, 'main')));
  assert.equal([world.tip(), git(world.gitDir, 'for-each-ref', 'refs/sync')], before, 'a further look made a commit');
  assert.equal(missing(world, values), [], 'lost');
  for (const [from, to] of pushes) if (from) assert.ok(isAncestor(world.gitDir, from, to), `pushed ${to} over ${from}`);
  const { disk: _disk, remote: _remote, ...open } = await world.repository.ledger();
  assert.equal(open, {});
  git(world.gitDir, 'fsck', '--connectivity-only');
  world.later(2_000_000);
  await everything(world);
  assert.equal(leftovers(world), [], 'left behind');
  assert.equal(missing(world, values), [], 'lost with the quarantine');
  scenario.expect?.(world);
  await world.close();
}

function copy(from: string, to: string): void {
  execFileSync('cp', ['-a', `${from}/.`, to]);
  const config = join(to, 'clone', '.git', 'config');
  if (existsSync(config)) writeFileSync(config, readFileSync(config, 'utf8').replaceAll(from, to));
}

function shuffled<T>(items: readonly T[], by: number): T[] {
  let state = by >>> 0 || 1;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return items
    .map((item) => ({ item, at: next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}
