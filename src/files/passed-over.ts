import { type SitePath, parentOf } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import { DirectoryHandles, foldersTo } from './directory-handles.ts';
import { isAbsent, unlessErrno } from './errno.ts';
import { type IgnoreRules, type RuleSettings, createIgnoreRules } from './ignore.ts';
import { readText } from './scan.ts';

export interface PassedOverTools {
  readonly fs: Fs;
  readonly root: string;
  readonly rules: () => RuleSettings;
  readonly tracked: () => Iterable<SitePath>;
}

/**
 * Folders that no scan enters, since they are ignored with everything in them: watching them would cost a watch for each
 * and a call for each write. What is read here is kept until `forget`.
 */
export class PassedOver {
  readonly #t: PassedOverTools;
  #rules: IgnoreRules | undefined;
  #trackedFolders: ReadonlySet<string> | undefined;
  readonly #learned = new Set<string>();

  constructor(tools: PassedOverTools) {
    this.#t = tools;
  }

  forget(): void {
    this.#rules = undefined;
    this.#trackedFolders = undefined;
    this.#learned.clear();
  }

  /** Whether a folder is passed over. Never, where that cannot be told. */
  has(folder: SitePath): boolean {
    return unlessErrno(() => this.#isLeft(folder)) ?? false;
  }

  #isLeft(folder: SitePath): boolean {
    this.#trackedFolders ??= foldersOf(this.#t.tracked());
    if (this.#trackedFolders.has(folder)) return false;
    const rules = (this.#rules ??= createIgnoreRules(this.#t.rules()));
    const unknown = ['', ...foldersTo(parentOf(folder))].filter((each) => !this.#learned.has(each));
    if (unknown.length > 0) this.#learn(rules, unknown);
    return rules.caught(folder, 'directory') !== undefined;
  }

  #learn(rules: IgnoreRules, folders: readonly string[]): void {
    const handles = new DirectoryHandles(this.#t.fs, this.#t.root);
    try {
      for (const folder of folders) {
        rules.learn(folder, gitignoreIn(this.#t.fs, handles, folder));
        this.#learned.add(folder);
      }
    } finally {
      handles.close();
    }
  }
}

function gitignoreIn(fs: Fs, handles: DirectoryHandles, folder: string): string {
  try {
    return readText(fs, handles, folder, '.gitignore') ?? '';
  } catch (error) {
    if (isAbsent(error)) return '';
    throw error;
  }
}

function foldersOf(paths: Iterable<SitePath>): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const path of paths) {
    for (let folder = parentOf(path); folder !== '' && !folders.has(folder); folder = parentOf(folder)) {
      folders.add(folder);
    }
  }
  return folders;
}
