import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/**
 * A visitor of the web server: reads the files named on its command line over and over. Each begins with the SHA-256
 * of the rest. Prints what it saw when it is told to stop.
 */
const paths = process.argv.slice(2);
const seen = { reads: 0, torn: 0, absent: 0 };
let stop = false;
process.once('SIGTERM', () => {
  stop = true;
});

while (!stop) {
  for (const path of paths) look(path);
  // A visitor, not a flood: on two cores it would take the time of what it watches.
  await new Promise((resolve) => setTimeout(resolve, 25));
}
process.stdout.write(JSON.stringify(seen));

function look(path: string): void {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    seen.absent += 1;
    return;
  }
  seen.reads += 1;
  const sum = createHash('sha256').update(bytes.subarray(64)).digest('hex');
  if (bytes.toString('latin1', 0, 64) !== sum) seen.torn += 1;
}
