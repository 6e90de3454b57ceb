/** Remembers the newest answers to questions whose answers never change: what hangs on object ids alone. */
export class LruCache<T> {
  readonly #limit: number;
  readonly #weigh: (answer: T) => number;
  readonly #answers = new Map<string, { readonly answer: Promise<T>; weight: number }>();
  #weight = 0;

  /** `limit`: of all answers' weights together; each weighs 1 unless `weigh` says otherwise. */
  constructor(limit: number, weigh: (answer: T) => number = () => 1) {
    this.#limit = limit;
    this.#weigh = weigh;
  }

  /** The answer known for `key`, or the one `ask` gives. A failure is not remembered. */
  get(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.peek(key);
    if (known) return known;
    const answer = ask();
    this.#put(key, answer);
    return answer;
  }

  /** The answer, if it is known. */
  peek(key: string): Promise<T> | undefined {
    const known = this.#answers.get(key);
    if (!known) return undefined;
    this.#answers.delete(key);
    this.#answers.set(key, known);
    return known.answer;
  }

  /** An answer that came out on the way to something else. */
  learn(key: string, answer: T): void {
    this.#put(key, Promise.resolve(answer));
  }

  clear(): void {
    this.#answers.clear();
    this.#weight = 0;
  }

  #put(key: string, answer: Promise<T>): void {
    this.#drop(key);
    const entry = { answer, weight: 1 };
    this.#answers.set(key, entry);
    this.#weight += 1;
    this.#shrink();
    answer.then(
      (value) => {
        if (this.#answers.get(key) !== entry) return;
        const weight = this.#weigh(value);
        this.#weight += weight - entry.weight;
        entry.weight = weight;
        this.#shrink();
      },
      () => {
        if (this.#answers.get(key) === entry) this.#drop(key);
      },
    );
  }

  #drop(key: string): void {
    this.#weight -= this.#answers.get(key)?.weight ?? 0;
    this.#answers.delete(key);
  }

  #shrink(): void {
    for (const key of this.#answers.keys()) {
      if (this.#weight <= this.#limit) return;
      this.#drop(key);
    }
  }
}
