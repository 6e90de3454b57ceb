import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type AttributeValue, createAttribute } from '../model/attributes.ts';
import { type Oid, type SitePath, parentOf } from '../model/tree.ts';
import type { Above } from '../sync/ports.ts';
import type { Objects } from './objects.ts';
import { entryAt } from './tree-diff.ts';

/** Longer files of attributes say nothing, as everywhere else. */
const attributesBytes = 262_144;

/**
 * What `.gitattributes` say about merging the given paths, as lines for `info/attributes`: git reads attributes from a work
 * tree or an index, and there is none here. Only `-merge` (also as `binary`) and `merge=union` make a difference; other
 * values name drivers, which nobody may configure.
 */
export async function mergeAttributes(
  objects: Objects,
  { tree, above }: { readonly tree: Oid; readonly above: Above },
  paths: readonly SitePath[],
): Promise<readonly string[]> {
  const texts = await attributesOf(objects, tree, paths);
  const inSite = (path: string): string => (above.site === '' ? path : `${above.site}/${path}`);
  const read = (folder: string): string | undefined => {
    if (above.site === '') return texts.get(folder);
    return folder === above.site || folder.startsWith(`${above.site}/`)
      ? texts.get(folder.slice(above.site.length + 1))
      : above.texts.get(folder);
  };
  const mergeOf = createAttribute(read, 'merge');
  return paths.flatMap((path) => lineOf(path, mergeOf(inSite(path) as SitePath)));
}

function lineOf(path: SitePath, value: AttributeValue): readonly string[] {
  if (value === false) return [`${patternOf(path)} -merge\n`];
  return value === 'union' ? [`${patternOf(path)} merge=union\n`] : [];
}

/** Exactly this path: nothing of it is a pattern, and it stands in quotes as C has them. */
function patternOf(path: SitePath): string {
  const literal = `/${path.replace(/[\\*?[]/g, '\\$&')}`;
  const quoted = literal.replace(
    /["\\\x00-\x1f\x7f]/g,
    (byte) => `\\${/["\\]/.test(byte) ? byte : byte.charCodeAt(0).toString(8).padStart(3, '0')}`,
  );
  return `"${quoted}"`;
}

/** The texts of all `.gitattributes` that concern these paths, by folder. */
async function attributesOf(objects: Objects, tree: Oid, paths: readonly SitePath[]): Promise<Map<string, string>> {
  const folders = new Set<string>(['']);
  for (const path of paths)
    for (let at: string = parentOf(path); at !== '' && !folders.has(at); at = parentOf(at)) folders.add(at);
  const texts = new Map<string, string>();
  for (const folder of folders) {
    const entry = await entryAt(objects, tree, folder === '' ? '.gitattributes' : `${folder}/.gitattributes`);
    if (!entry || !['100644', '100755'].includes(entry.mode)) continue;
    const [info] = await objects.infos([entry.oid]);
    if (!info || info.size > attributesBytes) continue;
    texts.set(folder, (await objects.read(entry.oid, attributesBytes)).data.toString('latin1'));
  }
  return texts;
}

/** Runs a merge while git takes these lines for the repository's attributes. */
export async function withAttributes<T>(gitDir: string, lines: readonly string[], act: () => Promise<T>): Promise<T> {
  const file = join(gitDir, 'info', 'attributes');
  // Left by a merge that a crash cut: it is about other paths.
  await rm(file, { force: true });
  if (lines.length === 0) return act();
  await mkdir(join(gitDir, 'info'), { recursive: true });
  await writeFile(file, lines.join(''), 'latin1');
  try {
    return await act();
  } finally {
    await rm(file, { force: true });
  }
}
