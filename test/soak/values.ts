import { createHash } from 'node:crypto';

/**
 * Contents that describe themselves, so that a torn, mixed or invented file is recognised by itself: a line with the
 * content's name, the length of what follows and its checksum, then lines that each carry the name. No two are alike.
 */
const lineBytes = 72;

/** A content with at least so many bytes; each with the same name width and size is exactly as long. */
export function valueText(id: string, bytes = 0): string {
  const lines: string[] = [];
  const count = Math.max(1, Math.ceil(bytes / lineBytes));
  for (let n = 0; n < count; n += 1) {
    const filler = createHash('md5').update(`${id} ${n}`).digest('hex').repeat(2);
    lines.push(`${id} ${n} ${filler}`.slice(0, lineBytes - 1));
  }
  const body = `${lines.join('\n')}\n`;
  return `soak ${id} ${String(body.length).padStart(7, '0')} ${checksum(body)}\n${body}`;
}

export interface Reading {
  /** Names of the contents that are here whole. */
  readonly ids: readonly string[];
  /** What is here besides; empty: nothing. */
  readonly fault: string;
}

/** Reads a text (bytes as latin1). A file may hold several contents, one after another. */
export function readValues(text: string): Reading {
  const ids: string[] = [];
  let fault = '';
  let at = 0;
  const header = /soak (\S+) (\d{7}) ([0-9a-f]{12})\n/g;
  for (;;) {
    header.lastIndex = at;
    const found = header.exec(text);
    const end = found?.index ?? text.length;
    if (end > at) fault ||= `bytes at ${at} that belong to no content: ${JSON.stringify(text.slice(at, at + 60))}`;
    if (!found) return { ids, fault };
    const [all, id = '', length, sum] = found;
    const begin = found.index + all.length;
    const body = text.slice(begin, begin + Number(length));
    if (body.length === Number(length) && checksum(body) === sum) {
      ids.push(id);
      at = begin + body.length;
    } else {
      fault ||= `${id} is not whole`;
      at = begin;
    }
  }
}

function checksum(body: string): string {
  return createHash('sha256').update(body, 'latin1').digest('hex').slice(0, 12);
}
