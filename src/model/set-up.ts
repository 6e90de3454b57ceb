/**
 * How Mooring stands to the users whose files it syncs. `same-user`: it runs as the owner of the folder. `capabilities`:
 * as a user of its own that may give files away. `group`: as a user of its own in the folder's group, without that.
 */
export type SetUp = 'same-user' | 'capabilities' | 'group';

export interface Privileges {
  readonly uid: number;
  readonly capabilities: ReadonlySet<string>;
}

/** CAP_CHOWN gives a file away, CAP_FOWNER sets its mode afterwards, CAP_FSETID keeps the set-group-id bit of folders. */
const givingCapabilities = ['CAP_CHOWN', 'CAP_FOWNER', 'CAP_FSETID'] as const;

export function setUpOf({ uid, capabilities }: Privileges, folderUid: number): SetUp {
  if (givingCapabilities.every((name) => capabilities.has(name))) return 'capabilities';
  return uid === folderUid ? 'same-user' : 'group';
}

/** What holds for the files of a site in each set-up, as sentences for people. */
export const setUpWords: Record<SetUp, string> = {
  'same-user': 'Mooring runs as the owner of the folder, so replaced and new files belong to that user.',
  capabilities:
    'Mooring can change the owner of files: a replaced file keeps its owner, group, permissions and access list.',
  group:
    'Mooring runs as a dedicated user and cannot change the owner of files. A file that it replaces belongs to Mooring, and the previous owner keeps access through the group. Mooring does not replace a file whose owner would lose access, and lists it on the site’s page.',
};
