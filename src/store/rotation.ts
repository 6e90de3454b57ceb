import { openStore, type StoreOptions } from './store.ts';

/**
 * Changes the key of a stopped installation (else `state-in-use`). Both keys lie side by side until every record is
 * sealed anew, so it may be killed anywhere: the next start, or the next call, goes on.
 */
export async function rotateKey(options: StoreOptions): Promise<void> {
  const store = await openStore(options);
  try {
    await store.rotateKey();
  } finally {
    await store.close();
  }
}
