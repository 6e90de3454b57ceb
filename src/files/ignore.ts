import { type SitePath, parentOf, pathFromText } from '../model/tree.ts';
import { type Casing, type Pattern, type PathKind, PatternList } from './gitignore.ts';

/** Which rule keeps an untracked path from travelling. Tracked paths stay tracked whatever the rules say. */
export interface Caught {
  readonly by: 'gitignore' | 'site' | 'editor' | 'secret';
  readonly rule: string;
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
  /** The disk takes names that differ only in case for the same: then rules do so too, as git's do there. */
  readonly folds?: boolean;
}

/** Files an editor or a download writes while it works: they are renamed or removed before anyone wants them. */
const editorFiles = [
  '*~',
  '.*.sw?',
  '4913',
  '~$*',
  '*.part',
  '*.crdownload',
  '.#*',
  '#*#',
  '*.kate-swp',
  '.goutputstream-*',
  '.~lock.*#',
  '*.tmp.*',
  '.DS_Store',
  '._*',
  'Thumbs.db',
];

/** Names that usually hold a secret. They stay where they are until somebody allows them by path. */
const secretFiles = [
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

const secrets = secretFiles.join('\n');
const editors = editorFiles.join('\n');

/**
 * Rules for one look at a folder: read anew each time, so a changed `.gitignore` counts at once. What people write is read
 * as git reads it on this disk; a secret is one in any spelling.
 */
export function createIgnoreRules(site: RuleSettings): IgnoreRules {
  const casing = site.folds ? 'folded' : 'exact';
  const editor = new PatternList(editors, 'blind');
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
        told('editor', editor.ignores(path, kind)) ??
        told('site', own.ignores(path, kind)) ??
        told('gitignore', nested.ignores(path, kind))
      );
    },
  };
}

/** Whether a path is one of those that a person allowed by name or pattern. */
export function isAllowed(path: SitePath, { allow, folds }: Pick<RuleSettings, 'allow' | 'folds'>): boolean {
  return listOf(allow, folds ? 'folded' : 'exact').ignores(path, 'file') !== undefined;
}

function listOf(lines: readonly string[], casing: Casing): PatternList {
  return new PatternList(pathFromText(lines.join('\n')), casing);
}

function told(by: Caught['by'], pattern: Pattern | undefined): Caught | undefined {
  return pattern && { by, rule: Buffer.from(pattern.line, 'latin1').toString('utf8') };
}

/** The `.gitignore` files of a tree. The deepest that has an opinion wins; below an ignored folder none is asked. */
export class NestedRules {
  readonly #lists = new Map<string, PatternList>();
  readonly #folders = new Map<string, Pattern | undefined>();

  learn(folder: string, list: PatternList): void {
    this.#lists.set(folder, list);
  }

  ignores(path: string, kind: PathKind): Pattern | undefined {
    if (kind === 'file') return this.#ignoresFolder(parentOf(path)) ?? this.#decides(path, kind);
    return this.#ignoresFolder(path);
  }

  #ignoresFolder(folder: string): Pattern | undefined {
    if (folder === '') return undefined;
    if (this.#folders.has(folder)) return this.#folders.get(folder);
    const found = this.#ignoresFolder(parentOf(folder)) ?? this.#decides(folder, 'directory');
    this.#folders.set(folder, found);
    return found;
  }

  #decides(path: string, kind: PathKind): Pattern | undefined {
    for (let folder = parentOf(path); ; folder = parentOf(folder)) {
      const found = this.#lists.get(folder)?.decides(folder === '' ? path : path.slice(folder.length + 1), kind);
      if (found) return found.negated ? undefined : found;
      if (folder === '') return undefined;
    }
  }
}
