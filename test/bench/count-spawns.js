import { ChildProcess } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/*
 * Loaded into the daemon by the bench: writes down every program that it starts. Plain JavaScript, because stripping types
 * would take memory that the daemon itself does not need.
 */
const file = process.env['BENCH_SPAWNS'] ?? '/dev/null';
const real = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function spawn(options) {
  appendFileSync(file, `${(options.args ?? []).slice(0, 5).join(' ')}\n`);
  return real.call(this, options);
};
