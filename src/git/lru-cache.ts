/** Remembers the newest answers to questions whose answers never change: what hangs on object ids alone. */
export class LruCache<T> {
  readonly #limit: number;
  readonly #answers = new Map<string, Promise<T>>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The answer known for `key`, or the one `ask` gives. A failure is not remembered. */
  get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(key);
    if (known) return known;
    const answer = ask();
    this.#put(key, answer);
    answer.catch(() => this.#answers.delete(key));
    return answer;
  }

  /** An answer that came out on the way to something else. */
  learn(key: string, answer: T): void {
    this.#put(key, Promise.resolve(answer));
  }

  #put(key: string, answer: Promise<T>): void {
    this.#answers.set(key, answer);
    const oldest = this.#answers.keys().next();
    if (this.#answers.size > this.#limit && !oldest.done) this.#answers.delete(oldest.value);
  }
}
