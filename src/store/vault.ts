import { createCipheriv, createDecipheriv, createHash, hkdfSync } from 'node:crypto';
import { z } from 'zod';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Random } from '../model/world.ts';

/** A secret at rest: AES-256-GCM, with the record it belongs to as associated data. All members base64 but `keyId`. */
export interface Sealed {
  readonly v: 1;
  readonly keyId: string;
  readonly nonce: string;
  readonly data: string;
  readonly tag: string;
}

export const sealedSchema: z.ZodType<Sealed> = z.strictObject({
  v: z.literal(1),
  keyId: z.string(),
  nonce: z.string(),
  data: z.string(),
  tag: z.string(),
});

export interface Vault {
  /** Which key seals now. */
  readonly keyId: string;
  /** Seals a value for one record. The same value for another record gives other text and opens only there. */
  seal(value: Secret, record: string): Sealed;
  /** Throws `key-wrong` when the key is none of ours, `store-damaged` when the text was altered or moved. */
  open(sealed: Sealed, record: string): Secret;
  /** Sealed under the present key: as it is, or opened and sealed anew. */
  renew(sealed: Sealed, record: string): Sealed;
  /** A key for one purpose, 32 bytes; always the same for the same present key. */
  derive(purpose: string): Buffer;
  /** Seals with this key from now on. Every key known so far still opens, until `forgetOlder`. */
  use(key: Buffer): void;
  /** Whether this is the key that seals. */
  isPresent(key: Buffer): boolean;
  /** From now on only the present key opens anything. */
  forgetOlder(): void;
}

export const KEY_BYTES = 32;
/** What `state.json` holds sealed, to tell the right key from another; also the record it is sealed for. */
export const KEY_CHECK = 'key check';
const NONCE_BYTES = 12;

/**
 * `keys`: the present one first, then those that may still open what a broken-off rotation left. `onSecret` is told of
 * every secret that goes in or comes out, before anybody else has it: the log masks it from then on.
 */
export function createVault(
  keys: readonly [Buffer, ...Buffer[]],
  random: Random,
  onSecret: (secret: Secret) => void = () => {},
): Vault {
  const byId = new Map(keys.map((key) => [keyIdOf(key), key]));
  let present = keys[0];
  let keyId = keyIdOf(present);

  // The key check is a constant, and its words are ordinary ones.
  const tell = (secret: Secret, record: string): void => void (record !== KEY_CHECK && onSecret(secret));

  function seal(value: Secret, record: string): Sealed {
    tell(value, record);
    const nonce = random.bytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', present, nonce).setAAD(boundTo(keyId, record));
    const data = Buffer.concat([cipher.update(value.open(), 'utf8'), cipher.final()]);
    const base64 = (bytes: Buffer): string => bytes.toString('base64');
    return { v: 1, keyId, nonce: base64(nonce), data: base64(data), tag: base64(cipher.getAuthTag()) };
  }

  function open(sealed: Sealed, record: string): Secret {
    const key = byId.get(sealed.keyId);
    if (!key) throw new Problem('key-wrong', { record, expected: sealed.keyId, found: keyId });
    const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
    try {
      const decipher = createDecipheriv('aes-256-gcm', key, bytes(sealed.nonce), { authTagLength: 16 })
        .setAAD(boundTo(sealed.keyId, record))
        .setAuthTag(bytes(sealed.tag));
      const secret = new Secret(
        Buffer.concat([decipher.update(bytes(sealed.data)), decipher.final()]).toString('utf8'),
      );
      tell(secret, record);
      return secret;
    } catch (cause) {
      const hint = `The stored secret “${record}” was altered or belongs to another record. Enter it again.`;
      throw new Problem('store-damaged', { record, reason: 'sealed-value-altered', hint }, { cause });
    }
  }

  return {
    get keyId() {
      return keyId;
    },
    seal,
    open,
    renew: (sealed, record) => (sealed.keyId === keyId ? sealed : seal(open(sealed, record), record)),
    derive: (purpose) => Buffer.from(hkdfSync('sha256', present, '', `mooring ${purpose}`, KEY_BYTES)),
    use(key) {
      present = key;
      keyId = keyIdOf(key);
      byId.set(keyId, key);
    },
    isPresent: (key) => keyIdOf(key) === keyId,
    forgetOlder() {
      for (const id of byId.keys()) if (id !== keyId) byId.delete(id);
    },
  };
}

/** Names a key without giving anything of it away. */
function keyIdOf(key: Buffer): string {
  return createHash('sha256').update('mooring key id\0').update(key).digest('hex').slice(0, 16);
}

function boundTo(keyId: string, record: string): Buffer {
  return Buffer.from(`mooring/1/${keyId}/${record}`);
}
