import { type Config, readConfig } from '../config.ts';
import { type Daemon, startDaemon } from '../daemon.ts';
import { keepCapabilitiesFromChildren } from '../files/privileges.ts';
import { type Log, createLog, createMask } from '../log.ts';
import type { Cli } from './cli.ts';
import { type ExitCode, exit } from './exit.ts';
import { inWords } from './words.ts';

/** Runs the daemon until it is told to stop. */
export async function serve({ env, stateDir }: Cli): Promise<ExitCode> {
  const isJson = (env['MOORING_LOG'] || (process.stdout.isTTY ? 'pretty' : 'json')) === 'json';
  const given = { ...env, MOORING_STATE: stateDir };
  if (!isJson) return run(given);
  const log = createLog({
    format: 'json',
    level: 'warn',
    mask: createMask(),
    write: (line) => process.stderr.write(line),
  });
  // Programs read one form alone; Node's own warnings are text.
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log('warn', warning.message, { warning: warning.name }));
  return run(given).catch((error: unknown) => {
    const { exitCode, code, lines } = inWords(error);
    const [title = '', ...rest] = lines;
    log('error', title, { code, text: rest.join(' ') });
    return exitCode;
  });
}

async function run(env: NodeJS.ProcessEnv): Promise<ExitCode> {
  // Nothing we make is for other users of this machine; folders in sites get their modes set on purpose.
  process.umask(0o077);
  keepCapabilitiesFromChildren();
  const config = readConfig(env);
  const mask = createMask();
  const log = createLog({ ...config.log, mask, colour: process.stdout.isTTY ? 'yes' : 'no' });
  for (const warning of config.warnings) log('warn', warning);
  const stopped = signalled();
  const daemon = await startDaemon(config, { log, mask });
  greet(log, daemon, config);
  // A terminal that closes sends it too, and then it means the end; no supervisor gives the daemon a terminal.
  if (config.declared !== undefined || !process.stdin.isTTY) process.on('SIGHUP', () => daemon.reload());
  const signal = await stopped;
  log('info', `Stopping on ${signal}: runs under way finish first.`);
  await daemon.stop();
  return exit.ok;
}

/** What whoever starts Mooring needs first: for programs a line like every other, for people a block that stands out. */
function greet(log: Log, { url, setupCode }: Daemon, config: Config): void {
  if (config.log.format === 'json') {
    const { roots, stateDir } = config;
    return log('info', 'Ready.', { url, roots, stateDir, ...(setupCode ? { setup: `${url}/setup`, setupCode } : {}) });
  }
  const lines = [
    '',
    `  Mooring     ${url}`,
    `  Sites in    ${config.roots.join(', ')}`,
    `  State in    ${config.stateDir}`,
  ];
  if (setupCode)
    lines.push('', `  First start: open ${url}/setup and enter this set-up code:`, '', `      ${setupCode}`);
  process.stdout.write(`${lines.join('\n')}\n\n`);
}

function signalled(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal));
  });
}
