import { isGitignore } from '../model/path-safety.ts';
import { parentOf } from '../model/tree.ts';
import type { Repository, TreeFile } from './ports.ts';

/** The rules of a tree, by folder; one character per byte. */
export async function gitignoresOf(
  repository: Repository,
  theirs: readonly TreeFile[],
): Promise<[folder: string, content: string][]> {
  const files = theirs
    .filter(({ path, mode, size }) => isGitignore(path) && mode.startsWith('100') && size <= 262_144)
    .slice(0, 1_000);
  const rules: [string, string][] = [];
  for await (const { chunks } of repository.blobs(files.map(({ oid }) => oid))) {
    const bytes: Buffer[] = [];
    for await (const chunk of chunks) bytes.push(Buffer.from(chunk));
    rules.push([parentOf((files[rules.length] as TreeFile).path), Buffer.concat(bytes).toString('latin1')]);
  }
  return rules;
}
