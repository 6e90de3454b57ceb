import { Coprocess, type CoprocessPool } from './coprocess.ts';
import type { GitProcess } from './driver.ts';
import { oddAnswer } from './failure.ts';

/** Moves refs, each time in one transaction, all through one process. */
export interface Refs {
  /** `lines`: as `update-ref --stdin` takes them. All of them take place, durably, or none. Throws as git does. */
  move(lines: readonly string[]): Promise<void>;
  end(): Promise<void>;
}

export function openRefs(open: (args: readonly string[]) => GitProcess, pool: CoprocessPool): Refs {
  const updates = new Coprocess('update-ref', () => open(['update-ref', '--stdin']), pool);
  return {
    async move(lines) {
      let begun = false;
      await updates.ask(
        async (line) => {
          await line.send('start\n');
          if ((await line.row()) !== 'start: ok') throw oddAnswer('update-ref');
          // If git dies from here on, only the refs tell what took place.
          begun = true;
          await line.send(`${[...lines, 'commit'].join('\n')}\n`);
          if ((await line.row()) !== 'commit: ok') throw oddAnswer('update-ref');
        },
        () => !begun,
      );
    },
    end: () => updates.end(),
  };
}
