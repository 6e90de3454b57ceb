const everyMs = 5_000;
let last = -everyMs;

/**
 * Tells the test runner that a long test goes on, and where it is. A file of which nothing is heard for minutes counts
 * as hanging; each finished test is heard by itself, so only a test that may take long on a slow machine calls this.
 */
export function beat(where: string): void {
  const now = performance.now();
  if (now - last < everyMs) return;
  last = now;
  process.stderr.write(`beat: ${where}\n`);
}
