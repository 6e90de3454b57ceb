import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { rulesVersion } from './ignore.ts';

/**
 * By which rules a site's folder was looked at so far. A site without the file was connected before there were versions.
 * One that is lost asks a person once more than needed.
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
    const fd = openSync(`${this.#file}.new`, 'w', 0o600);
    try {
      writeSync(fd, `${JSON.stringify({ version: rulesVersion })}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${this.#file}.new`, this.#file);
    this.#isCurrent = true;
  }
}

function read(file: string): number {
  if (!existsSync(file)) return 1;
  try {
    const { version } = JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown };
    return typeof version === 'number' ? version : 1;
  } catch {
    return 1;
  }
}
