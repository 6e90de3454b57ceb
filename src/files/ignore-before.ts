import ignore, { type Ignore } from 'ignore';
import { type SitePath, parentOf, pathBytes } from '../model/tree.ts';
import { secretFiles } from './ignore.ts';

/**
 * The rules as they were before `rulesVersion` 2: by the npm package `ignore`, without regard to case, and with patterns
 * for editors' files that matched folders and content. They decide one thing only: which paths a site that was connected
 * then has left out so far, and would commit now without having asked anybody.
 */
export interface RulesBefore {
  /** `content`: one character per byte. */
  learn(folder: string, content: string): void;
  /** What was left out with a file: its outermost folder that was, or the file itself. */
  excluded(path: SitePath): SitePath | undefined;
}

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

export function createRulesBefore(site: { ignore: readonly string[]; allow: readonly string[] }): RulesBefore {
  const lists = [ignore().add(editorFiles), ignore().add(site.ignore.join('\n'))];
  const secret = ignore().add(secretFiles as string[]);
  const allow = ignore().add(site.allow.join('\n'));
  const learned = new Map<string, Ignore>();
  const caught = (path: string, isFolder: boolean): boolean => {
    const text = asText(path) + (isFolder ? '/' : '');
    return (
      (!allow.ignores(text) && secret.ignores(text)) ||
      lists.some((list) => list.ignores(text)) ||
      byGitignore(learned, path, text)
    );
  };
  return {
    learn(folder, content) {
      learned.set(folder, ignore().add(asText(content)));
    },
    excluded(path) {
      if (!caught(path, false)) return undefined;
      for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
        const folder = path.slice(0, end);
        if (caught(folder, true)) return folder as SitePath;
      }
      return path;
    },
  };
}

function byGitignore(learned: ReadonlyMap<string, Ignore>, path: string, text: string): boolean {
  for (let folder = parentOf(path); ; folder = parentOf(folder)) {
    const rules = learned.get(folder);
    if (rules) {
      const { ignored, unignored } = rules.test(folder === '' ? text : text.slice(asText(folder).length + 1));
      if (ignored || unignored) return ignored;
    }
    if (folder === '') return false;
  }
}

function asText(path: string): string {
  return pathBytes(path as SitePath).toString('utf8');
}
