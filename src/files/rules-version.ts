import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { rulesVersion } from './ignore.ts';
import { inState, readIfThere } from './state.ts';

/**
 * By which rules a site's folder was scanned so far. A site without the file was connected before there were versions.
 * One that is lost asks a person once more than needed. Throws `disk-full`, `out-of-resources` and `state-failed`.
 */
export class RulesVersion {
  readonly #file: string;
  #isCurrent: boolean | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  get isCurrent(): boolean {
    this.#isCurrent ??= read(this.#file) >= rulesVersion;
    return this.#isCurrent;
  }

  /** From now on the present rules count alone. Durable before it returns. */
  makeCurrent(): void {
    if (this.isCurrent) return;
    inState(this.#file, () => write(this.#file));
    this.#isCurrent = true;
  }
}

function write(file: string): void {
  const fd = openSync(`${file}.new`, 'w', 0o600);
  try {
    writeSync(fd, `${JSON.stringify({ version: rulesVersion })}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${file}.new`, file);
}

function read(file: string): number {
  const text = inState(file, () => readIfThere(file));
  try {
    const { version } = JSON.parse(text) as { version?: unknown };
    return typeof version === 'number' ? version : 1;
  } catch {
    return 1;
  }
}
