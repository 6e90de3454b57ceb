import { readFileSync } from 'node:fs';
import koffi from 'koffi';

/** What the kernel lets this process do with files that belong to others. */
export interface Privileges {
  readonly uid: number;
  /** Effective capabilities, as in `CAP_CHOWN`; of those that matter here. */
  readonly capabilities: ReadonlySet<Capability>;
}

/** Bits of the sets in /proc/<pid>/status (include/uapi/linux/capability.h). */
const bits = {
  CAP_CHOWN: 0,
  CAP_DAC_OVERRIDE: 1,
  CAP_FOWNER: 3,
  CAP_FSETID: 4,
  CAP_SETPCAP: 8,
} as const;
type Capability = keyof typeof bits;

/** No capabilities where /proc does not tell. */
export function readPrivileges(status: string = ownStatus()): Privileges {
  const effective = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  // Real, effective, saved and file system user id, in this order.
  const uid = Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? -1);
  const held = (Object.keys(bits) as Capability[]).filter((name) => (effective >> BigInt(bits[name])) & 1n);
  return { uid, capabilities: new Set(held) };
}

function ownStatus(): string {
  try {
    return readFileSync('/proc/self/status', 'latin1');
  } catch {
    return '';
  }
}

/** prctl(2) and capabilities(7). */
const prCapbsetDrop = 24;
const prCapAmbient = 47;
const prCapAmbientClearAll = 4;
const capabilityVersion3 = 0x20080522;

/**
 * Programs that Mooring starts get none of its capabilities, however they are started: git must not be able to give
 * files away only because Mooring can. Empties the ambient and inheritable sets of the main thread, which starts them
 * all, and, where CAP_SETPCAP allows it, the bounding set; CAP_SETPCAP itself goes with that. What this process may do
 * stays. To be called once, before anything is started. False where it could not be done.
 */
export function keepCapabilitiesFromChildren(): boolean {
  try {
    const library = koffi.load('libc.so.6');
    const prctl = library.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
    const capget = library.func('int capget(void *header, void *data)');
    const capset = library.func('int capset(void *header, void *data)');
    const header = Buffer.alloc(8);
    header.writeUInt32LE(capabilityVersion3, 0);
    const sets = Buffer.alloc(24);
    if (capget(header, sets) !== 0) return false;
    if (readPrivileges().capabilities.has('CAP_SETPCAP'))
      // The kernel answers EINVAL past the last one that it knows.
      for (let bit = 0; bit < 64; bit += 1) if (prctl(prCapbsetDrop, bit, 0, 0, 0) !== 0) break;
    prctl(prCapAmbient, prCapAmbientClearAll, 0, 0, 0);
    // Two words of each set: effective, permitted, inheritable.
    const setPcap = 1 << bits.CAP_SETPCAP;
    for (const at of [0, 4]) sets.writeUInt32LE((sets.readUInt32LE(at) & ~setPcap) >>> 0, at);
    for (const at of [8, 20]) sets.writeUInt32LE(0, at);
    return capset(header, sets) === 0;
  } catch {
    return false;
  }
}
