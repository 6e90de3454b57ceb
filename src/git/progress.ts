import type { Progress } from '../model/site.ts';

/**
 * What git tells of long work on stderr, such as `Receiving objects:  45% (450/1000), 1.20 MiB | 3.00 MiB/s`: lines
 * that overwrite each other by a carriage return.
 */
const line =
  /^(remote: )?(?:Enumerating|Counting|Compressing|Receiving|Resolving|Writing|Unpacking) (?:objects|deltas): +(?:\d+% \((\d+)\/(\d+)\)|\d+)(?:, ([\d.]+) (bytes|[KMG]iB))?/;
const units: Readonly<Record<string, number>> = { bytes: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** Reads progress out of a piece of git's output; the last line counts. The server's own counting is none of ours. */
export function readProgress(text: string, act: Progress['act']): Progress | undefined {
  for (const part of text.split(/[\r\n]/).reverse()) {
    const [, remote, done, total, amount, unit = 'bytes'] = line.exec(part) ?? [];
    if (remote !== undefined || done === undefined) continue;
    const bytes = amount === undefined ? {} : { bytes: Math.round(Number(amount) * (units[unit] ?? 1)) };
    return { act, done: Number(done), total: Number(total), ...bytes };
  }
  return undefined;
}

/** The output without those lines: what is left is for people. */
export function withoutProgress(text: string): string {
  return text
    .split(/\r\n|\n|\r/)
    .filter((row) => !line.test(row))
    .join('\n');
}
