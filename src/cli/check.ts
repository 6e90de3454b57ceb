import { createServer } from 'node:net';
import { checkSetUp, type SetUpDeps } from '../check/set-up.ts';
import { setUpMachine } from '../check-wiring.ts';
import { type Config, readConfig } from '../config.ts';
import { createLog, createMask } from '../log.ts';
import { gitVersion } from '../machine.ts';
import { readPrivileges } from '../files/privileges.ts';
import { type Problem, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import type { SetUpCheck } from '../model/system.ts';
import { createParts } from '../parts.ts';
import { isAnswered, socketPath } from '../socket.ts';
import { isUnused } from '../store/state-dir.ts';
import { openStore } from '../store/store.ts';
import { webDeps } from '../web-wiring.ts';
import { version } from '../version.ts';
import { systemClock, systemRandom } from '../world.ts';
import type { Cli } from './cli.ts';
import { type ExitCode, exit } from './exit.ts';
import { inUse } from './stopped.ts';
import { type Output, wrap } from './output.ts';

/**
 * Explains every fault of the set-up. A daemon that runs is asked itself: only it sees its own environment and sandbox.
 * Otherwise the same is looked at from here, with the environment and the rights of whoever asks.
 */
export async function check(cli: Cli): Promise<ExitCode> {
  const { running, checks, exitCode } = await examine(cli);
  if (cli.json) cli.out.json({ daemon: running ? 'running' : 'stopped', checks });
  else for (const line of linesOf(cli.out, checks, running)) cli.out.line(line);
  return exitCode;
}

export async function examine(cli: Cli): Promise<Checked & { readonly running: boolean }> {
  const running = await isAnswered(socketPath(cli.stateDir));
  return { running, ...(running ? await ofDaemon(cli) : await fromHere(cli)) };
}

interface Checked {
  readonly checks: readonly SetUpCheck[];
  readonly exitCode: ExitCode;
}

const withExitCode = (checks: readonly SetUpCheck[]): Checked => ({
  checks,
  exitCode: checks.some(({ result }) => result === 'fail') ? exit.failed : exit.ok,
});

async function ofDaemon({ client }: Cli): Promise<Checked> {
  const { checks } = await client.get<{ checks: readonly SetUpCheck[] }>('/operator/v1/check');
  return withExitCode([{ area: 'Daemon', result: 'ok', finding: 'It runs and answers.' }, ...checks]);
}

async function fromHere({ stateDir, env }: Cli): Promise<Checked> {
  process.umask(0o077);
  const first: SetUpCheck[] = [{ area: 'Daemon', result: 'note', finding: 'It does not run.' }];
  if (process.getuid?.() === 0) {
    const fix = 'To check its permissions, run this command as the daemon’s user: sudo -u mooring mooring check';
    first.push({ area: 'User', result: 'note', finding: 'You are root, who may do anything.', fix });
  }
  let config: Config;
  try {
    // Whether the daemon may run as root is not asked here: an admin checks as root what runs as somebody else.
    config = readConfig({ ...env, MOORING_STATE: stateDir }, { terminal: false, uid: undefined });
  } catch (error) {
    return { checks: [...first, ...settingsFaults(asProblem(error))], exitCode: exit.config };
  }
  return withExitCode([...first, ...(await portLine(config)), ...(await withState(config))]);
}

/** One line of the problem's text is one variable, with a valid example at its end. */
function settingsFaults(problem: Problem): SetUpCheck[] {
  if (problem.code !== 'config-invalid') throw problem;
  return (problem.facts['text'] ?? '').split('\n').map((line) => {
    const [finding = '', example] = line.split(/ Example: (?=MOORING_)/);
    return {
      area: 'Settings',
      result: 'fail',
      finding,
      fix: example === undefined ? 'Correct it.' : `For example: ${example}`,
    };
  });
}

async function portLine({ host, port }: Config): Promise<SetUpCheck[]> {
  const area = 'Port';
  const errno = await new Promise<string | undefined>((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
    probe.listen(port, host, () => probe.close(() => resolve(undefined)));
  });
  if (errno === undefined) return [{ area, result: 'ok', finding: `${host}:${port} is free.` }];
  const finding =
    errno === 'EADDRINUSE'
      ? `Another process listens on ${host}:${port}.`
      : `Nobody may listen on ${host}:${port} (${errno}).`;
  const fix = 'Stop that process, or choose another address or port with MOORING_HOST and MOORING_PORT.';
  return [{ area, result: 'fail', finding, fix }];
}

async function withState(config: Config): Promise<readonly SetUpCheck[]> {
  try {
    if (await isUnused(config.stateDir, config.keyFile)) return await withoutStore(config);
    return await withStore(config);
  } catch (error) {
    const problem = asProblem(error);
    if (problem.code === 'state-in-use') throw inUse(config.stateDir);
    const { title, happened, todo } = describe(problem.toFacts());
    const cause = problem.toFacts().cause;
    const finding = problem.code === 'unexpected' ? `${title} (${cause}).` : happened;
    return [{ area: 'State directory', result: 'fail', finding, fix: problem.facts['hint'] ?? todo }];
  }
}

/** Before the first start: what can be known without a store. */
async function withoutStore(config: Config): Promise<readonly SetUpCheck[]> {
  const fresh: SetUpCheck = {
    ...{ area: 'State directory', result: 'note' },
    finding: `${config.stateDir} is not used yet; the first start fills it.`,
  };
  const git = await gitVersion(config.git);
  const deps: SetUpDeps = {
    config,
    sites: () => [],
    // They are made at the first start.
    hasAccount: () => true,
    system: async () => [
      { name: 'Git', result: git === undefined ? 'bad' : 'good', finding: git ?? 'It does not start.' },
    ],
    attention: async () => [],
    instance: async () => [],
    privileges: () => ({ ...readPrivileges(), userName: undefined }),
    machine: { ...setUpMachine(config, () => []), writeInto: async () => {} },
  };
  return [fresh, ...(await checkSetUp(deps))];
}

async function withStore(config: Config): Promise<readonly SetUpCheck[]> {
  const mask = createMask();
  const said: string[] = [];
  const log = createLog({ format: 'json', level: 'error', mask, write: (line) => void said.push(line) });
  const store = await openStore({
    ...{
      path: config.stateDir,
      keyPath: config.keyFile,
      random: systemRandom,
      now: () => systemClock.now(),
      program: version,
    },
    ...{ onSecret: (secret) => mask.hide(secret), onFault: () => {}, onNotes: () => {} },
  });
  try {
    const parts = await createParts(config, store, {
      log,
      mask,
      clock: systemClock,
      random: systemRandom,
      overrides: {},
    });
    try {
      return await webDeps(parts).setUp.check();
    } finally {
      await parts.runtimes.stop(0);
      parts.http.close();
    }
  } finally {
    await store.close();
  }
}

const styles = { ok: 'green', note: 'dim', warn: 'yellow', fail: 'red' } as const;

/** One line for each, and the fix below it. */
function linesOf(out: Output, checks: readonly SetUpCheck[], running: boolean): string[] {
  const margin = ' '.repeat(6);
  const lines = checks.flatMap(({ area, result, finding, fix }) => {
    const text = wrap(`${area}: ${finding}`, out.columns - margin.length);
    const todo = fix === undefined ? [] : wrap(`Fix: ${fix}`, out.columns - margin.length);
    const [first = '', ...rest] = text;
    return [
      `${out.style(styles[result], result.padEnd(margin.length))}${first}`,
      ...[...rest, ...todo].map((line) => `${margin}${line}`),
    ];
  });
  const count = (which: SetUpCheck['result']): number => checks.filter(({ result }) => result === which).length;
  const sum = `${count('fail')} failed, ${count('warn')} to look at, ${count('ok')} good`;
  const hint = running ? '' : ' (the daemon is stopped: checked from this shell)';
  return [...lines, '', `${sum}${hint}.`];
}
