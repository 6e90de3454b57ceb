import { Buffer } from 'node:buffer';

/** Git's packet lines: four digits of length, then so many bytes less four. */
export const flush = Buffer.from('0000');
export const delimiter = Buffer.from('0001');

export function packet(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string, 'utf8');
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}

/** `data`: a line; the others are lines without content that separate what comes. */
export type Packet =
  { readonly kind: 'data'; readonly data: Buffer } | { readonly kind: 'flush' | 'delimiter' | 'end' };

/** What comes is not made of packets. */
export class OddPackets extends Error {
  override readonly name = 'OddPackets';
}

/** There is no end of what a server says beside what it was asked for: nobody reads on. */
export class EndlessWords extends Error {
  override readonly name = 'EndlessWords';
}

/** Cuts what comes in any pieces into packets. */
export class PacketReader {
  #held: Buffer = Buffer.alloc(0);

  /** Throws {@link OddPackets}. */
  *feed(chunk: Buffer): Generator<Packet> {
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    while (this.#held.length >= 4) {
      const digits = this.#held.toString('latin1', 0, 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw new OddPackets(`no length: ${JSON.stringify(digits)}`);
      const length = Number.parseInt(digits, 16);
      if (length === 3) throw new OddPackets('a length of 3');
      const size = Math.max(length, 4);
      if (this.#held.length < size) return;
      const data = this.#held.subarray(4, size);
      this.#held = this.#held.subarray(size);
      yield length < 3 ? { kind: (['flush', 'delimiter', 'end'] as const)[length] as 'flush' } : { kind: 'data', data };
    }
  }

  /** Whether the last packet is whole. */
  get isWhole(): boolean {
    return this.#held.length === 0;
  }
}

/** The server's own words beside what is sent, so many bytes of them at most. */
const mostWords = 4 * 1024 * 1024;

/** Takes apart what comes in bands: 1 is content, 2 is what the server says to people, 3 ends it with an error. */
export class Bands {
  /** What the server said, in lines that begin with `remote:`, as git prints them. */
  #words = '';
  #bytes = 0;

  /**
   * The content of a packet; undefined where it has none. Throws {@link EndlessWords}, and {@link OddPackets} with what
   * band 3 says.
   */
  content(data: Buffer): Buffer | undefined {
    const [band] = data;
    const rest = data.subarray(1);
    if (band === 1) return rest;
    if (band !== 2 && band !== 3) throw new OddPackets(`band ${band}`);
    this.count(rest.length);
    this.#words += rest.toString('utf8');
    if (band === 3) throw new OddPackets(rest.toString('utf8').slice(0, 500));
    return undefined;
  }

  /** So many bytes were said elsewhere. Throws {@link EndlessWords}. */
  count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > mostWords) throw new EndlessWords('it says too much');
  }

  get lines(): string {
    return this.#words
      .split(/\r\n|\n|\r/)
      .filter((line) => line.trim() !== '')
      .map((line) => `remote: ${line}`)
      .join('\n');
  }
}
