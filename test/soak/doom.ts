import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fs } from '../../src/model/world.ts';
import { type Scanner } from '../../src/files/scanner.ts';
import { Manifest } from '../../src/files/manifest.ts';
import { scanAll } from '../../src/files/scan.ts';
import type { Oid } from '../../src/model/tree.ts';
import type { Remote, Repository } from '../../src/sync/ports.ts';

/** Thrown where the process would have ended. */
class Crash extends Error {}

/**
 * A process that ends at its n-th step: that step and every one after it throw, so nothing it would still do reaches
 * the disk. The journal and the manifest, which are written without a port, are put back to what they were then.
 */
export class Doom {
  readonly trace: string[] = [];
  readonly #at: number;
  readonly #only: string | undefined;
  #counted = 0;
  readonly #stateDir: string;
  readonly #running = new Set<Promise<unknown>>();
  #frozen: (readonly [string, Buffer | undefined])[] | undefined;
  armed = false;

  /** `at`: 1 for the first step; `Infinity` only counts. `only`: steps of another name do not count. */
  constructor(at: number, stateDir: string, only?: string) {
    this.#at = at;
    this.#stateDir = stateDir;
    this.#only = only;
  }

  get dead(): boolean {
    return this.#frozen !== undefined;
  }

  step(name: string): void {
    if (this.dead) throw new Crash('the process is gone');
    if (!this.armed) return;
    this.trace.push(name);
    if (this.#only === undefined || this.#only === name) this.#counted += 1;
    if (this.#counted < this.#at) return;
    this.#frozen = ['staging.jsonl', 'manifest.jsonl'].map((file) => {
      const path = join(this.#stateDir, file);
      return [path, existsSync(path) ? readFileSync(path) : undefined] as const;
    });
    throw new Crash(name);
  }

  /** Before anything that reads only. */
  alive(): void {
    if (this.dead) throw new Crash('the process is gone');
  }

  async under<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.step(name);
    const running = work();
    this.#running.add(running);
    try {
      const result = await running;
      this.alive();
      return result;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Waits until nothing of the dead process runs and undoes what it wrote past its end. */
  async buried(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running]);
    for (const [path, bytes] of this.#frozen ?? []) {
      if (bytes) writeFileSync(path, bytes);
      else rmSync(path, { force: true });
    }
  }
}

/** Every call that changes something is a step. */
export function doomedFs(real: Fs, doom: Doom): Fs {
  const changing = ['createFile', 'chmod', 'makeDirectory', 'removeDirectory', 'unlink', 'link', 'rename'] as const;
  const wrapped: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(real) as [keyof Fs, (...args: unknown[]) => unknown][]) {
    if (name === 'close') continue;
    const steps =
      (changing as readonly string[]).includes(name) || ['exchange', 'renameNoReplace', 'setAttribute'].includes(name);
    if (name === 'write' || name === 'fsync') {
      wrapped[name] = (...args: unknown[]) => doom.under(name, () => call(...args) as Promise<unknown>);
    } else {
      wrapped[name] = (...args: unknown[]) => {
        if (steps) doom.step(name);
        else doom.alive();
        return call(...args);
      };
    }
  }
  return { ...real, ...wrapped } as Fs;
}

/** Every question to git is a step, and so is each file that git is given. */
export function doomedRepository(real: Repository, doom: Doom): Repository {
  const wrapped: Record<string, unknown> = {};
  for (const [name, call] of Object.entries(real) as [string, (...args: unknown[]) => unknown][]) {
    wrapped[name] = (...args: unknown[]) => doom.under(name, async () => call.apply(real, args));
  }
  return {
    ...(wrapped as unknown as Repository),
    commitFiles: (...all) => doom.under('take', () => real.commitFiles(...all)),
    async *blobs(oids) {
      doom.step('blobs');
      for await (const blob of real.blobs(oids)) {
        doom.alive();
        yield blob;
      }
    },
  };
}

export function doomedRemote(real: Remote, doom: Doom, pushed: (from: Oid | null, to: Oid) => void): Remote {
  return {
    head: (signal) => doom.under('head', () => real.head(signal)),
    fetch: (signal, progress) => doom.under('fetch', () => real.fetch(signal, progress)),
    async push(commit, expected, options, signal) {
      const result = await doom.under('push', () => real.push(commit, expected, options, signal));
      if (result.kind === 'done') pushed(expected, commit);
      return result;
    },
  };
}

/** Looks at the whole folder here and now, through the given file system. */
export function inlineScanner(fs: Fs): Scanner {
  return {
    scan: async (root, manifest, rules) => scanAll(fs, root, new Manifest(manifest), rules),
    close: async () => {},
  };
}
