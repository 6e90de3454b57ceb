/** What git holds in place of a large file: which content it stands for. */
export interface Pointer {
  /** SHA-256 of the content, hex. */
  readonly sha: string;
  /** Bytes. */
  readonly size: number;
}

/** What came of copying a content. `missing`: why it is not given, in GitLab's words where it has any. */
export type Copied = 'done' | 'damaged' | { readonly missing: string };

const version = 'version https://git-lfs.github.com/spec/v1';

/** A pointer is a few lines; whatever is longer is none. */
export const pointerLimit = 1_024;

/** Whether a content of so many bytes can be a pointer. */
export const mayPoint = (size: number): boolean => size >= version.length && size < pointerLimit;

/** Whether a content stands in for a large file, well formed or not: showing it to visitors would be wrong. */
export function isPointer(content: Buffer): boolean {
  return content.toString('latin1', 0, version.length) === version;
}

/** The pointer in a content; undefined where it is none that can be followed. */
export function readPointer(content: Buffer): Pointer | undefined {
  if (content.length >= pointerLimit || !isPointer(content)) return undefined;
  const text = content.toString('latin1');
  const sha = /^oid sha256:([0-9a-f]{64})$/m.exec(text)?.[1];
  const size = /^size (\d{1,15})$/m.exec(text)?.[1];
  return sha === undefined || size === undefined ? undefined : { sha, size: Number(size) };
}

/** As git-lfs writes it, byte for byte: the same content has to be the same blob, whoever committed it. */
export function pointerText({ sha, size }: Pointer): string {
  return `${version}\noid sha256:${sha}\nsize ${size}\n`;
}
