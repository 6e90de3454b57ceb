import { inspect } from 'node:util';

/** A value that cannot be printed by accident: every way to text gives `[secret]`. Opened only where it is spent. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** The value itself. Call it in the adapter that spends it, nowhere else. */
  open(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
