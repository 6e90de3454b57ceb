import { readFileSync } from 'node:fs';
import type { SitePath } from '../model/tree.ts';
import { unlessErrno } from './errno.ts';

/** A mount as this process sees it. */
export interface Mount {
  readonly id: string;
  /** Where it is mounted: an absolute path, one character per byte. */
  readonly point: string;
  /** Of the file system, as the kernel names it: `ext4`, `nfs4`, `fuse.sshfs`. */
  readonly type: string;
}

/** All mounts; none where the kernel does not tell. */
export function readMounts(): readonly Mount[] {
  const text = unlessErrno(() => readFileSync('/proc/self/mountinfo', 'latin1')) ?? '';
  return text.split('\n').flatMap((row) => parseMount(row) ?? []);
}

/** One row of `/proc/self/mountinfo`, as in proc(5). */
export function parseMount(row: string): Mount | undefined {
  const [before = '', after = ''] = row.split(' - ', 2);
  const [id, , , , point] = before.split(' ');
  const [type] = after.split(' ');
  if (!id || !point || !type) return undefined;
  const octal = (_: string, code: string): string => String.fromCharCode(Number.parseInt(code, 8));
  return { id, point: point.replace(/\\([0-7]{3})/g, octal), type };
}

/** The folders below `root` on which something else is mounted, relative to it. */
export function mountsBelow(root: string, mounts: readonly Mount[]): readonly (Mount & { readonly at: SitePath })[] {
  const prefix = `${Buffer.from(root).toString('latin1')}/`;
  return mounts
    .filter(({ point }) => point.startsWith(prefix))
    .map((mount) => ({ ...mount, at: mount.point.slice(prefix.length) as SitePath }));
}
