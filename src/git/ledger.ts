import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Oid } from '../model/tree.ts';
import type { Ledger, LedgerName, Repository } from '../sync/ports.ts';
import type { Ask } from './driver.ts';
import type { Refs } from './refs.ts';

const names: readonly LedgerName[] = ['disk', 'remote', 'pending', 'offered', 'choice', 'base', 'back', 'restored'];

/** The refs in which a site's state stands: they move together or not at all. */
export function createLedger(
  dir: string,
  ask: Ask,
  refs: Refs,
): {
  read: Repository['ledger'];
  /** `also`: lines of `update-ref --stdin` that belong to the same transaction. */
  move: (...args: [...Parameters<Repository['updateRefs']>, also?: readonly string[]]) => Promise<void>;
  forget(): void;
} {
  /** The refs as last read, and what told that nobody touched them since: an idle site starts no process. */
  let known: { readonly ledger: Ledger; readonly stamp: string } | undefined;

  const read: Repository['ledger'] = async () => {
    const stamp = await refsStamp(dir);
    if (known?.stamp === stamp) return known.ledger;
    const patterns = names.map((name) => `refs/sync/${name}`);
    const text = (await ask(['for-each-ref', '--format=%(refname) %(objectname)', ...patterns])).toString('latin1');
    const found: Partial<Record<LedgerName, Oid>> = {};
    for (const row of text.split('\n').filter(Boolean)) {
      const [ref = '', oid = ''] = row.split(' ');
      found[ref.slice('refs/sync/'.length) as LedgerName] = oid as Oid;
    }
    known = { ledger: found, stamp };
    return found;
  };

  return {
    read,
    async move(moves, expect = {}, also: readonly string[] = []) {
      const lines: string[] = [];
      for (const [name, oid] of Object.entries(moves) as [LedgerName, Oid | null][]) {
        const was = expect[name];
        const old = was === undefined ? '' : ` ${was ?? zero}`;
        lines.push(oid === null ? `delete refs/sync/${name}${old}` : `update refs/sync/${name} ${oid}${old}`);
      }
      const before = await read();
      await refs.move([...lines, ...also]);
      const next: Partial<Record<LedgerName, Oid>> = { ...before };
      for (const [name, oid] of Object.entries(moves) as [LedgerName, Oid | null][]) {
        if (oid === null) delete next[name];
        else next[name] = oid;
      }
      known = { ledger: next, stamp: await refsStamp(dir) };
    },

    forget() {
      known = undefined;
    },
  };
}

/** Changes whenever a ref of ours does: git moves each into this folder under a new name, or packs them all. */
export async function refsStamp(dir: string, refs = 'refs/sync'): Promise<string> {
  const stampOf = (path: string): Promise<string> =>
    stat(path, { bigint: true }).then(
      ({ mtimeNs, ino }) => `${mtimeNs}.${ino}`,
      () => 'none',
    );
  return (await Promise.all([stampOf(join(dir, refs)), stampOf(join(dir, 'packed-refs'))])).join(' ');
}

const zero = '0'.repeat(40);
