import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A rule of a repository that looks at each new commit, as GitLab's push rules do, and refuses those with a path that
 * fits the pattern. `words` are what it says; `$path` in them stands for that path.
 */
export function forbid(bare: string, pattern: string, words = 'forbidden content'): void {
  installHook(bare, [
    'while read old new ref; do',
    '  for commit in $(git rev-list "$new" --not --all); do',
    `    path=$(git ls-tree -r --name-only "$commit" | grep -m1 -E '${pattern}') && {`,
    `      echo "${words.replaceAll('"', '\\"')}" >&2`,
    '      exit 1',
    '    }',
    '  done',
    'done',
    'exit 0',
  ]);
}

export function installHook(bare: string, lines: readonly string[]): void {
  const hook = join(bare, 'hooks', 'pre-receive');
  mkdirSync(join(bare, 'hooks'), { recursive: true });
  writeFileSync(hook, ['#!/bin/sh', ...lines, ''].join('\n'));
  chmodSync(hook, 0o755);
}

export const allow = (bare: string): void => rmSync(join(bare, 'hooks', 'pre-receive'), { force: true });

/** What GitLab says of a file name that a push rule prohibits. */
export const prohibited = 'GitLab: File name $path was prohibited by the pattern "secret".';
