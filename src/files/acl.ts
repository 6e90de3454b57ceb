/**
 * Access control lists as the kernel keeps them in `system.posix_acl_access` and `system.posix_acl_default`: a version,
 * then entries of tag, permissions and id, all little-endian (include/uapi/linux/posix_acl_xattr.h). Malformed ones
 * give nothing: whoever asks then goes by the mode alone.
 */

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

const version = 2;
const headerBytes = 4;
const entryBytes = 8;
const tags = { ownerUser: 0x01, user: 0x02, ownerGroup: 0x04, group: 0x08, mask: 0x10, other: 0x20 } as const;

function parse(value: Buffer): readonly AclEntry[] {
  if (value.length < headerBytes || value.readUInt32LE(0) !== version) return [];
  const entries: AclEntry[] = [];
  for (let at = headerBytes; at + entryBytes <= value.length; at += entryBytes) {
    entries.push({
      tag: value.readUInt16LE(at),
      permissions: value.readUInt16LE(at + 2),
      id: value.readUInt32LE(at + 4),
    });
  }
  return entries;
}

/** What an entry of its own gives a user, within the mask; 0: there is none. */
export function grantedTo(value: Buffer | undefined, uid: number): number {
  const entries = value ? parse(value) : [];
  const mask = entries.find(({ tag }) => tag === tags.mask)?.permissions ?? 7;
  return (entries.find(({ tag, id }) => tag === tags.user && id === uid)?.permissions ?? 0) & mask;
}

/**
 * The access ACL of a new file in a folder with this default ACL, as the kernel makes it for a file that is created
 * there with mode 0666 (acl(5), "object creation and default ACLs"). Ours is created in the staging folder instead.
 */
export function inherited(defaultAcl: Buffer): Buffer {
  const entries = parse(defaultAcl);
  const hasMask = entries.some(({ tag }) => tag === tags.mask);
  const limited: readonly number[] = [tags.ownerUser, tags.other, hasMask ? tags.mask : tags.ownerGroup];
  const value = Buffer.from(defaultAcl);
  entries.forEach(({ tag, permissions }, n) => {
    if (limited.includes(tag)) value.writeUInt16LE(permissions & 0o6, headerBytes + n * entryBytes + 2);
  });
  return value;
}
