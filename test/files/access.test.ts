import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { giveAccess, keptAccess, newFileAccess, newFolderAccess } from '../../src/files/access.ts';
import { grantedTo, inherited } from '../../src/files/acl.ts';
import { readPrivileges } from '../../src/files/privileges.ts';
import type { Users } from '../../src/files/users.ts';
import type { Fs, Stat } from '../../src/model/world.ts';

const access = suite('access');

const cms = 33;
const mooring = 1500;
const own = 1500;

/** Mooring is in the groups 33 and 1500; the CMS's user 33 in 33 alone, the user 1000 in 1000 and 33. */
const users: Users = {
  isMember: (uid, gid) => ({ 33: [33], 1000: [1000, 33] })[uid]?.includes(gid) ?? uid === gid,
  userId: () => undefined,
  groupId: () => undefined,
  userName: () => undefined,
};

const stat = (uid: number, gid: number, mode: number): Stat => ({
  ...{ kind: 'file', dev: 1n, ino: 1n, uid, gid, mode, size: 1, mtimeNs: 0n, ctimeNs: 0n },
});

type May = 'same-user' | 'group' | 'capabilities' | 'no-owners';

/** What a file of ours becomes: the process may do what the kernel lets it in each set-up. */
function given(
  may: May,
  there: Stat,
  folder: Stat,
  { attributes = new Map<string, Buffer>(), attributesTaken = true } = {},
): { is: string; refused?: unknown; lost: readonly string[] } {
  const me = may === 'same-user' ? there.uid : mooring;
  let [uid, gid, mode] = [me, own, 0o600];
  const set: string[] = [];
  const fs = {
    chown(_fd: number, toUid: number, toGid: number) {
      const inGroup = may === 'capabilities' || [33, own].includes(toGid);
      if (may === 'no-owners') throw Object.assign(new Error('x'), { code: 'EINVAL' });
      if (!inGroup || (toUid !== -1 && toUid !== uid && may !== 'capabilities'))
        throw Object.assign(new Error('x'), { code: 'EPERM' });
      if (toUid !== -1) uid = toUid;
      gid = toGid;
    },
    chmod: (_fd: number, to: number) => void (mode = to),
    statOpen: () => stat(uid, gid, mode),
    setAttribute(_fd: number, name: string) {
      if (!attributesTaken) throw Object.assign(new Error('x'), { code: 'ENOTSUP' });
      set.push(name);
    },
  } as unknown as Fs;
  const { refused, lost } = giveAccess({ fs, users }, 3, keptAccess(there, attributes), { folder, replaces: true });
  return { is: `${uid}:${gid} ${mode.toString(8)}`, ...(refused ? { refused } : {}), lost };
}

const shared = stat(cms, cms, 0o2775);

const replaced: [name: string, may: May, there: Stat, folder: Stat, is: string | { refused: unknown }][] = [
  ['same user: nothing changes', 'same-user', stat(cms, cms, 0o640), shared, '33:33 640'],
  ['capabilities: nothing changes', 'capabilities', stat(cms, cms, 0o644), shared, '33:33 644'],
  ['capabilities: a private file too', 'capabilities', stat(cms, cms, 0o600), shared, '33:33 600'],
  ['capabilities: a group that is not ours', 'capabilities', stat(1000, 1000, 0o664), shared, '1000:1000 664'],
  ['group: the owner comes in by the group', 'group', stat(cms, cms, 0o644), shared, '1500:33 664'],
  ['group: with the x bit', 'group', stat(cms, cms, 0o755), shared, '1500:33 775'],
  ['group: what the group may already stays', 'group', stat(cms, cms, 0o664), shared, '1500:33 664'],
  ['group: nothing is opened to others', 'group', stat(cms, cms, 0o640), shared, '1500:33 660'],
  ['group: a file nobody may write stays so', 'group', stat(cms, cms, 0o444), shared, '1500:33 444'],
  ['group: our own file stays ours', 'group', stat(mooring, cms, 0o600), shared, '1500:33 600'],
  ['group: root loses nothing', 'group', stat(0, cms, 0o644), shared, '1500:33 644'],
  ['group: a member of another primary group', 'group', stat(1000, cms, 0o644), shared, '1500:33 664'],
  [
    'group: a private file is never widened',
    'group',
    stat(cms, cms, 0o600),
    shared,
    { refused: { kind: 'owner', uid: 33 } },
  ],
  [
    'group: nor one that only its owner reads',
    'group',
    stat(cms, cms, 0o400),
    shared,
    { refused: { kind: 'owner', uid: 33 } },
  ],
  [
    'group: the folder does not let its group write',
    'group',
    stat(cms, cms, 0o644),
    stat(mooring, cms, 0o755),
    { refused: { kind: 'owner', uid: 33 } },
  ],
  [
    'group: an owner outside the group',
    'group',
    stat(1001, cms, 0o644),
    shared,
    { refused: { kind: 'owner', uid: 1001 } },
  ],
  ['group: an owner outside, but others may as much', 'group', stat(1001, cms, 0o666), shared, '1500:33 666'],
  ['group: a group we are not in', 'group', stat(1000, 1000, 0o664), shared, { refused: { kind: 'owner', gid: 1000 } }],
  ['group: a group we are not in that may no more than others', 'group', stat(0, 1000, 0o644), shared, '1500:1500 644'],
  ['group: our own group gains nothing by that', 'group', stat(0, 1000, 0o604), shared, '1500:1500 644'],
  ['a disk without owners: what can be is kept', 'no-owners', stat(mooring, own, 0o640), shared, '1500:1500 640'],
];

for (const [name, may, there, folder, is] of replaced) {
  access(`replaced: ${name}`, () => {
    const found = given(may, there, folder);
    assert.equal(typeof is === 'string' ? found.is : { refused: found.refused }, is);
    if (typeof is === 'string') assert.is(found.refused, undefined);
  });
}

access('attributes are carried over, or their loss is told', () => {
  const attributes = new Map([['user.note', Buffer.from('x')]]);
  assert.equal(given('group', stat(cms, cms, 0o664), shared, { attributes }).lost, []);
  const taken = given('group', stat(cms, cms, 0o664), shared, { attributes, attributesTaken: false });
  assert.equal([taken.lost, taken.refused], [['user.note'], undefined]);
});

/** As the kernel gives it: tag, permissions, id. */
function acl(...entries: [tag: number, permissions: number, id?: number][]): Buffer {
  const value = Buffer.alloc(4 + entries.length * 8);
  value.writeUInt32LE(2, 0);
  entries.forEach(([tag, permissions, id = 0xffff_ffff], n) => {
    value.writeUInt16LE(tag, 4 + n * 8);
    value.writeUInt16LE(permissions, 6 + n * 8);
    value.writeUInt32LE(id, 8 + n * 8);
  });
  return value;
}

access('an owner with an entry in the access list needs no group', () => {
  const list = acl([1, 6], [2, 6, 1001], [4, 4], [0x10, 6], [0x20, 0]);
  const attributes = new Map([['system.posix_acl_access', list]]);
  assert.is(given('group', stat(1001, cms, 0o660), shared, { attributes }).refused, undefined);
  const lost = given('group', stat(1001, cms, 0o660), shared, { attributes, attributesTaken: false });
  assert.equal(lost.refused, { kind: 'owner', uid: 1001 });
});

access('an entry counts within the mask, and only for its user', () => {
  const list = acl([1, 6], [2, 7, 1001], [4, 4], [0x10, 5], [0x20, 0]);
  assert.equal([grantedTo(list, 1001), grantedTo(list, 1002), grantedTo(undefined, 1001)], [5, 0, 0]);
  assert.equal([grantedTo(Buffer.from('x'), 1001), grantedTo(list.subarray(0, 17), 1001)], [0, 0]);
});

access('a new file inherits a default list as the kernel would give it: without x', () => {
  const withMask = inherited(acl([1, 7], [2, 7, 33], [4, 5], [0x10, 7], [0x20, 5]));
  assert.equal(withMask, acl([1, 6], [2, 7, 33], [4, 5], [0x10, 6], [0x20, 4]));
  assert.equal(inherited(acl([1, 7], [4, 5], [0x20, 5])), acl([1, 6], [4, 4], [0x20, 4]));
});

const none = new Map<string, Buffer>();
const created: [name: string, folder: number, file: string, inside: string][] = [
  ['a shared folder', 0o2775, '664', '2775'],
  ['an ordinary folder', 0o755, '644', '755'],
  ['a private folder', 0o700, '600', '700'],
  ['a folder for a group', 0o2750, '640', '2750'],
  ['a folder whose names others must know', 0o711, '644', '711'],
  ['a folder with a sticky bit', 0o1777, '666', '777'],
];
for (const [name, mode, file, inside] of created) {
  access(`new in ${name}: owner, group and rights of the folder`, () => {
    const folder = stat(cms, cms, mode);
    const [one, other] = [newFileAccess(folder, none, {}), newFolderAccess(folder, none, {})];
    assert.equal([one.uid, one.gid, one.mode?.toString(8)], [33, 33, file]);
    assert.equal([other.uid, other.gid, other.mode?.toString(8)], [33, 33, inside]);
  });
}

access('new: what the site sets comes before the folder, also before its default list', () => {
  const set = { uid: 5, gid: 6, fileMode: 0o640, folderMode: 0o750 };
  const lists = new Map([['system.posix_acl_default', acl([1, 7], [4, 5], [0x20, 5])]]);
  for (const attributes of [none, lists]) {
    assert.equal(newFileAccess(shared, attributes, set), { uid: 5, gid: 6, mode: 0o640, attributes: none });
    assert.equal(newFolderAccess(shared, attributes, set), { uid: 5, gid: 6, mode: 0o2750, attributes: none });
  }
});

access('new in a folder with a default list: no mode goes over it', () => {
  const list = acl([1, 7], [2, 7, 33], [4, 5], [0x10, 7], [0x20, 5]);
  const lists = new Map([['system.posix_acl_default', list]]);
  const file = newFileAccess(shared, lists, {});
  assert.equal([file.mode, file.attributes.get('system.posix_acl_access')], [undefined, inherited(list)]);
  assert.is(newFolderAccess(shared, lists, {}).mode, undefined);
});

access('the process’s rights are read from what the kernel says', () => {
  const status = 'Name:\tnode\nUid:\t1500\t1501\t1500\t1500\nCapInh:\t0000000000000019\nCapEff:\t0000000000000119\n';
  const { uid, capabilities } = readPrivileges(status);
  assert.is(uid, 1501);
  assert.equal([...capabilities].sort(), ['CAP_CHOWN', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_SETPCAP']);
  assert.equal([...readPrivileges('').capabilities], []);
});

access.run();
