import { createHash, timingSafeEqual } from 'node:crypto';
import type { Random } from '../model/world.ts';

/** No I, L, O, U: nothing that is misread from a console. */
const LETTERS = '0123456789abcdefghjkmnpqrstvwxyz';

/** A one-time code for people to copy: four groups of four, 80 bits. `k7pd-3mxr-9tqa-f2wn`. */
export function makeSetupCode(random: Random): string {
  const letters = [...random.bytes(16)].map((byte) => LETTERS[byte % LETTERS.length]).join('');
  return letters.replace(/(.{4})(?=.)/g, '$1-');
}

/** Compares in constant time; case, spaces and hyphens do not matter, nor do o for 0 and l for 1. */
export function sameSetupCode(given: string, code: string): boolean {
  return timingSafeEqual(digest(given), digest(code));
}

function digest(code: string): Buffer {
  const plain = code
    .toLowerCase()
    .replace(/[\s-]+/g, '')
    .replace(/o/g, '0')
    .replace(/[il]/g, '1');
  return createHash('sha256').update(plain).digest();
}
