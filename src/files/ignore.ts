import ignore, { type Ignore } from 'ignore';
import { type SitePath, parentOf, pathBytes } from '../model/tree.ts';

/** Which rule keeps an untracked path from travelling. Tracked paths stay tracked whatever the rules say. */
export interface Caught {
  readonly by: 'gitignore' | 'site' | 'editor' | 'secret';
  readonly rule: string;
}

export interface IgnoreRules {
  /** Told of every `.gitignore` met on the way down, before the paths beside and below it are asked. */
  learn(folder: string, content: string): void;
  caught(path: SitePath, kind: 'file' | 'directory'): Caught | undefined;
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

/** Rules for one look at a folder: read anew each time, so a changed `.gitignore` counts at once. */
export function createIgnoreRules(site: { ignore: readonly string[]; allow: readonly string[] }): IgnoreRules {
  const editor = ignore().add(editorFiles);
  const secret = ignore().add(secretFiles);
  const own = ignore().add(site.ignore.join('\n'));
  const allow = ignore().add(site.allow.join('\n'));
  const learned = new Map<string, Ignore>();
  const ask = (rules: Ignore, path: string, by: Caught['by']): Caught | undefined => {
    const { ignored, rule } = rules.test(path) as { ignored: boolean; rule?: { pattern: string } };
    return ignored ? { by, rule: rule?.pattern ?? '' } : undefined;
  };
  return {
    learn(folder, content) {
      learned.set(folder, ignore().add(content));
    },
    caught(path, kind) {
      const text = asText(path) + (kind === 'directory' ? '/' : '');
      const allowed = allow.ignores(text);
      return (
        (allowed ? undefined : ask(secret, text, 'secret')) ??
        ask(editor, text, 'editor') ??
        ask(own, text, 'site') ??
        byGitignore(learned, path, text)
      );
    },
  };
}

/** The deepest `.gitignore` that has an opinion wins, as in git. */
function byGitignore(learned: ReadonlyMap<string, Ignore>, path: SitePath, text: string): Caught | undefined {
  for (let folder = parentOf(path); ; folder = parentOf(folder)) {
    const rules = learned.get(folder);
    if (rules) {
      const below = folder === '' ? text : text.slice(asText(folder as SitePath).length + 1);
      const { ignored, unignored, rule } = rules.test(below) as {
        ignored: boolean;
        unignored: boolean;
        rule?: { pattern: string };
      };
      if (ignored) return { by: 'gitignore', rule: rule?.pattern ?? '' };
      if (unignored) return undefined;
    }
    if (folder === '') return undefined;
  }
}

/** The rules speak text; bytes that are none never match a rule by accident. */
function asText(path: SitePath): string {
  return pathBytes(path).toString('utf8');
}
