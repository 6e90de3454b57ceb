import { type Config, readConfig } from '../config.ts';
import { type Daemon, startDaemon } from '../daemon.ts';
import { keepCapabilitiesFromChildren } from '../files/privileges.ts';
import { type Log, createLog, createMask } from '../log.ts';

/** Runs the daemon until it is told to stop. */
export async function serve(): Promise<void> {
  // Nothing we make is for other users of this machine; folders in sites get their modes set on purpose.
  process.umask(0o077);
  keepCapabilitiesFromChildren();
  const config = readConfig();
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
