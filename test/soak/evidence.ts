import { spawn } from 'node:child_process';
import { folderFiles } from './oracle.ts';
import { gitAsync, environment } from '../support/plain-git.ts';
import { readValues } from './values.ts';

/**
 * Which contents a repository's refs reach. Objects never change, so each is read once however often it is asked: a
 * soak asks many times about the same history.
 */
export class Reach {
  readonly #dir: string;
  readonly #known = new Map<string, readonly string[]>();

  constructor(dir: string) {
    this.#dir = dir;
  }

  async ids(): Promise<Set<string>> {
    const rows = (await gitAsync(this.#dir, 'rev-list', '--all', '--objects')).split('\n');
    const oids = rows.map((row) => row.slice(0, 40)).filter(Boolean);
    const fresh = oids.filter((oid) => !this.#known.has(oid));
    for (let at = 0; at < fresh.length; at += 2_000) await this.#read(fresh.slice(at, at + 2_000));
    return new Set(oids.flatMap((oid) => this.#known.get(oid) ?? []));
  }

  async #read(oids: readonly string[]): Promise<void> {
    const out = await batch(this.#dir, oids);
    let at = 0;
    for (const oid of oids) {
      const end = out.indexOf(10, at);
      const [, type, size = '0'] = out.toString('latin1', at, end).split(' ');
      const begin = end + 1;
      this.#known.set(oid, type === 'blob' ? readValues(out.toString('latin1', begin, begin + Number(size))).ids : []);
      at = begin + Number(size) + 1;
    }
  }
}

function batch(dir: string, oids: readonly string[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', ['cat-file', '--batch'], { cwd: dir, env: environment });
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    child.once('error', reject);
    child.once('close', (code) => (code === 0 ? resolve(Buffer.concat(chunks)) : reject(new Error(`git: ${code}`))));
    child.stdin.end(`${oids.join('\n')}\n`);
  });
}

/** Files of the folder that are not one content whole, or several one after another. */
export function tornFiles(folder: string): string[] {
  const faults: string[] = [];
  for (const [path, text] of folderFiles(folder)) {
    const { ids, fault } = readValues(text);
    const several = ids.length > 1 && !path.endsWith('.md');
    if (fault || several || ids.length === 0) faults.push(`${path}: ${fault || `${ids.length} contents`}`);
  }
  return faults;
}

/** Names of all contents in the folder, what waits beside the files left out. */
export function liveIds(folder: string): Set<string> {
  return new Set([...folderFiles(folder).values()].flatMap((text) => readValues(text).ids));
}
