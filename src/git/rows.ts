import { Problem } from '../model/problem.ts';
import type { Change, Mode, Oid, SitePath } from '../model/tree.ts';
import type { TreeFile } from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { Ask, GitDriver } from './driver.ts';
import { localFailure, oddAnswer } from './failure.ts';

/**
 * NUL-terminated fields of a command's answer, `fields` at a time, as they come; ending the loop ends the command. Throws
 * at the end if the last row is not whole.
 */
export async function* readRows(
  driver: GitDriver,
  run: { readonly args: readonly string[]; readonly environment: Record<string, string> },
  fields: number,
): AsyncGenerator<readonly Buffer[]> {
  const process = driver.open(run);
  process.child.stdin?.end();
  const reader = new ByteReader(process.child.stdout);
  let whole = false;
  let isCut = false;
  try {
    for (;;) {
      const row: Buffer[] = [];
      for (let field = await reader.until(0); field !== undefined; field = await reader.until(0)) {
        if (row.push(field) === fields) break;
      }
      if (row.length < fields) {
        isCut = row.length > 0 || reader.hasRest;
        break;
      }
      yield row;
    }
    whole = true;
  } finally {
    if (!whole) {
      process.end();
      await process.ended;
    }
  }
  const { code, stderr } = await process.ended;
  if (code !== 0) throw localFailure(run.args[0] ?? '', stderr);
  if (isCut) throw oddAnswer(run.args[0] ?? '');
}

export async function listTree(ask: Ask, oid: Oid): Promise<readonly TreeFile[]> {
  return parseTree(await ask(['ls-tree', '-r', '-z', '-l', '--full-tree', oid]));
}

/** All that `ls-tree -z -l` prints. Throws `git-failed` where it is cut off. */
export function parseTree(output: Buffer): readonly TreeFile[] {
  const rows = output.toString('latin1').split('\0');
  if (rows.pop() !== '') throw oddAnswer('ls-tree');
  return rows.map((row) => parseTreeRow(Buffer.from(row, 'latin1')));
}

/** One row of `ls-tree -z -l`, without its NUL. Throws `git-damaged` for a missing object, `git-failed` for what is no row. */
export function parseTreeRow(row: Buffer): TreeFile {
  const parts = /^([0-7]{6}) [a-z]+ ([0-9a-f]{40,64}) +(-|BAD|\d+)\t([^]+)$/.exec(row.toString('latin1'));
  if (!parts) throw oddAnswer('ls-tree');
  const [, mode, oid, size, path] = parts;
  // Git lists an object that it does not find all the same, and ends well.
  if (size === 'BAD') throw new Problem('git-damaged', { command: 'ls-tree', object: oid ?? '' });
  return {
    path: path as SitePath,
    mode: mode as Mode,
    oid: oid as Oid,
    size: size === '-' ? 0 : Number(size),
  };
}

/** One row of `diff-tree --raw -z`: what changed, and the path. Throws `git-failed` for anything else. */
export function parseRaw([what, path]: readonly Buffer[]): Change {
  const parts = /^:([0-7]{6}) ([0-7]{6}) ([0-9a-f]{40,64}) ([0-9a-f]{40,64}) [A-Z]\d*$/.exec(
    what?.toString('latin1') ?? '',
  );
  if (!parts || !path || path.length === 0) throw oddAnswer('diff-tree');
  const [, before, after, beforeOid, afterOid] = parts;
  return {
    path: path.toString('latin1') as SitePath,
    ...(before === '000000' ? {} : { before: { mode: before as Mode, oid: beforeOid as Oid } }),
    ...(after === '000000' ? {} : { after: { mode: after as Mode, oid: afterOid as Oid } }),
  };
}
