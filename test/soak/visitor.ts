import { fork } from 'node:child_process';
import { once } from 'node:events';

export interface Seen {
  readonly reads: number;
  readonly worstGapMs: number;
  readonly torn: number;
}

/** A visitor in a process of its own that reads files until it is told to stop. */
export function spawnReader(folder: string, names: readonly string[], pauseMs = 0): { stop(): Promise<Seen> } {
  const args = [String(pauseMs), folder, ...names];
  const child = fork(new URL('./gap.ts', import.meta.url).pathname, args, { stdio: 'inherit' });
  return {
    async stop() {
      const said = once(child, 'message');
      child.send('stop');
      const [seen] = (await said) as [Seen];
      return seen;
    },
  };
}
