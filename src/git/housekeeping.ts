import { mkdir, readdir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../model/world.ts';
import type { Ledger, Repository } from '../sync/ports.ts';
import type { Ask } from './driver.ts';
import { endOrphans } from './orphans.ts';

interface HousekeepingTools {
  readonly dir: string;
  readonly home: string;
  readonly clock: Clock;
  readonly ask: Ask;
  readonly ledger: () => Promise<Ledger>;
  readonly kept: Repository['kept'];
  /** Ends the processes that are kept, and forgets what was read through them. */
  readonly rest: () => Promise<void>;
  readonly forgetLedger: () => void;
}

/** Beats the attributes inside a tree: no filter, no line-end change, no merge driver ever runs on a site's files. */
const attributes = '* -text -ident !eol !working-tree-encoding !filter !merge !diff\n';

const maintenanceMs = 30 * 60_000;

/** Makes the repository, puts it in order after a crash, and tidies it. */
export function keepHouse(tools: HousekeepingTools): Pick<Repository, 'prepare' | 'setAside' | 'maintain' | 'fold'> {
  const { dir, home, clock, ask } = tools;

  async function prepare(): Promise<void> {
    await tools.rest();
    await mkdir(home, { recursive: true, mode: 0o500 });
    await mkdir(dir, { recursive: true, mode: 0o700 });
    if (!(await exists(join(dir, 'HEAD')))) {
      await ask(['init', '--bare', '--quiet', '--template=', '--initial-branch=mooring', dir]);
    }
    await mkdir(join(dir, 'info'), { recursive: true });
    await writeFile(join(dir, 'info', 'attributes'), attributes);
    await endOrphans(dir, clock);
    await clearLeftovers(dir);
    await rm(join(dir, 'quarantine'), { recursive: true, force: true });
  }

  /** Whether the branch has every content of a line that was given up as refused. */
  async function superseded(id: string): Promise<boolean> {
    const { remote } = await tools.ledger();
    if (!remote) return false;
    const flags = ['--objects', '--no-object-names', '--filter=object:type=blob', '--filter-provided-objects'];
    const contents = async (...range: string[]): Promise<string[]> =>
      (await ask(['rev-list', ...flags, ...range])).toString('latin1').split('\n').filter(Boolean);
    const line = `refs/sync/keep/${id}^@`;
    const left = await contents(line, '--not', remote);
    if (left.length === 0) return true;
    const there = new Set(await contents(remote, '--not', line));
    return left.every((oid) => there.has(oid));
  }

  return {
    prepare,

    async setAside() {
      await tools.rest();
      const stamp = new Date(clock.now()).toISOString().replace(/\D/g, '').slice(0, 14);
      if (await exists(dir)) await rename(dir, `${dir}.damaged-${stamp}`);
      tools.forgetLedger();
      await prepare();
    },

    async fold(signal) {
      await tools.rest();
      const flags = ['--geometric=2', '-d', '--quiet'];
      await ask(['repack', ...flags], { limitMs: maintenanceMs, ...(signal ? { signal } : {}) });
    },

    async maintain(keepAfter, signal) {
      for (const { id, at, cause } of await tools.kept()) {
        const isOver = at < keepAfter || (cause === 'refused' && (await superseded(id)));
        if (isOver) await ask(['update-ref', '-d', `refs/sync/keep/${id}`]);
      }
      await tools.rest();
      // By hand, since it is switched off for every other command: it must never run beside a sync.
      await ask(['gc', '--quiet', '--prune=14.days.ago'], { limitMs: maintenanceMs, ...(signal ? { signal } : {}) });
    },
  };
}

/** Locks and half-written packs of a git that was killed. We hold the state directory's lock and no git of ours runs. */
async function clearLeftovers(dir: string): Promise<void> {
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    if (entry.name.endsWith('.lock') || /^(tmp_|\.tmp-|fast_import_crash_)/.test(entry.name)) {
      await unlink(join(entry.parentPath, entry.name)).catch(() =>
        rm(join(entry.parentPath, entry.name), { force: true }),
      );
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
