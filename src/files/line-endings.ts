import { type AttributeValue, type ReadAttributes, createAttribute } from '../model/attributes.ts';
import type { SitePath } from '../model/tree.ts';

/** What `.gitattributes` say of a path's line endings in the repository. `auto`: as `text`, if it looks like a text. */
export type TextRule = 'text' | 'auto' | 'none';

/** By `text` and `eol`, as git decides for a file that is added. */
export function createTextRule(read: ReadAttributes): (path: SitePath) => TextRule {
  const [text, eol] = [createAttribute(read, 'text'), createAttribute(read, 'eol')];
  return (path) => {
    const said: AttributeValue = text(path);
    if (said === false) return 'none';
    if (said === true || said === 'input') return 'text';
    if (said === 'auto') return 'auto';
    return ['lf', 'crlf'].includes(String(eol(path))) ? 'text' : 'none';
  };
}

const [lf, cr] = [10, 13];

/**
 * A content with LF for each CRLF. `same`: it has no CRLF. `mixed`: it has lines of both kinds, so that it could not be
 * made again from the result.
 */
export function withLf(content: Buffer): Buffer | 'same' | 'mixed' {
  if (!content.includes('\r\n')) return 'same';
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = content.indexOf(lf); at !== -1; at = content.indexOf(lf, at + 1)) {
    if (at === 0 || content[at - 1] !== cr) return 'mixed';
    parts.push(content.subarray(from, at - 1));
    from = at;
  }
  parts.push(content.subarray(from));
  return Buffer.concat(parts);
}

/** Whether git takes a content for a text where `.gitattributes` leave that to it. */
export function looksLikeText(content: Buffer): boolean {
  let [printable, other] = [0, 0];
  for (let at = 0; at < content.length; at += 1) {
    const byte = content[at] as number;
    if (byte === 0 || (byte === cr && content[at + 1] !== lf)) return false;
    if (byte === lf || byte === cr) continue;
    if (byte === 127 || (byte < 32 && !printableControls.has(byte))) other += 1;
    else printable += 1;
  }
  // An old end-of-file mark is no part of the text.
  if (content.at(-1) === 26) other -= 1;
  return printable >> 7 >= other;
}

/** Backspace, tab, escape and form feed. */
const printableControls = new Set([8, 9, 27, 12]);
