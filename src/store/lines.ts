import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, truncate, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode, FILE_MODE, FOLDER_MODE, syncFolder } from './durable.ts';

/** An append-only file of lines, at most two generations long. */
export interface LineFile {
  /** Adds one line (no newline in it). On disk when it resolves. */
  append(text: string, tag: string): Promise<void>;
  /** Lines newest first, those with one of these tags or all; a reading costs the lines asked for, not the file. */
  page(page: {
    limit: number;
    offset: number;
    tags?: ReadonlySet<string>;
  }): Promise<{ lines: readonly string[]; total: number }>;
  /** Removes both generations. */
  remove(): Promise<void>;
  settled(): Promise<void>;
}

interface Line {
  readonly start: number;
  readonly length: number;
  readonly tag: string;
}

/** What is known of the two files, oldest line first; built at the first use by reading them once. */
interface Index {
  older: Line[];
  present: Line[];
  bytes: number;
}

const NEWLINE = 0x0a;

/**
 * `maxBytes`: the file is turned over when it would grow past this; one older generation stays.
 * `tagOf`: what a line found on disk is about; undefined: it is no line of ours and is passed over.
 */
export function lineFile(
  path: string,
  options: { maxBytes: number; tagOf: (text: string) => string | undefined },
): LineFile {
  const { maxBytes, tagOf } = options;
  const olderPath = `${path}.1`;
  let index: Promise<Index> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** One at a time, so that a page never sees a file that is being turned over. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work, work);
    last = turn.catch(() => undefined);
    return turn;
  }

  async function load(): Promise<Index> {
    const older = await scan(olderPath, tagOf);
    const present = await scan(path, tagOf);
    // A line that a kill cut off: the next one must not be glued to it.
    if (present.torn) await truncate(path, present.bytes);
    return { older: older.lines, present: present.lines, bytes: present.bytes };
  }

  function known(): Promise<Index> {
    index ??= load().catch((error: unknown) => {
      index = undefined;
      throw error;
    });
    return index;
  }

  async function turnOver(at: Index): Promise<void> {
    await rename(path, olderPath);
    at.older = at.present;
    at.present = [];
    at.bytes = 0;
  }

  async function append(text: string, tag: string): Promise<void> {
    const at = await known();
    const line = Buffer.from(`${text}\n`);
    if (at.bytes > 0 && at.bytes + line.length > maxBytes) await turnOver(at);
    await mkdir(dirname(path), { recursive: true, mode: FOLDER_MODE });
    const file = await open(path, 'a', FILE_MODE);
    try {
      await file.appendFile(line);
      await file.datasync();
    } catch (error) {
      // Half a line may be there (disk full): the next use looks at the file again.
      index = undefined;
      throw error;
    } finally {
      await file.close();
    }
    if (at.bytes === 0) await syncFolder(dirname(path));
    at.present.push({ start: at.bytes, length: line.length - 1, tag });
    at.bytes += line.length;
  }

  async function page(wanted: {
    limit: number;
    offset: number;
    tags?: ReadonlySet<string>;
  }): Promise<{ lines: string[]; total: number }> {
    const at = await known();
    const rows = [
      ...at.older.map((line) => ({ line, from: olderPath })),
      ...at.present.map((line) => ({ line, from: path })),
    ]
      .filter(({ line }) => wanted.tags === undefined || wanted.tags.has(line.tag))
      .reverse();
    const chosen = rows.slice(wanted.offset, wanted.offset + wanted.limit);
    return { lines: await readLines(chosen), total: rows.length };
  }

  return {
    append: (text, tag) => inTurn(() => append(text, tag)),
    page: (wanted) => inTurn(() => page(wanted)),
    remove: () =>
      inTurn(async () => {
        await rm(path, { force: true });
        await rm(olderPath, { force: true });
        index = undefined;
      }),
    settled: async () => {
      await last;
    },
  };
}

async function readLines(rows: readonly { line: Line; from: string }[]): Promise<string[]> {
  const files = new Map<string, FileHandle>();
  try {
    const lines: string[] = [];
    for (const { line, from } of rows) {
      const file = files.get(from) ?? (await open(from, 'r'));
      files.set(from, file);
      const buffer = Buffer.alloc(line.length);
      await file.read(buffer, 0, line.length, line.start);
      lines.push(buffer.toString('utf8'));
    }
    return lines;
  } finally {
    for (const file of files.values()) await file.close();
  }
}

/** `bytes`: up to the last newline; `torn`: there is something after it. */
async function scan(
  path: string,
  tagOf: (text: string) => string | undefined,
): Promise<{ lines: Line[]; bytes: number; torn: boolean }> {
  const lines: Line[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let start = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      let data = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE)) {
        const tag = tagOf(data.toString('utf8', 0, end));
        if (tag !== undefined) lines.push({ start, length: end, tag });
        start += end + 1;
        data = data.subarray(end + 1);
      }
      rest = data;
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
  return { lines, bytes: start, torn: rest.length > 0 };
}
