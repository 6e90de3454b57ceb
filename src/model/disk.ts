/** How an existing file is replaced: from the strongest guarantee to the weakest. `docs/engine.md` says what each holds. */
export type ReplaceRung = 'exchange' | 'link' | 'no-replace' | 'rename';
/** How a new file gets its name. */
export type CreateRung = 'link' | 'no-replace' | 'in-place';
/** How a file is removed. */
export type RemoveRung = 'capture' | 'rename';

/** What a disk can do, as it was tried there. A call that succeeds without doing what it should counts as missing. */
export interface Abilities {
  /** `renameat2` with RENAME_EXCHANGE. */
  readonly exchange: boolean;
  /** `renameat2` with RENAME_NOREPLACE. */
  readonly noReplace: boolean;
  readonly link: boolean;
  readonly chmod: boolean;
  readonly chown: boolean;
  /** Names that differ only in case, or only in how accents are composed, are one and the same. */
  readonly folding: { readonly case: boolean; readonly form: boolean };
  /** The step in which times of files move, in ns, as far as it can be told. */
  readonly timeStepNs: number;
}

export function replaceRung({
  exchange,
  link,
  noReplace,
}: Pick<Abilities, 'exchange' | 'link' | 'noReplace'>): ReplaceRung {
  if (exchange) return 'exchange';
  if (link) return 'link';
  return noReplace ? 'no-replace' : 'rename';
}

export function createRung({ link, noReplace }: Pick<Abilities, 'link' | 'noReplace'>): CreateRung {
  if (link) return 'link';
  return noReplace ? 'no-replace' : 'in-place';
}

/** What was not expected goes back without replacing anything, or it does not. */
export function removeRung({ link, noReplace }: Pick<Abilities, 'link' | 'noReplace'>): RemoveRung {
  return link || noReplace ? 'capture' : 'rename';
}

/** One mount of a site, as pages show it. */
export interface DiskFacts {
  /** The topmost folder of the site on it, as text; `''`: the site's own folder. */
  readonly at: string;
  /** The file system's type, as the kernel names it; `''` where it does not tell. */
  readonly type: string;
  readonly replace: ReplaceRung;
  readonly create: CreateRung;
  readonly remove: RemoveRung;
  readonly modes: boolean;
  readonly owners: boolean;
  readonly foldsCase: boolean;
  readonly timeStepNs: number;
  /** Where new files wait: outside the site's folder, or in it. */
  readonly staging: 'outside' | 'inside';
}

/** What holds on a disk, in sentences; the first is how files are replaced. */
export function diskWords(disk: DiskFacts): readonly string[] {
  return [
    replaceWords[disk.replace],
    ...(disk.create === 'in-place' ? ['A new file is visible while it is being written.'] : []),
    ...(disk.modes ? [] : ['The disk decides the permissions of files. Mooring cannot set them.']),
    ...(disk.owners ? [] : ['The disk decides who owns files. Mooring cannot set it.']),
    ...(disk.foldsCase ? ['Names that differ only in upper and lower case are one file.'] : []),
  ];
}

const replaceWords: Readonly<Record<ReplaceRung, string>> = {
  exchange: 'Files are replaced in one step, and no save is lost.',
  link: 'No save is lost. A file’s name is missing for microseconds while the file is replaced.',
  'no-replace': 'No save is lost. A file’s name is missing for microseconds while the file is replaced.',
  rename:
    'This disk cannot protect a save made in the instant in which a file is replaced. Existing files are replaced only if the site’s settings allow it.',
};
