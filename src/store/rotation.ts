import { replaceKey } from './key-file.ts';
import { openStore, type StoreOptions } from './store.ts';

/**
 * Changes the instance key; the daemon must be stopped (else `state-in-use`). Both keys lie side by side until every
 * record is sealed anew, so it may be killed anywhere: the next start, or the next call, goes on.
 */
export async function rotateKey(options: StoreOptions): Promise<void> {
  // Opening proves that the present key is the right one, and ends an earlier rotation that was broken off.
  const before = await openStore(options);
  try {
    await replaceKey(before.keyPath, options.random);
  } finally {
    await before.close();
  }
  const after = await openStore(options);
  await after.close();
}
