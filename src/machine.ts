import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Machine } from './actions/system.ts';
import type { Config } from './config.ts';
import { ownerOf, diskSpaceOf, watchesInUse } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { systemUsers } from './files/users.ts';
import { createDriver } from './git/driver.ts';
import type { Clock } from './model/world.ts';

/** What the System page shows of the machine; measures the event loop's delay from now on. */
export function createMachine({ git, stateDir }: Config, clock: Clock): Machine {
  const delay = monitorEventLoopDelay({ resolution: delayResolutionMs });
  delay.enable();
  return {
    host: hostname(),
    startedAt: clock.now(),
    node: process.versions.node,
    git: () => gitVersion(git),
    diskSpace: () => diskSpaceOf(stateDir),
    watches: watchesInUse,
    privileges: () => ({ ...readPrivileges(), userName: systemUsers(clock).userName(readPrivileges().uid) }),
    ownerOf,
    memoryBytes: () => process.memoryUsage.rss(),
    lagMs: () => ({ usual: delayMs(delay.mean), worst: delayMs(delay.max) }),
  };
}

/** `2.43.0`; undefined when `binary` cannot be started or does not print one. */
export async function gitVersion(binary: string): Promise<string | undefined> {
  const run = { args: ['--version'], environment: {}, limitMs: 5_000 };
  const printed = await createDriver(binary)
    .run(run)
    .catch(() => undefined);
  return /\d+(\.\d+)+/.exec(printed?.stdout.toString() ?? '')?.[0];
}

const delayResolutionMs = 20;

/** The histogram counts the timer's own interval as delay. */
function delayMs(nanoseconds: number): number {
  return Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e6 - delayResolutionMs) : 0;
}
