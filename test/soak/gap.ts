import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readValues } from './values.ts';

/**
 * A visitor who reads files over and over: `gap.ts <pause in ms> <folder> <file> …`. Says the longest time a name was
 * not there, and how often what it read was not whole.
 */
const [pause = '0', folder = '', ...names] = process.argv.slice(2);
const seen = { reads: 0, worstGapMs: 0, torn: 0 };
const absentSince = new Map<string, number>();
/** A name that was never there has no gap. */
const known = new Set<string>();
/** Names whose contents describe themselves. */
const described = new Set<string>();
let stopped = false;
process.on('message', () => (stopped = true));
// Whoever asked is gone.
process.on('disconnect', () => process.exit(1));

while (!stopped) {
  for (const name of names) look(name);
  await new Promise((resolve) => (pause === '0' ? setImmediate(resolve) : setTimeout(resolve, Number(pause))));
}
// What is not there at the end has no end to its gap.
for (const since of absentSince.values()) noteGap(since);
process.send?.(seen, () => process.exit(0));

function look(name: string): void {
  const at = performance.now();
  try {
    const text = readFileSync(join(folder, name), 'utf8');
    seen.reads += 1;
    known.add(name);
    if (!isWhole(name, text)) seen.torn += 1;
  } catch {
    if (known.has(name) && !absentSince.has(name)) absentSince.set(name, at);
    return;
  }
  const since = absentSince.get(name);
  if (since !== undefined) noteGap(since);
  absentSince.delete(name);
}

function noteGap(since: number): void {
  seen.worstGapMs = Math.max(seen.worstGapMs, Math.round((performance.now() - since) * 100) / 100);
}

/** One content that describes itself, or whole lines. */
function isWhole(name: string, text: string): boolean {
  if (text.startsWith('soak ')) described.add(name);
  if (!described.has(name)) return text === '' || text.endsWith('\n');
  const { ids, fault } = readValues(text);
  return ids.length === 1 && fault === '';
}
