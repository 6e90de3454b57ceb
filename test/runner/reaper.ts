import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Takes away what test files leave behind. Every test file works below a folder of its own, and everything that it
 * starts (a daemon in a session of its own, a git below that, a browser) has that folder's path in its environment, its
 * command line or its working directory. A process group cannot serve: daemons are leaders of theirs.
 */

/** Ends every process that belongs to `folder`, then removes it. Gives the command lines of those that were ended. */
export function sweep(folder: string): readonly string[] {
  const ended: string[] = [];
  // A process may start another one while it is looked for.
  for (let round = 0; round < 50; round += 1) {
    const found = belonging(folder);
    if (found.length === 0) break;
    for (const { pid, commandLine } of found) {
      ended.push(commandLine);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
    // The kernel needs a moment to take them away; there is nothing else to do meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  return ended;
}

function belonging(folder: string): { pid: number; commandLine: string }[] {
  const found: { pid: number; commandLine: string }[] = [];
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const commandLine = read(() => readFileSync(`/proc/${name}/cmdline`, 'latin1'));
    // One that is dead and not yet collected has neither.
    if (commandLine === '' || commandLine.includes(reaperFile)) continue;
    const belongs =
      commandLine.includes(folder) ||
      read(() => readFileSync(`/proc/${name}/environ`, 'latin1')).includes(folder) ||
      read(() => readlinkSync(`/proc/${name}/cwd`)).startsWith(folder);
    if (belongs) found.push({ pid, commandLine: commandLine.replaceAll('\0', ' ').trim() });
  }
  return found;
}

/** Empty for a process that ended meanwhile, or that is somebody else's. */
function read(from: () => string): string {
  try {
    return from();
  } catch {
    return '';
  }
}

const reaperFile = fileURLToPath(import.meta.url);

/**
 * Sweeps `folder` when this process is gone, however it went: a pipe closes even after SIGKILL. Gives what to call
 * when there is nothing to watch over any more.
 */
export function watchOver(folder: string): () => void {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', reaperFile, folder], {
    // A session of its own, or Ctrl+C would end it with the rest.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  });
  child.unref();
  return () => child.stdin.end();
}

if (process.argv[1] === reaperFile) {
  const folder = process.argv[2] ?? '';
  process.stdin.on('error', () => {}).resume();
  process.stdin.once('close', () => sweep(folder));
}
