import { type Oid, type SitePath, pathFromText } from './tree.ts';

/** A push GitLab would not take, in its own words. */
export interface Refusal {
  readonly commit: Oid;
  readonly text: string;
  /** Paths that came with the first push of this incident; absent where they were too many to name. */
  readonly first?: readonly SitePath[];
  /** What a person may agree to leave out, so that the rest goes on. */
  readonly leaves?: readonly { readonly path: SitePath; readonly mark: '+' | '~' | '-' }[];
}

/**
 * What a refused push was refused for, read from GitLab's own words. `content`: something in the commits; `author` and
 * `message`: who made them and what they say; `rule`: a hook whose words nobody knows; `protected` and `role`: nothing
 * in the commits, but who pushes them where.
 */
export type RefusalKind = 'content' | 'author' | 'message' | 'rule' | 'protected' | 'role';

export interface RefusalReading {
  readonly kind: RefusalKind;
  /** Paths in the repository that the words name. */
  readonly paths: readonly SitePath[];
  /** Contents that they name by their ids. */
  readonly blobs: readonly Oid[];
}

/**
 * GitLab's sentences, from its own source (`lib/gitlab/checks`, `lib/gitlab/git_access.rb` and their `ee` halves). The
 * first that fits counts, so what speaks of branches and people stands before what speaks of contents.
 */
const kinds: readonly (readonly [RefusalKind, RegExp])[] = [
  ['protected', /protected branch|not allowed to (?:force push|push into this branch|create this branch)/i],
  ['role', /not allowed to (?:push|upload) code|GitLab answered 403|Deploy token|deploy key/i],
  ['author', /(?:author|committer)(?:’s|'s)? (?:e-?mail|name|')|cannot push commits for|must be signed|GPG/i],
  ['message', /commit message/i],
  ['content', /PUSH BLOCKED: Secrets detected|Secret push protection|secret leaked in blob/i],
  [
    'content',
    /File name .+ (?:is|was) prohibited by the pattern|is larger than the allowed size|larger than .+ allowed/i,
  ],
  [
    'content',
    /blobs which exceed|exceeds? (?:the )?(?:\S+ )?(?:file )?size limit|answered 413|LFS objects? (?:is|are) missing/i,
  ],
  ['content', /The path '.+' is locked|is locked in Git LFS/i],
];

/** Where a sentence names a path. */
const namedPaths: readonly RegExp[] = [
  /File name "((?:[^"\\]|\\.)+)" (?:is|was) prohibited by the pattern/g,
  /File name ([^"\n]+?) (?:is|was) prohibited by the pattern/g,
  /File "((?:[^"\\]|\\.)+)" (?:is|was) larger than the allowed size/g,
  /The path '([^'\n]+)' is locked/g,
];

/** Secret push protection: `-- config/app.yml:12 | AWS access token`. */
const leaks = /^\s*-- (.+?):(?:\d+\b|$)/gm;
/** The size limit of an instance and an older secret push protection name contents by their ids. */
const blobRows = /(?:^- |Secret leaked in blob: )([0-9a-f]{40,64})\b/gm;

/** Never throws, whatever a server says. */
export function readRefusal(text: string): RefusalReading {
  const kind = kinds.find(([, words]) => words.test(text))?.[0] ?? 'rule';
  if (kind !== 'content') return { kind, paths: [], blobs: [] };
  const found = namedPaths.flatMap((words) => [...text.matchAll(words)].map(([, path = '']) => unquoted(path)));
  if (/secret/i.test(text) && !/secret leaked in blob/i.test(text))
    found.push(...[...text.matchAll(leaks)].map(([, path = '']) => path));
  const blobs = [...text.matchAll(blobRows)].map(([, oid]) => oid as Oid);
  return { kind, paths: [...new Set(found)].map(pathFromText), blobs: [...new Set(blobs)] };
}

/** Whether other commits may be taken where these were refused. */
export const isAboutCommits = (kind: RefusalKind): boolean => kind !== 'protected' && kind !== 'role';

/** Ruby's `inspect`, as far as paths need it. */
const unquoted = (path: string): string => path.replace(/\\(["\\#])/g, '$1');
