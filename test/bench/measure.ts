import { execFileSync } from 'node:child_process';
import { watch } from 'node:fs';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';

/** Resolves with the moment at which `holds` is true, looked at whenever something in the folder of `file` changes. */
export function moment(file: string, holds: (content: string | undefined) => boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const end = (act: () => void): void => {
      watcher.close();
      clearInterval(again);
      clearTimeout(never);
      act();
    };
    const look = (): void => {
      const at = performance.now();
      readFile(file, 'latin1').then(
        (content) => holds(content) && end(() => resolve(at)),
        () => holds(undefined) && end(() => resolve(at)),
      );
    };
    const watcher = watch(dirname(file), look);
    // Should the kernel tell nothing of it.
    const again = setInterval(look, 50);
    const never = setTimeout(() => end(() => reject(new Error(`${file} did not change`))), 120_000);
    look();
  });
}

export interface Cost {
  /** Seconds of CPU, of those that have ended too. */
  readonly cpu: number;
  /** Bytes in memory, of all that live now: what several share is counted once (PSS). */
  readonly memory: number;
}

/** Of a process and everything below it. */
export async function costOf(root: number): Promise<Cost> {
  const all = new Map<number, { parent: number; ticks: number }>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, 'latin1').catch(() => '');
    const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [user, system, endedUser, endedSystem] = words.slice(11, 15).map(Number);
    const ticks = (user ?? 0) + (system ?? 0) + (endedUser ?? 0) + (endedSystem ?? 0);
    if (stat !== '') all.set(Number(name), { parent: Number(words[1]), ticks });
  }
  const isBelow = (pid: number): boolean => {
    const found = all.get(pid);
    return pid === root || (found !== undefined && found.parent > 1 && isBelow(found.parent));
  };
  let [ticks, memory] = [0, 0];
  for (const [pid, found] of all) {
    if (!isBelow(pid)) continue;
    ticks += found.ticks;
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
    memory += Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1_024;
  }
  return { cpu: ticks / 100, memory };
}

export function quantile(values: readonly number[], share: number): number {
  const ordered = values.toSorted((a, b) => a - b);
  return ordered[Math.min(ordered.length - 1, Math.floor(ordered.length * share))] ?? Number.NaN;
}

/** What it was measured on. */
export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model.trim() ?? 'unknown CPU'}, Node ${process.versions.node}, ${execFileSync('git', ['--version'], { encoding: 'utf8' }).trim().replace('version ', '')}.`;
}

/** Puts a text between the marks `<!-- name -->` and `<!-- /name -->` of a page in docs/. */
export async function writeBetween(page: string, name: string, text: string): Promise<void> {
  const file = join(dirname(dirname(import.meta.dirname)), 'docs', page);
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const whole = await readFile(file, 'utf8');
  const from = whole.indexOf(begin) + begin.length;
  await writeFile(file, `${whole.slice(0, from)}\n\n${text}\n${whole.slice(whole.indexOf(end))}`);
}
