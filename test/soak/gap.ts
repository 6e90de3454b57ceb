import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A visitor who reads files over and over: `gap.ts <folder> <file> …`. Says the longest time a name was not there. */
const [folder = '', ...names] = process.argv.slice(2);
const seen = { reads: 0, worstGapMs: 0, torn: 0 };
const absentSince = new Map<string, number>();
/** A name that was never there has no gap. */
const known = new Set<string>();
let stopped = false;
process.on('message', () => (stopped = true));

while (!stopped) {
  for (const name of names) look(name);
  await new Promise((resolve) => setImmediate(resolve));
}
process.send?.(seen, () => process.exit(0));

function look(name: string): void {
  const at = performance.now();
  try {
    const text = readFileSync(join(folder, name), 'utf8');
    seen.reads += 1;
    known.add(name);
    // Every content is whole lines.
    if (text !== '' && !text.endsWith('\n')) seen.torn += 1;
  } catch {
    if (known.has(name) && !absentSince.has(name)) absentSince.set(name, at);
    return;
  }
  const since = absentSince.get(name);
  if (since !== undefined) seen.worstGapMs = Math.max(seen.worstGapMs, Math.round((at - since) * 100) / 100);
  absentSince.delete(name);
}
