import koffi from 'koffi';
import type { Clock } from '../model/world.ts';

/** What the system knows of users and groups, by NSS, as every other program asks it (LDAP included). */
export interface Users {
  /** Whether the user is a member of the group. Of a user that the system does not know: a group of the same number. */
  isMember(uid: number, gid: number): boolean;
  /** The id for a name or a number; undefined when nobody is called that. */
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
  userName(uid: number): string | undefined;
}

const mostGroups = 1_024;
/** Somebody is made a member of a group while the daemon runs: it must not take a restart to see it. */
const knownForMs = 60_000;

export function systemUsers({ monotonic }: Pick<Clock, 'monotonic'>): Users {
  const calls = libc();
  const known = new Map<number, { readonly groups: ReadonlySet<number>; readonly at: number }>();

  function groupsOf(uid: number): ReadonlySet<number> {
    const present = known.get(uid);
    if (present && monotonic() - present.at < knownForMs) return present.groups;
    const groups = calls?.groupsOf(uid) ?? new Set([uid]);
    if (known.size > 1_000) known.clear();
    known.set(uid, { groups, at: monotonic() });
    return groups;
  }

  const idOf = (name: string, find: ((name: string) => number | undefined) | undefined): number | undefined => {
    if (/^\d{1,9}$/.test(name)) return Number(name);
    return find?.(name);
  };
  return {
    isMember: (uid, gid) => groupsOf(uid).has(gid),
    userId: (name) => idOf(name, calls?.userId),
    groupId: (name) => idOf(name, calls?.groupId),
    userName: (uid) => calls?.userName(uid),
  };
}

interface Calls {
  groupsOf(uid: number): ReadonlySet<number> | undefined;
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
  userName(uid: number): string | undefined;
}

let loaded: Calls | undefined | 'not-yet' = 'not-yet';

/** Once per process: a struct has one name in it. Undefined where the C library is another one. */
function libc(): Calls | undefined {
  if (loaded === 'not-yet') {
    try {
      loaded = load();
    } catch {
      loaded = undefined;
    }
  }
  return loaded;
}

function load(): Calls {
  const library = koffi.load('libc.so.6');
  const passwd = koffi.struct('passwd', { name: 'const char *', password: 'const char *', uid: 'uint', gid: 'uint' });
  const group = koffi.struct('group', { name: 'const char *', password: 'const char *', gid: 'uint' });
  const byUid = library.func('void *getpwuid(uint uid)');
  const byName = library.func('void *getpwnam(const char *name)');
  const groupByName = library.func('void *getgrnam(const char *name)');
  const list = library.func('int getgrouplist(const char *user, uint group, void *groups, _Inout_ int *count)');
  type Passwd = { name: string; uid: number; gid: number };
  const passwdAt = (pointer: unknown): Passwd | undefined =>
    pointer ? (koffi.decode(pointer, passwd) as Passwd) : undefined;
  return {
    groupsOf(uid) {
      const user = passwdAt(byUid(uid));
      if (!user) return undefined;
      const into = Buffer.alloc(mostGroups * 4);
      const count: [number] = [mostGroups];
      const found = Number(list(user.name, user.gid, into, count));
      const ids = Array.from({ length: Math.max(0, Math.min(found, count[0])) }, (_, n) => into.readUInt32LE(n * 4));
      return new Set([user.gid, ...ids]);
    },
    userId: (name) => passwdAt(byName(name))?.uid,
    userName: (uid) => passwdAt(byUid(uid))?.name,
    groupId(name) {
      const pointer = groupByName(name) as unknown;
      return pointer ? (koffi.decode(pointer, group) as { gid: number }).gid : undefined;
    },
  };
}
