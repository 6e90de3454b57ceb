import type { Oid, SitePath } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { Line, Seen } from './line.ts';

/** Bytes of a packed line. */
const lineBytes = 64;
/** Lines that one buffer holds; the first begins with fewer and doubles, since most sites are small. */
const bufferLines = 4_096;
const firstLines = 64;

const at = { flags: 0, oid: 4, dev: 24, ino: 32, size: 40, mtime: 48, ctime: 56 } as const;
const flag = { seen: 1, unsure: 2, executableInGit: 4, knowsExecutable: 8, isExecutable: 16 } as const;

/**
 * Path → line, as a `Map`, for hundreds of thousands of them: an ordinary line takes 64 bytes beside its path instead of
 * ten times as many as an object. A line that says more is kept as it is.
 */
export class LineTable {
  /** Where a packed line is; -1 for one in `#others`. */
  readonly #places = new Map<SitePath, number>();
  readonly #others = new Map<SitePath, Line>();
  readonly #buffers: Buffer[] = [];
  readonly #free: number[] = [];
  #used = 0;

  get size(): number {
    return this.#places.size;
  }

  has(path: SitePath): boolean {
    return this.#places.has(path);
  }

  get(path: SitePath): Line | undefined {
    const place = this.#places.get(path);
    if (place === undefined) return undefined;
    return place === -1 ? this.#others.get(path) : this.#unpack(place);
  }

  /** Bytes of the file when it was last seen; 0 where it was not. */
  seenSize(path: SitePath): number {
    const place = this.#places.get(path);
    if (place === undefined || place === -1) return this.#others.get(path)?.seen?.size ?? 0;
    const [buffer, offset] = this.#where(place);
    return (buffer[offset + at.flags] as number) & flag.seen ? buffer.readDoubleLE(offset + at.size) : 0;
  }

  /** As `sameSeen` of the line's own `seen`, without making a line of it. False for a line that says more. */
  isUnchanged(path: SitePath, stat: Stat): boolean {
    const place = this.#places.get(path);
    if (place === undefined || place === -1) return false;
    const [buffer, offset] = this.#where(place);
    return (
      ((buffer[offset + at.flags] as number) & (flag.seen | flag.unsure)) === flag.seen &&
      buffer.readDoubleLE(offset + at.size) === stat.size &&
      buffer.readBigInt64LE(offset + at.ctime) === stat.ctimeNs &&
      buffer.readBigInt64LE(offset + at.mtime) === stat.mtimeNs &&
      buffer.readBigUInt64LE(offset + at.ino) === stat.ino &&
      buffer.readBigUInt64LE(offset + at.dev) === stat.dev
    );
  }

  set(path: SitePath, line: Line): void {
    const before = this.#places.get(path);
    const packed = pack(line);
    if (!packed) {
      if (before !== undefined && before !== -1) this.#free.push(before);
      this.#others.set(path, line);
      this.#places.set(path, -1);
      return;
    }
    if (before === -1) this.#others.delete(path);
    const place = before === undefined || before === -1 ? this.#claim() : before;
    const [buffer, offset] = this.#where(place);
    packed.copy(buffer, offset);
    this.#places.set(path, place);
  }

  delete(path: SitePath): void {
    const place = this.#places.get(path);
    if (place === undefined) return;
    if (place === -1) this.#others.delete(path);
    else this.#free.push(place);
    this.#places.delete(path);
  }

  keys(): IterableIterator<SitePath> {
    return this.#places.keys();
  }

  *entries(): Generator<[SitePath, Line]> {
    for (const path of this.#places.keys()) yield [path, this.get(path) as Line];
  }

  #claim(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const place = this.#used;
    const buffer = this.#buffers[Math.floor(place / bufferLines)];
    if (!buffer) this.#buffers.push(Buffer.alloc((place === 0 ? firstLines : bufferLines) * lineBytes));
    else if ((place % bufferLines) * lineBytes === buffer.length)
      this.#buffers[0] = Buffer.concat([buffer], 2 * buffer.length);
    this.#used += 1;
    return place;
  }

  #where(place: number): readonly [Buffer, number] {
    return [this.#buffers[Math.floor(place / bufferLines)] as Buffer, (place % bufferLines) * lineBytes];
  }

  #unpack(place: number): Line {
    const [buffer, offset] = this.#where(place);
    const flags = buffer[offset + at.flags] as number;
    const seen = (): Seen => ({
      ...(flags & flag.unsure ? { unsure: true } : {}),
      dev: String(buffer.readBigUInt64LE(offset + at.dev)),
      ino: String(buffer.readBigUInt64LE(offset + at.ino)),
      size: buffer.readDoubleLE(offset + at.size),
      mtimeNs: String(buffer.readBigInt64LE(offset + at.mtime)),
      ctimeNs: String(buffer.readBigInt64LE(offset + at.ctime)),
    });
    return {
      mode: flags & flag.executableInGit ? '100755' : '100644',
      oid: buffer.toString('hex', offset + at.oid, offset + at.dev) as Oid,
      ...(flags & flag.seen ? { seen: seen() } : {}),
      ...(flags & flag.knowsExecutable ? { isExecutable: (flags & flag.isExecutable) !== 0 } : {}),
    };
  }
}

const scratch = Buffer.alloc(lineBytes);
const known = new Set(['mode', 'oid', 'seen', 'isExecutable']);

/** Undefined for a line that says more than a packed one can. Good until the next call. */
function pack(line: Line): Buffer | undefined {
  const { mode, oid, seen, isExecutable } = line;
  if ((mode !== '100644' && mode !== '100755') || !/^[0-9a-f]{40}$/.test(oid)) return undefined;
  if (Object.keys(line).some((name) => !known.has(name))) return undefined;
  scratch.fill(0);
  scratch[at.flags] =
    (seen ? flag.seen : 0) |
    (seen?.unsure ? flag.unsure : 0) |
    (mode === '100755' ? flag.executableInGit : 0) |
    (isExecutable === undefined ? 0 : flag.knowsExecutable) |
    (isExecutable ? flag.isExecutable : 0);
  scratch.write(oid, at.oid, 'hex');
  if (!seen) return scratch;
  try {
    scratch.writeBigUInt64LE(BigInt(seen.dev), at.dev);
    scratch.writeBigUInt64LE(BigInt(seen.ino), at.ino);
    scratch.writeDoubleLE(seen.size, at.size);
    scratch.writeBigInt64LE(BigInt(seen.mtimeNs), at.mtime);
    scratch.writeBigInt64LE(BigInt(seen.ctimeNs), at.ctime);
  } catch {
    // Times and numbers that no file system has: an object holds them.
    return undefined;
  }
  return scratch;
}
