import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

/** Loaded into a daemon: tells on SIGUSR2 how late its event loop was since the last time, in ms. */
if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  process.on('SIGUSR2', () => {
    const [median, p99, worst] = [delay.percentile(50), delay.percentile(99), delay.max].map((ns) => ns / 1e6 - 5);
    process.stdout.write(
      `event loop: late by ${median.toFixed(1)} ms (median), ${p99.toFixed(1)} (p99), ${worst.toFixed(1)} (worst)\n`,
    );
    delay.reset();
  });
}
