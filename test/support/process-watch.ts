import { readFileSync, readdirSync } from 'node:fs';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';

/** What was to be seen in /proc while it was watched, each different thing once. */
export interface Seen {
  /** Of any process. */
  readonly commandLines: readonly string[];
  /** Of git processes below the watched one. */
  readonly gits: readonly { readonly commandLine: string; readonly environment: string }[];
  /** How often all of /proc was read. */
  readonly looks: number;
}

export interface ProcessWatch {
  /** Whose children's environments are read from now on. */
  follow(pid: number): void;
  stop(): Promise<Seen>;
}

/** Reads /proc in a tight loop, in a thread of its own: a process that lives for a millisecond is often seen. */
export function watchProcesses(): ProcessWatch {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: shared });
  return {
    follow: (pid) => void Atomics.store(shared, 0, pid),
    stop: () =>
      new Promise((resolve, reject) => {
        worker.once('message', (seen: Seen) => {
          resolve(seen);
          void worker.terminate();
        });
        worker.once('error', reject);
        Atomics.store(shared, 1, 1);
      }),
  };
}

if (!isMainThread && workerData instanceof Int32Array) {
  const shared = workerData;
  const commandLines = new Set<string>();
  const gits = new Map<string, { commandLine: string; environment: string }>();
  let looks = 0;
  while (Atomics.load(shared, 1) === 0) {
    looks += 1;
    const root = Atomics.load(shared, 0);
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const commandLine = read(name, 'cmdline').replace(/\0/g, ' ').trim();
      if (commandLine === '') continue;
      commandLines.add(commandLine);
      if (!/(^|\/)git[ -]|(^|\/)git$/.test(commandLine) || !isBelow(name, root)) continue;
      const environment = read(name, 'environ').replace(/\0/g, '\n');
      if (environment !== '') gits.set(`${commandLine}\0${environment}`, { commandLine, environment });
    }
  }
  parentPort?.postMessage({ commandLines: [...commandLines], gits: [...gits.values()], looks } satisfies Seen);
}

function read(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    // It ended meanwhile.
    return '';
  }
}

function isBelow(pid: string, root: number): boolean {
  for (let at = pid, depth = 0; depth < 12 && at !== '' && at !== '0'; depth += 1) {
    if (Number(at) === root) return true;
    at = /^\d+ \(.*\) \S (\d+)/s.exec(read(at, 'stat'))?.[1] ?? '';
  }
  return false;
}
