import { spawn as spawnGit } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { realFs } from '../../src/files/disk.ts';
import { keepCapabilitiesFromChildren, readPrivileges } from '../../src/files/privileges.ts';
import type { SiteSettings } from '../../src/model/site.ts';
import type { Fs } from '../../src/model/world.ts';
import type { DiskFacts } from '../../src/model/disk.ts';
import { engineWorld } from '../support/engine.ts';
import { deny } from '../support/seccomp.ts';
import { inlineScanner } from './support.ts';

/**
 * Mooring's engine in a process of its own, as the user that the test starts it as. It is told what to do, one order
 * after another, and answers with what became of it.
 */
export type Order =
  | { readonly do: 'connect' }
  | { readonly do: 'push'; readonly changes: Record<string, string | null> }
  | { readonly do: 'sync' }
  /** Ends as a crash would, right after a file was moved aside. */
  | { readonly do: 'sync and crash' }
  | { readonly do: 'privileges' };

export interface Answer {
  readonly notSynced?: readonly string[];
  readonly disks?: readonly DiskFacts[];
  readonly branch?: Record<string, string>;
  readonly privileges?: { readonly own: readonly string[]; readonly child: Record<string, string> };
  readonly failed?: string;
}

const [dir = '', settingsText = '{}', deniedText = '{}'] = process.argv.slice(2);
process.umask(0o077);
keepCapabilitiesFromChildren();
const denied = JSON.parse(deniedText) as Parameters<typeof deny>[0];
if (Object.keys(denied).length > 0) deny(denied);
const settings = JSON.parse(settingsText) as Partial<SiteSettings>;
const open = (fs: Fs) => engineWorld({ keep: dir, settings, fs, scanner: inlineScanner(fs) });
let world = await open(realFs());

process.on('message', (order: Order) => {
  void carryOut(order)
    .catch((error: unknown): Answer => ({ failed: String((error as Error).stack) }))
    .then((answer) => process.send?.(answer));
});
process.on('disconnect', () => process.exit(0));

async function carryOut(order: Order): Promise<Answer> {
  switch (order.do) {
    case 'connect':
      await world.connect();
      return {};
    case 'push':
      world.push(order.changes);
      return {};
    case 'sync': {
      world.directory.touchedAll();
      const { notSynced } = await world.sync();
      const named = notSynced.map(({ path, reason }) => `${path}: ${JSON.stringify(reason)}`);
      return { notSynced: named, branch: world.branch(), disks: world.directory.disks };
    }
    case 'sync and crash': {
      const fs = realFs();
      const crashing: Fs = {
        ...fs,
        rename(from, name, to, newName) {
          fs.rename(from, name, to, newName);
          if (!isStagingFolder(name)) throw new Error('crashed');
        },
      };
      world = await open(crashing);
      const failed = await world.sync().then(
        () => 'it did not crash',
        (error: unknown) => (error as Error).message,
      );
      world = await open(realFs());
      return { failed };
    }
    case 'privileges':
      return { privileges: { own: [...readPrivileges().capabilities].sort(), child: await capabilitiesOfGit() } };
  }
}

const isStagingFolder = (name: Buffer): boolean => name.toString().startsWith('.mooring-');

/** The capability sets of a git that waits for its input. */
async function capabilitiesOfGit(): Promise<Record<string, string>> {
  const git = spawnGit('git', ['--git-dir', world.bare, 'cat-file', '--batch'], {
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Until it is git and no more a copy of us.
  while (!readFileSync(`/proc/${git.pid}/cmdline`, 'latin1').startsWith('git')) await sleep(10);
  const status = readFileSync(`/proc/${git.pid}/status`, 'latin1');
  git.stdin.end();
  const sets = [...status.matchAll(/^Cap(Inh|Prm|Eff|Bnd|Amb):\s+(\w+)/gm)];
  return Object.fromEntries(sets.map(([, name = '', value = '']) => [name, value]));
}
