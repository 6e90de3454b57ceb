import { constants } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import { isControlFile, unsafePath } from '../model/path-safety.ts';
import type { PathVerdict } from '../model/settings.ts';
import { type SitePath, pathBytes } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import { realFs } from './disk.ts';
import { foldingSeen } from './folding.ts';
import { type RuleSettings, createIgnoreRules, isAllowed } from './ignore.ts';
import { DirectoryHandles } from './directory-handles.ts';

/** Larger ones are no rules that people wrote. */
const mostBytes = 1024 * 1024;

/**
 * Which rule catches a path, for the person who wonders. Reads the `.gitignore` files on the way to it, follows no link
 * and throws nothing: a folder that is not there has no rules.
 */
export async function explainPath(
  site: Omit<RuleSettings, 'folds'> & { readonly folder: string },
  path: SitePath,
  fs: Fs = realFs(),
): Promise<PathVerdict> {
  if (unsafePath(path) !== undefined) return { kind: 'bad-name' };
  const folds = foldsCase(fs, site.folder);
  const rules = createIgnoreRules({ ...site, folds });
  const names = path.split('/');
  let exists = true;
  for (let depth = 0; depth < names.length; depth += 1) {
    const folder = names.slice(0, depth).join('/');
    exists &&= await isFolder(at(site.folder, folder));
    if (exists) rules.learn(folder, await readRules(at(site.folder, folder ? `${folder}/.gitignore` : '.gitignore')));
    const here = names.slice(0, depth + 1).join('/') as SitePath;
    const caught = rules.caught(here, depth + 1 < names.length ? 'directory' : 'file');
    if (caught) return { kind: 'caught', ...caught, at: here };
  }
  if (isControlFile(path) && !isAllowed(path, { allow: site.allow, folds })) return { kind: 'control-file' };
  return { kind: 'synced' };
}

function foldsCase(fs: Fs, root: string): boolean {
  try {
    const handles = new DirectoryHandles(fs, root);
    try {
      return foldingSeen(fs, handles.root).case;
    } finally {
      handles.close();
    }
  } catch {
    return false;
  }
}

function at(root: string, path: string): Buffer {
  return Buffer.concat([Buffer.from(`${root}/`), pathBytes(path as SitePath)]);
}

async function isFolder(path: Buffer): Promise<boolean> {
  return lstat(path).then(
    (stat) => stat.isDirectory(),
    () => false,
  );
}

async function readRules(path: Buffer): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!file) return '';
  try {
    const stat = await file.stat();
    return stat.isFile() && stat.size <= mostBytes ? await file.readFile('latin1') : '';
  } catch {
    return '';
  } finally {
    await file.close();
  }
}
