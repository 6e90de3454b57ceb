import { Secret } from '../model/secret.ts';
import type { Database } from './database.ts';
import { exists } from './durable.ts';
import { type InstanceData, renewInstance } from './instance.ts';
import { dropPreviousKey, previousKeyPath } from './key-file.ts';
import { type NotifyData, renewNotify } from './notify.ts';
import { type OutgoingData, renewOutgoing } from './outgoing.ts';
import { type SitesData, renewSites } from './sites.ts';
import { KEY_CHECK, type Sealed, type Vault } from './vault.ts';

/** The files that hold something sealed. */
interface SealedFiles {
  readonly state: Database<{ keyCheck: Sealed }>;
  readonly instance: Database<InstanceData>;
  readonly sites: Database<SitesData>;
  readonly notify: Database<NotifyData>;
  readonly outgoing: Database<OutgoingData>;
}

/**
 * Ends a change of keys, also one that was broken off: seals anew whatever the previous key sealed, in the older
 * generations too, and only then forgets that key. No effect when there is no previous key.
 */
export async function finishRotation(dbs: SealedFiles, vault: Vault, keyPath: string): Promise<void> {
  if (!(await exists(previousKeyPath(keyPath)))) return;
  await renewInstance(dbs.instance, vault);
  await renewSites(dbs.sites, vault);
  await renewNotify(dbs.notify, vault);
  await renewOutgoing(dbs.outgoing, vault);
  await dbs.state.update((draft) => {
    if (draft.keyCheck.keyId !== vault.keyId) draft.keyCheck = vault.seal(new Secret(KEY_CHECK), KEY_CHECK);
  });
  for (const db of [dbs.instance, dbs.sites, dbs.notify, dbs.outgoing, dbs.state]) await db.forgetGenerations();
  await dropPreviousKey(keyPath);
}
