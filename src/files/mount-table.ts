import { readFileSync } from 'node:fs';
import { unlessErrno } from './errno.ts';

/** A mount as this process sees it. */
export interface Mount {
  readonly id: string;
  /** Where it is mounted: an absolute path, one character per byte. */
  readonly point: string;
  /** What of the file system is mounted there: `/`, or a folder in it. */
  readonly source: string;
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
  const [id, , , source = '/', point] = before.split(' ');
  const [type] = after.split(' ');
  if (!id || !point || !type) return undefined;
  const octal = (_: string, code: string): string => String.fromCharCode(Number.parseInt(code, 8));
  return { id, point: point.replace(/\\([0-7]{3})/g, octal), source, type };
}

/** The mount that a folder lies on. */
export function mountOf(folder: string, mounts: readonly Mount[]): Mount | undefined {
  const at = bytesOf(folder);
  const around = mounts.filter(({ point }) => at === point || at.startsWith(point === '/' ? '/' : `${point}/`));
  const longest = Math.max(...around.map(({ point }) => point.length));
  // Of two at the same place, the later hides the earlier.
  return around.findLast(({ point }) => point.length === longest);
}

/**
 * The types of those file systems that a folder lies on, or that are mounted inside it, which other machines can change
 * without this kernel's knowledge: it tells of its own writes only.
 */
export function changedElsewhere(folder: string, mounts: readonly Mount[]): readonly string[] {
  const below = mounts.filter(({ point }) => point.startsWith(`${bytesOf(folder)}/`));
  const types = [mountOf(folder, mounts), ...below].flatMap((mount) => mount?.type ?? []);
  return [...new Set(types.filter((type) => elsewhere.test(type)))].sort();
}

const elsewhere =
  /^(nfs\d?|cifs|smb\d?|smbfs|9p|virtiofs|vboxsf|vmhgfs|prl_fs|ceph|glusterfs|lustre|afs|gfs2|ocfs2|beegfs|overlay|fuse\..+)$/;

/** The place, such as `/home`, that systemd hides from this process and under which a folder lies. */
export function hiddenPlace(folder: string, mounts: readonly Mount[]): string | undefined {
  return ['/home', '/root', '/run/user'].find((place) => {
    if (!folder.startsWith(`${place}/`)) return false;
    const mount = mounts.findLast(({ point }) => point === place);
    // ProtectHome=yes puts a folder without permissions over it, ProtectHome=tmpfs an empty disk.
    return mount !== undefined && (mount.source.endsWith('systemd/inaccessible/dir') || mount.type === 'tmpfs');
  });
}

const bytesOf = (folder: string): string => Buffer.from(folder).toString('latin1');
