import type { Change, Mode, Oid, SitePath } from '../model/tree.ts';
import type { TreeFile } from '../sync/ports.ts';
import { ByteReader } from './bytes.ts';
import type { Ask, GitDriver } from './driver.ts';
import { localFailure } from './failure.ts';

/** NUL-separated fields of a command's answer, `fields` at a time, as they come; ending the loop ends the command. */
export async function* readRows(
  driver: GitDriver,
  run: { readonly args: readonly string[]; readonly environment: Record<string, string> },
  fields: number,
): AsyncGenerator<readonly Buffer[]> {
  const process = driver.open(run);
  process.child.stdin?.end();
  const reader = new ByteReader(process.child.stdout);
  let whole = false;
  try {
    for (;;) {
      const row: Buffer[] = [];
      for (let field = await reader.until(0); field !== undefined; field = await reader.until(0)) {
        if (row.push(field) === fields) break;
      }
      if (row.length < fields) break;
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
}

export async function listTree(ask: Ask, oid: Oid): Promise<readonly TreeFile[]> {
  const rows = (await ask(['ls-tree', '-r', '-z', '-l', '--full-tree', oid])).toString('latin1').split('\0');
  return rows.filter(Boolean).map((row) => parseTreeRow(Buffer.from(row, 'latin1')));
}

/** One row of `ls-tree -z -l`. */
export function parseTreeRow(row: Buffer): TreeFile {
  const text = row.toString('latin1');
  const tab = text.indexOf('\t');
  const [mode = '', , oid = '', size = ''] = text.slice(0, tab).split(/ +/);
  return {
    path: text.slice(tab + 1) as SitePath,
    mode: mode as Mode,
    oid: oid as Oid,
    size: size === '-' ? 0 : Number(size),
  };
}

/** One row of `diff-tree --raw -z`: what changed, and the path. */
export function parseRaw([what, path]: readonly Buffer[]): Change {
  const [before = '', after = '', beforeOid = '', afterOid = ''] = (what?.toString('latin1') ?? '').slice(1).split(' ');
  return {
    path: (path?.toString('latin1') ?? '') as SitePath,
    ...(before === '000000' ? {} : { before: { mode: before as Mode, oid: beforeOid as Oid } }),
    ...(after === '000000' ? {} : { after: { mode: after as Mode, oid: afterOid as Oid } }),
  };
}
