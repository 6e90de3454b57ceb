import type { AuditEntry } from '../model/event.ts';

export interface KeyActionsDeps {
  readonly store: {
    readonly keyPath: string;
    /** Both keys stay readable until everything is sealed anew. Throws `key-unwritable`. */
    rotateKey(): Promise<void>;
  };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

export interface KeyActions {
  /** Replaces the key that encrypts stored secrets; gives its path. Syncing goes on meanwhile. */
  rotate(by: string): Promise<{ readonly key: string }>;
}

/** The key that encrypts tokens and secrets in the store. */
export function createKeyActions({ store, report }: KeyActionsDeps): KeyActions {
  return {
    async rotate(by) {
      await store.rotateKey();
      report({ by, act: 'rotated-key', detail: store.keyPath });
      return { key: store.keyPath };
    },
  };
}
