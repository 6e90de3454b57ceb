import type { NotSyncedReason } from '../model/site.ts';
import type { Fs, Stat } from '../model/world.ts';
import type { KeptMode } from '../sync/ports.ts';
import { grantedTo, inherited } from './acl.ts';
import { errorCode, isUnsupported, unlessErrno } from './errno.ts';
import type { Users } from './users.ts';

/**
 * Who may do what with the files that Mooring puts into a folder. Two rules: whoever could not read or write a file
 * before a sync cannot after it, and whoever could still can. What the process may do is tried on the staged file, not
 * worked out from its user id: capabilities, user namespaces and network file systems decide it otherwise.
 */

/** What a staged file is to be before it gets its name. */
export interface Access {
  readonly uid: number;
  readonly gid: number;
  /** Absent: the access list says it, and a chmod would change its mask. */
  readonly mode?: number;
  readonly attributes: ReadonlyMap<string, Buffer>;
}

/** What a site asks for, for new files and folders; what is absent follows the folder they come into. */
export interface NewEntries {
  readonly uid?: number;
  readonly gid?: number;
  readonly fileMode?: number;
  readonly folderMode?: number;
}

const accessAcl = 'system.posix_acl_access';
const defaultAcl = 'system.posix_acl_default';
const setGroupId = 0o2000;

/** A replaced file stays what it was. */
export function keptAccess(there: KeptMode, attributes: ReadonlyMap<string, Buffer>): Access {
  return { uid: there.uid, gid: there.gid, mode: there.mode & 0o777, attributes };
}

/** A new file takes owner, group and rights of its folder, or the folder's default access list. */
export function newFileAccess(folder: Stat, attributes: ReadonlyMap<string, Buffer>, set: NewEntries): Access {
  const { uid = folder.uid, gid = folder.gid } = set;
  const list = attributes.get(defaultAcl);
  if (set.fileMode !== undefined) return { uid, gid, mode: set.fileMode & 0o777, attributes: none };
  if (list) return { uid, gid, attributes: new Map([[accessAcl, inherited(list)]]) };
  return { uid, gid, mode: fileRights(folder.mode), attributes: none };
}

/** A new folder takes the rights of the folder around it, its set-group-id bit included: that is what hands the group on. */
export function newFolderAccess(folder: Stat, attributes: ReadonlyMap<string, Buffer>, set: NewEntries): Access {
  const { uid = folder.uid, gid = folder.gid } = set;
  const handsOn = folder.mode & setGroupId;
  if (set.folderMode !== undefined) return { uid, gid, mode: (set.folderMode & 0o777) | handsOn, attributes: none };
  // With a default list around it, the kernel has made the folder's own when it was created.
  if (attributes.has(defaultAcl)) return { uid, gid, attributes: none };
  return { uid, gid, mode: (folder.mode & 0o777) | handsOn, attributes: none };
}

const none: ReadonlyMap<string, Buffer> = new Map();

/** Whoever may enter a folder may read the files whose names they know: a web server often may not list it. */
function fileRights(folderMode: number): number {
  const rights = (shift: number): number => {
    const bits = (folderMode >> shift) & 7;
    return (bits & 5 ? 4 : 0) | (bits & 2);
  };
  return (rights(6) << 6) | (rights(3) << 3) | rights(0) | 0o600;
}

export interface Given {
  /** Present: the file must not get its name, since somebody would lose it or gain it by that. */
  readonly refused?: NotSyncedReason;
  /** Attributes that the file system or the process's rights did not let us carry over. */
  readonly lost: readonly string[];
}

/**
 * Gives an open file or folder of ours its owner, group, rights and attributes, as far as the process may. `folder`:
 * where it will lie. `replaces`: there is a file of that name now, whose rights must stay what they are. `hasModes`: the
 * disk can set permissions; where it cannot, the file has those that the disk gives it.
 */
export function giveAccess(
  { fs, users }: { readonly fs: Fs; readonly users: Users },
  fd: number,
  wanted: Access,
  {
    folder,
    replaces,
    hasModes = true,
  }: { readonly folder: Stat; readonly replaces: boolean; readonly hasModes?: boolean },
): Given {
  // While it is ours: later only its owner may.
  const lost = setAttributes(fs, fd, wanted.attributes);
  giveAway(fs, fd, wanted);
  if (wanted.mode === undefined) return { lost };
  const got = fs.statOpen(fd);
  const list = lost.includes(accessAcl) ? undefined : wanted.attributes.get(accessAcl);
  const mode = replaces ? rightsKept({ ...wanted, mode: wanted.mode }, got, { users, folder, list }) : wanted.mode;
  if (typeof mode !== 'number') return { lost, refused: mode };
  if (hasModes) fs.chmod(fd, mode);
  else if (replaces && setMode(fs, fd, mode) & ~mode) return { lost, refused: { kind: 'unwritable', errno: 'EPERM' } };
  return { lost };
}

/** Sets what it can; gives the permissions that the file has then. */
function setMode(fs: Fs, fd: number, mode: number): number {
  unlessErrno(() => fs.chmod(fd, mode));
  return fs.statOpen(fd).mode & 0o777;
}

function setAttributes(fs: Fs, fd: number, attributes: ReadonlyMap<string, Buffer>): readonly string[] {
  const lost: string[] = [];
  for (const [name, value] of attributes) {
    // A default list belongs to folders, and those are never replaced.
    if (name === defaultAcl) continue;
    try {
      if (!fs.setAttribute) throw Object.assign(new Error('no attributes here'), { code: 'ENOTSUP' });
      fs.setAttribute(fd, name, value);
    } catch (error) {
      if (!isUnsupported(error) && !['EPERM', 'EACCES', 'E2BIG'].includes(errorCode(error))) throw error;
      lost.push(name);
    }
  }
  return lost;
}

/** Owner and group where the process may, the group alone where it may not, else neither. */
function giveAway(fs: Fs, fd: number, { uid, gid }: Access): void {
  for (const owner of [uid, -1]) {
    try {
      return fs.chown(fd, owner, gid);
    } catch (error) {
      // Network shares and FAT have no owners of their own.
      if (!isUnsupported(error) && errorCode(error) !== 'EPERM') throw error;
    }
  }
}

/**
 * The rights with which everybody can do what they could. The file may belong to us now: then its old owner comes in by
 * the group, which gets the owner's rights where that opens it to nobody new; else the file is refused by name.
 */
function rightsKept(
  was: KeptMode,
  got: Stat,
  { users, folder, list }: { users: Users; folder: Stat; list: Buffer | undefined },
): number | NotSyncedReason {
  const owner = (was.mode >> 6) & 7;
  let group = (was.mode >> 3) & 7;
  const other = was.mode & 7;
  if (got.gid !== was.gid) {
    // Members of the old group are now "others", and those of the new one must gain nothing.
    if (group & ~other) return { kind: 'owner', gid: was.gid };
    group = other;
  }
  // Root may do everything anyway.
  const isOwnerKept = got.uid === was.uid || was.uid === 0;
  if (!isOwnerKept) {
    const isMember = users.isMember(was.uid, got.gid);
    const has = (isMember ? group : other) | grantedTo(list, was.uid);
    const missing = owner & ~has;
    if (missing !== 0) {
      const mayWiden = isMember && (group & 4) !== 0 && mayReplace(folder, got.gid);
      if (!mayWiden) return { kind: 'owner', uid: was.uid };
      group |= missing;
    }
  }
  return (owner << 6) | (group << 3) | other;
}

/** Whoever may write into the folder could put a file of their own at the name: writing to ours gives them nothing. */
function mayReplace(folder: Stat, gid: number): boolean {
  return folder.gid === gid && (folder.mode & 0o020) !== 0;
}
