/** Chance from a seed: the same seed, the same choices. */
export interface Chance {
  /** A whole number below `n`. */
  pick(n: number): number;
  oneOf<T>(items: readonly T[]): T;
  /** True once in `n` times. */
  once(n: number): boolean;
  between(low: number, high: number): number;
}

export function chanceOf(seed: number): Chance {
  let state = Math.imul(seed, 2_654_435_761) >>> 0 || 1;
  const pick = (n: number): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  return {
    pick,
    oneOf: (items) => items[pick(items.length)]!,
    once: (n) => pick(n) === 0,
    between: (low, high) => low + pick(high - low + 1),
  };
}
