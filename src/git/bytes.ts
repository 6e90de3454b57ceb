/** Reads a stream by lines and by counts, as git's batch protocols want it. */
export class ByteReader {
  readonly #source: AsyncIterator<Buffer> | undefined;
  #held: Buffer = Buffer.alloc(0);

  /** A process that could not be started has no output: that is an empty one. */
  constructor(source: AsyncIterable<Buffer> | null | undefined) {
    this.#source = source?.[Symbol.asyncIterator]();
  }

  /** The text up to the byte `end`, which is taken too; undefined at the end of the stream. */
  async until(end: number): Promise<Buffer | undefined> {
    for (let from = 0; ;) {
      const at = this.#held.indexOf(end, from);
      if (at >= 0) {
        const text = this.#held.subarray(0, at);
        this.#held = this.#held.subarray(at + 1);
        return text;
      }
      from = this.#held.length;
      if (!(await this.#more())) return undefined;
    }
  }

  /** Exactly `count` bytes, as they come. */
  async *take(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0;) {
      if (this.#held.length === 0 && !(await this.#more())) throw new Error('the stream ended too early');
      const chunk = this.#held.subarray(0, left);
      this.#held = this.#held.subarray(chunk.length);
      left -= chunk.length;
      yield chunk;
    }
  }

  /** As {@link take}, in one piece. */
  async exactly(count: number): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.take(count)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** Whether bytes came that nobody took: after the end of the stream, what was cut off. */
  get hasRest(): boolean {
    return this.#held.length > 0;
  }

  async #more(): Promise<boolean> {
    const next = await this.#source?.next();
    if (!next || next.done) return false;
    const { value } = next;
    this.#held = this.#held.length === 0 ? value : Buffer.concat([this.#held, value]);
    return true;
  }
}
