/** What a directory contains, in git's terms. Paths are bytes: Linux and git both allow names that are no valid text. */

/**
 * A path relative to the site's root, with `/` between components, never empty, never absolute.
 * One character per byte (latin1): `é` in UTF-8 is two characters here. This keeps every name that a disk or a
 * repository can hold, sorts as git sorts, and works as a Map key. Show it with {@link displayPath}.
 */
export type SitePath = string & { readonly __brand: 'SitePath' };

/** Hex object id of a blob, tree or commit: 40 digits (64 in SHA-256 repositories). */
export type Oid = string & { readonly __brand: 'Oid' };

/** Git's four kinds of leaf: file, executable file, symbolic link, submodule. */
export type Mode = '100644' | '100755' | '120000' | '160000';

/** One leaf of a tree. */
export interface Entry {
  readonly mode: Mode;
  readonly oid: Oid;
}

/** Whether an entry is a symbolic link: its blob is the target, and the same bytes in a file are something else. */
export const isLink = (entry: Pick<Entry, 'mode'> | undefined): boolean => entry?.mode === '120000';

/** Whether two entries have the same content, whatever a file may do. */
export function sameContent(a: Entry | undefined, b: Entry | undefined): boolean {
  return a?.oid === b?.oid && isLink(a) === isLink(b);
}

/** A path and what it was and is; `before` absent: added, `after` absent: removed. */
export interface Change {
  readonly path: SitePath;
  readonly before?: Entry;
  readonly after?: Entry;
}

/** How many paths a step adds, changes and removes. */
export interface Tally {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

export const sitePath = (bytes: Buffer): SitePath => bytes.toString('latin1') as SitePath;
export const pathBytes = (path: SitePath): Buffer => Buffer.from(path, 'latin1');

/** The path that ordinary text names, as the bytes UTF-8 gives it. */
export const pathFromText = (text: string): SitePath => Buffer.from(text, 'utf8').toString('latin1') as SitePath;

/**
 * The path for people: UTF-8 where it is valid, `\xNN` for other bytes, and escapes for control characters and for
 * the marks that reverse the direction of text, so that a hostile name cannot pretend to be another.
 */
export function displayPath(path: SitePath): string {
  const bytes = pathBytes(path);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    text = [...bytes]
      .map((b) => (b < 0x80 ? String.fromCharCode(b) : `\\x${b.toString(16).padStart(2, '0')}`))
      .join('');
  }
  return escapeControls(text);
}

/** As {@link escapeControls}, for text of several lines: they stay lines. */
export const escapeLines = (text: string): string => text.split('\n').map(escapeControls).join('\n').trimEnd();

/** Control, format and direction characters made visible; the rest as it is. */
export function escapeControls(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => {
    const code = c.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}

/** Counts a list of changes. */
export function tally(changes: Iterable<Change>): Tally {
  let added = 0;
  let changed = 0;
  let removed = 0;
  for (const { before, after } of changes) {
    if (!before) added += 1;
    else if (!after) removed += 1;
    else changed += 1;
  }
  return { added, changed, removed };
}

/** `+` added, `~` changed, `-` removed. */
export function markOf({ before, after }: Pick<Change, 'before' | 'after'>): '+' | '~' | '-' {
  if (!before) return '+';
  return after ? '~' : '-';
}

/** The folder a path lies in; `''` for the root. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

const shownLength = 160;

/** A text that fits into a line or two: a longer one is cut in the middle, where a path says least. */
export function shortened(text: string): string {
  if (text.length <= shownLength) return text;
  const characters = Array.from(text);
  return `${characters.slice(0, 90).join('')}…${characters.slice(-60).join('')}`;
}
