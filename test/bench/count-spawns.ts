import { ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** Loaded into the daemon by the bench: writes down every program that it starts. */
const file = process.env['BENCH_SPAWNS'] ?? '/dev/null';
const prototype = ChildProcess.prototype as unknown as { spawn(options: { args?: string[] }): unknown };
const real = prototype.spawn;
prototype.spawn = function spawn(this: unknown, options) {
  appendFileSync(file, `${(options.args ?? []).slice(0, 5).join(' ')}\n`);
  return real.call(this, options);
};
