import { constants } from 'node:os';
import koffi from 'koffi';

/** Numbers by architecture, as in the kernel's tables. */
const numbers: Readonly<
  Record<string, Readonly<Record<'renameat2' | 'link' | 'fchmod' | 'fchown', readonly number[]>>>
> = {
  x64: { renameat2: [316], link: [86, 265], fchmod: [91], fchown: [93] },
  arm64: { renameat2: [276], link: [37], fchmod: [52], fchown: [55] },
};

/** Offsets in `struct seccomp_data`: the number of the call, and the lower half of its fifth argument. */
const [callAt, flagsAt] = [0, 16 + 4 * 8];
const [load, equal, answer] = [0x20, 0x15, 0x06];
const [allow, fail] = [0x7fff0000, 0x00050000];

/**
 * Denies calls to this process from now on, in the kernel: a disk that has not got them answers in the same way. Throws
 * where the kernel has no seccomp filters, or where this machine's numbers are not known.
 */
export function deny(
  calls: Partial<Record<'renameat2 with flags' | 'exchange' | 'link' | 'fchmod' | 'fchown', string>>,
): void {
  const known = numbers[process.arch];
  if (!known) throw new Error(`the system calls of ${process.arch} are not known`);
  const program: Step[] = [[load, 0, 0, callAt]];
  for (const [call, errno] of Object.entries(calls)) {
    const refusal = fail | constants.errno[errno as keyof typeof constants.errno];
    if (call === 'renameat2 with flags' || call === 'exchange') {
      const [number = -1] = known.renameat2;
      // Without flags, or with another flag, it is the ordinary call.
      program.push([equal, 0, 4, number], [load, 0, 0, flagsAt]);
      program.push(
        call === 'exchange' ? [equal, 0, 1, 2] : [equal, 1, 0, 0],
        [answer, 0, 0, refusal],
        [load, 0, 0, callAt],
      );
    } else {
      for (const number of known[call as 'link' | 'fchmod' | 'fchown'])
        program.push([equal, 0, 1, number], [answer, 0, 0, refusal]);
    }
  }
  install([...program, [answer, 0, 0, allow]]);
}

type Step = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

function install(program: readonly Step[]): void {
  const filter = Buffer.alloc(program.length * 8);
  program.forEach(([code, ifTrue, ifFalse, value], n) => {
    filter.writeUInt16LE(code, n * 8);
    filter.writeUInt8(ifTrue, n * 8 + 2);
    filter.writeUInt8(ifFalse, n * 8 + 3);
    filter.writeUInt32LE(value >>> 0, n * 8 + 4);
  });
  const library = koffi.load('libc.so.6');
  const prctl = library.func('int prctl(int option, ulong a, ulong b, ulong c, ulong d)');
  const filters = koffi.struct({ length: 'uint16', filter: 'void *' });
  const seccomp = library.func('syscall', 'long', ['long', 'uint', 'uint', koffi.pointer(filters)]);
  if ((prctl(38, 1, 0, 0, 0) as number) !== 0) throw new Error('PR_SET_NO_NEW_PRIVS failed');
  const number = process.arch === 'x64' ? 317 : 277;
  // For all threads of the process at once.
  const status = Number(seccomp(number, 1, 1, { length: program.length, filter }));
  if (status !== 0) throw new Error(`seccomp answered ${status}, errno ${koffi.errno()}`);
}
