import { type Config, readConfig } from './config.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { keepCapabilitiesFromChildren } from './files/privileges.ts';
import { type Log, createLog, createMask } from './log.ts';
import { type Problem, asProblem } from './model/problem.ts';
import { describe } from './model/remedy.ts';
import { version } from './version.ts';

/** sysexits: wrong usage, wrong configuration, and everything else. */
const exit = { usage: 64, config: 78, failed: 1 } as const;

const usage = `usage: mooring serve      run the daemon
       mooring version    print the version`;

/** Runs one command; resolves with the exit code when it is done. */
export async function cli(args: readonly string[]): Promise<number> {
  const [command = 'serve', ...rest] = args;
  if (command === 'version' || command === '--version') {
    process.stdout.write(`mooring ${version}\n`);
    return 0;
  }
  if (command === 'serve' && rest.length === 0) return serve();
  process.stderr.write(`${usage}\n`);
  return exit.usage;
}

async function serve(): Promise<number> {
  // Nothing we make is for other users of this machine; folders in sites get their modes set on purpose.
  process.umask(0o077);
  keepCapabilitiesFromChildren();
  try {
    const config = readConfig();
    await run(config);
    return 0;
  } catch (error) {
    const problem = asProblem(error);
    process.stderr.write(`${inWords(problem)}\n`);
    return problem.code === 'config-invalid' ? exit.config : exit.failed;
  }
}

async function run(config: Config): Promise<void> {
  const mask = createMask();
  const log = createLog({ ...config.log, mask, colour: process.stdout.isTTY ? 'yes' : 'no' });
  for (const warning of config.warnings) log('warn', warning);
  const stopped = signalled();
  const daemon = await startDaemon(config, { log, mask });
  greet(log, daemon, config);
  const signal = await stopped;
  log('info', `Stopping on ${signal}: runs under way finish first.`);
  await daemon.stop();
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

function inWords(problem: Problem): string {
  const { title, happened, untouched, todo } = describe(problem.toFacts());
  const { cause } = problem.toFacts();
  return [
    title,
    happened,
    `Not touched: ${untouched}`,
    `To do: ${todo}`,
    ...(cause ? [`(${problem.code}: ${cause})`] : [`(${problem.code})`]),
  ].join('\n');
}
