import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../model/world.ts';

/**
 * Which git processes run on a repository: an empty file for each, named by process id and start time. A daemon that is
 * killed cannot end them; the next one finds them here, and a number that was given to somebody else meanwhile has
 * another start time. `config/git-limited.sh` writes the same for the commands that talk to GitLab.
 */
export const notesOf = (gitDir: string): string => join(gitDir, 'running');

/** Notes a git just started; gives back what takes the note away. A note that cannot be written stops nobody. */
export function noteRunning(gitDir: string, pid: number): () => void {
  const found = processOf(pid);
  if (!found) return () => {};
  const note = join(notesOf(gitDir), `${pid}-${found.startedAt}`);
  try {
    // Not its parents: a repository that vanished must not come back as an empty folder.
    if (!existsSync(notesOf(gitDir))) mkdirSync(notesOf(gitDir), { mode: 0o700 });
    writeFileSync(note, '', { mode: 0o600 });
  } catch {
    return () => {};
  }
  return () => rmSync(note, { force: true });
}

/** Takes away the notes of processes that are no more. */
export function dropEnded(gitDir: string): void {
  for (const { file, alive } of readNotes(gitDir)) if (!alive) rmSync(file, { force: true });
}

/**
 * Ends what an earlier life of the daemon left running, each with its whole group: it holds locks, and a token. What is
 * our own child, a page that reads a version perhaps, stays.
 */
export async function endOrphans(gitDir: string, clock: Clock): Promise<void> {
  const orphans = (): Note[] => readNotes(gitDir).filter(({ alive, isOurs }) => alive && !isOurs);
  for (let turn = 0; orphans().length > 0 && turn < patienceTurns; turn += 1) {
    const signal = turn < patienceTurns / 2 ? 'SIGTERM' : 'SIGKILL';
    for (const { pid } of orphans()) signalGroup(pid, signal);
    await clock.sleep(turnMs);
  }
  dropEnded(gitDir);
}

/** Five seconds to go by itself, as long to be gone. */
const patienceTurns = 100;
const turnMs = 100;

export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Already gone.
  }
}

interface Note {
  readonly file: string;
  readonly pid: number;
  readonly alive: boolean;
  readonly isOurs: boolean;
}

function readNotes(gitDir: string): Note[] {
  let names: string[];
  try {
    names = readdirSync(notesOf(gitDir));
  } catch {
    // None was ever written.
    return [];
  }
  return names.map((name) => {
    const [pid = 0, startedAt = 0] = name.split('-').map(Number);
    const found = processOf(pid);
    const alive = found !== undefined && found.startedAt === startedAt && found.state !== 'Z';
    return { file: join(notesOf(gitDir), name), pid, alive, isOurs: found?.parent === process.pid };
  });
}

/** `startedAt`: in the kernel's ticks since the machine's start. */
function processOf(pid: number): { state: string; parent: number; startedAt: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // After the name in brackets, which may hold anything.
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { state: words[0] ?? '', parent: Number(words[1]), startedAt: Number(words[19]) };
  } catch {
    return undefined;
  }
}
