import { builtInRuleFor } from '../model/built-in-rules.ts';
import type { RuleSource } from '../model/site.ts';
import { type SitePath, parentOf, pathFromText } from '../model/tree.ts';
import { type Casing, type PathKind, PatternList } from './gitignore.ts';

/** Which rule keeps an untracked path from travelling. Tracked paths stay tracked whatever the rules say. */
export interface Caught {
  readonly by: RuleSource;
  readonly rule: string;
  /** Of a built-in rule. */
  readonly id?: string;
  /** Of a `.gitignore`: the folder it lies in. */
  readonly folder?: string;
}

export interface IgnoreRules {
  /**
   * Told of every `.gitignore` met on the way down, before the paths beside and below it are asked. `content`: one
   * character per byte.
   */
  learn(folder: string, content: string): void;
  caught(path: SitePath, kind: PathKind): Caught | undefined;
}

export interface RuleSettings {
  readonly ignore: readonly string[];
  readonly allow: readonly string[];
  readonly builtInRulesOff?: readonly string[];
  /** The disk takes names that differ only in case for the same: then rules do so too, as git's do there. */
  readonly folds?: boolean;
}

/** Names that usually hold a secret. They stay where they are until somebody allows them by path. */
export const secretFiles: readonly string[] = [
  '.env',
  '.env.*',
  '!.env.example',
  '!.env.sample',
  '!.env.dist',
  '*.pem',
  '*.key',
  '*.p12',
  '*.pfx',
  '*.jks',
  'id_rsa',
  'id_dsa',
  'id_ecdsa',
  'id_ed25519',
  'wp-config.php',
  '.htpasswd',
  '.netrc',
  '.pgpass',
  '.my.cnf',
  '*.sql',
  '*.sql.gz',
  '*.sql.bz2',
  '*.sql.zip',
  '*.dump',
  '*.kdbx',
  '.npmrc',
  '.aws/',
  '.ssh/',
];

/**
 * Counts up when rules that nobody wrote for a site change, so that paths could be committed which were left out before.
 * 2: `.gitignore` by case, narrow built-in rules.
 */
export const rulesVersion = 2;

const secrets = secretFiles.join('\n');

/**
 * Rules for one scan of a folder: read anew each time, so a changed `.gitignore` counts at once. What people write is read
 * as git reads it on this disk; a secret is one in any spelling.
 */
export function createIgnoreRules(site: RuleSettings): IgnoreRules {
  const casing = site.folds ? 'folded' : 'exact';
  const secret = new PatternList(secrets, 'blind');
  const own = listOf(site.ignore, casing);
  const allow = listOf(site.allow, casing);
  const nested = new NestedRules();
  return {
    learn(folder, content) {
      nested.learn(folder, new PatternList(content, casing));
    },
    caught(path, kind) {
      const allowed = allow.ignores(path, kind) !== undefined;
      return (
        (allowed ? undefined : told('secret', secret.ignores(path, kind))) ??
        builtIn(path, kind, site.builtInRulesOff) ??
        told('site', own.ignores(path, kind)) ??
        told('gitignore', nested.ignores(path, kind))
      );
    },
  };
}

/** Of the paths, those that a tree's `.gitignore` files ignore, by folder; one character per byte. */
export function ignoredBy(
  gitignores: readonly (readonly [folder: string, content: string])[],
  paths: readonly SitePath[],
  folds: boolean,
): ReadonlySet<SitePath> {
  const rules = new NestedRules();
  for (const [folder, content] of gitignores) rules.learn(folder, new PatternList(content, folds ? 'folded' : 'exact'));
  return new Set(paths.filter((path) => rules.ignores(path, 'file') !== undefined));
}

/** Whether a path is one of those that a person allowed by name or pattern. */
export function isAllowed(path: SitePath, { allow, folds }: Pick<RuleSettings, 'allow' | 'folds'>): boolean {
  return listOf(allow, folds ? 'folded' : 'exact').ignores(path, 'file') !== undefined;
}

function listOf(lines: readonly string[], casing: Casing): PatternList {
  return new PatternList(pathFromText(lines.join('\n')), casing);
}

function told(by: RuleSource, found: FolderPattern | undefined): Caught | undefined {
  if (!found) return undefined;
  const rule = Buffer.from(found.line, 'latin1').toString('utf8');
  return { by, rule, ...(found.folder === undefined ? {} : { folder: found.folder }) };
}

function builtIn(path: SitePath, kind: PathKind, off?: readonly string[]): Caught | undefined {
  const found = builtInRuleFor(path, kind, off);
  return found && { by: 'built-in', ...found };
}

/** A line, and the folder of the file it stands in. */
interface FolderPattern {
  readonly line: string;
  readonly folder?: string;
}

/** The `.gitignore` files of a tree. The deepest that has an opinion wins; below an ignored folder none is asked. */
export class NestedRules {
  readonly #lists = new Map<string, PatternList>();
  readonly #folders = new Map<string, FolderPattern | undefined>();

  learn(folder: string, list: PatternList): void {
    this.#lists.set(folder, list);
    // What was decided without these rules may be wrong now.
    this.#folders.clear();
  }

  ignores(path: string, kind: PathKind): FolderPattern | undefined {
    if (kind === 'file') return this.#ignoresFolder(parentOf(path)) ?? this.#decides(path, kind);
    return this.#ignoresFolder(path);
  }

  #ignoresFolder(folder: string): FolderPattern | undefined {
    if (folder === '') return undefined;
    if (this.#folders.has(folder)) return this.#folders.get(folder);
    const found = this.#ignoresFolder(parentOf(folder)) ?? this.#decides(folder, 'directory');
    this.#folders.set(folder, found);
    return found;
  }

  #decides(path: string, kind: PathKind): FolderPattern | undefined {
    for (let folder = parentOf(path); ; folder = parentOf(folder)) {
      const found = this.#lists.get(folder)?.decides(folder === '' ? path : path.slice(folder.length + 1), kind);
      if (found) return found.negated ? undefined : { line: found.line, folder };
      if (folder === '') return undefined;
    }
  }
}
