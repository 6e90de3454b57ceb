import { type ChildProcess, spawn } from 'node:child_process';
import { until } from './until.ts';
import { type Harbour, compileCache, hasEnded } from './daemon.ts';

/** Runs the doomed daemon; true when it died at the point. */
export async function dies(harbour: Harbour, point: string): Promise<boolean> {
  const env = {
    ...{ PATH: process.env['PATH'] ?? '', HOME: harbour.dir, MOORING_ALLOW_ROOT: 'yes', MOORING_TEST_KILL: point },
    ...{ MOORING_STATE: harbour.stateDir, MOORING_SITES: harbour.sites, MOORING_PORT: String(harbour.port) },
    ...{ MOORING_ADMIN_NAME: harbour.admin.name, MOORING_ADMIN_PASSWORD: harbour.admin.password },
    ...compileCache,
  };
  const entry = new URL('./doomed.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [entry], { env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  const isKilled = (): boolean => hasEnded(child) || said.includes(`killed at ${point.split(':')[0]}`);
  const late = until('it is killed', isKilled).catch(() => {});
  await Promise.race([ended, late]);
  if (!hasEnded(child)) endGroup(child);
  const signal = await ended;
  endGroup(child);
  return signal === 'SIGKILL' && said.includes('killed at');
}

/** The git processes it left behind would go on writing. */
function endGroup(child: ChildProcess): void {
  try {
    process.kill(-(child.pid ?? 0), 'SIGKILL');
  } catch {
    // Nobody is left.
  }
}
