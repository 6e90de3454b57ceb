import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { git } from '../support/plain-git.ts';
import type { Places } from './world.ts';

/** Git's own number of a content, wherever the content lies. */
export const numberOf = (content: Buffer): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/**
 * Every content that somebody could still ask for: in the folders, in staging, in every ref here and on GitLab with its
 * whole history, and in the stores of large files; each with one place where it was found.
 */
export function contentsOf({ state, sites, gitlab, large }: Places & { large: Iterable<Buffer> }): Map<string, string> {
  const found = new Map<string, string>();
  for (const dir of [sites, join(state, 'large')])
    for (const path of filesBelow(dir)) found.set(numberOf(readFileSync(path)), path);
  for (const content of large) found.set(numberOf(content), 'GitLab’s large files');
  for (const dir of [join(state, 'repositories'), join(gitlab, 'repositories')]) {
    for (const name of readdirSync(dir)) {
      if (!name.endsWith('.git')) continue;
      for (const oid of blobsOf(join(dir, name))) found.set(oid, join(dir, name));
    }
  }
  return found;
}

function blobsOf(repository: string): string[] {
  const format = ['--batch-check=%(objectname) %(objecttype)', '--batch-all-objects'];
  const blobs = new Set(
    git(repository, 'cat-file', ...format)
      .split('\n')
      .filter((row) => row.endsWith(' blob'))
      .map((row) => row.slice(0, row.indexOf(' '))),
  );
  // Only what a ref leads to: all else may go with the next packing.
  return git(repository, 'rev-list', '--objects', '--all')
    .split('\n')
    .map((row) => row.split(' ')[0] ?? '')
    .filter((oid) => blobs.has(oid));
}

export function filesBelow(dir: string): string[] {
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((path) => join(dir, path))
    .filter((path) => lstatSync(path).isFile());
}
