import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { NestedRules, createIgnoreRules } from '../../src/files/ignore.ts';
import { PatternList } from '../../src/files/gitignore.ts';
import { type SitePath, parentOf } from '../../src/model/tree.ts';
import { type Chance, chanceOf } from '../soak/chance.ts';
import { git, scratch } from '../support/plain-git.ts';

const gitignore = suite('files/gitignore');

/** Text of each folder’s `.gitignore`; all text here is one character per byte. */
type Rules = Readonly<Record<string, string>>;
type Disk = 'normal' | 'folding';

const isLong = process.env['MOORING_TEST_LONG'] === 'yes';

/** A repository whose rules can be asked about, by git and by us. A path is a folder where one is there. */
class Repository {
  readonly #dir: string;
  readonly #folders = new Set<string>();

  constructor(dir: string, folders: readonly string[]) {
    this.#dir = dir;
    git(dir, 'init', '-q');
    for (const folder of folders) this.#make(folder);
  }

  #make(folder: string): void {
    mkdirSync(Buffer.from(`${this.#dir}/${folder}`, 'latin1'), { recursive: true });
    for (let at = folder; at !== ''; at = parentOf(at)) this.#folders.add(at);
  }

  #file(folder: string): Buffer {
    return Buffer.from(join(this.#dir, folder, '.gitignore'), 'latin1');
  }

  /** Which of the paths git ignores: one process for all of them. */
  #asked(rules: Rules, paths: readonly string[], disk: Disk): ReadonlySet<string> {
    for (const [folder, text] of Object.entries(rules)) {
      this.#make(folder);
      writeFileSync(this.#file(folder), text, 'latin1');
    }
    const args = ['-c', `core.ignoreCase=${String(disk === 'folding')}`, 'check-ignore', '--no-index', '-z', '--stdin'];
    const input = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
    let output: Buffer;
    try {
      output = execFileSync('git', args, { cwd: this.#dir, input, stdio: ['pipe', 'pipe', 'pipe'] });
    } catch (error) {
      // 1: none of them is ignored.
      if ((error as { status?: number }).status !== 1) throw error;
      output = Buffer.alloc(0);
    } finally {
      for (const folder of Object.keys(rules)) rmSync(this.#file(folder));
    }
    return new Set(output.toString('latin1').split('\0').filter(Boolean));
  }

  /** How many both ignore. */
  compare(rules: Rules, paths: readonly string[], disk: Disk, told: string): number {
    const theirs = this.#asked(rules, paths, disk);
    const ours = new NestedRules();
    for (const [folder, text] of Object.entries(rules))
      ours.learn(folder, new PatternList(text, disk === 'folding' ? 'folded' : 'exact'));
    for (const path of paths) {
      const found = ours.ignores(path, this.#folders.has(path) ? 'directory' : 'file');
      if ((found !== undefined) !== theirs.has(path)) {
        const git = theirs.has(path);
        assert.unreachable(`${told} ${JSON.stringify({ disk, rules, path, git, ours: found?.line ?? false })}`);
      }
    }
    return paths.filter((path) => theirs.has(path)).length;
  }
}

function inRepository(folders: readonly string[], work: (repository: Repository) => void): void {
  const { dir, remove } = scratch();
  try {
    work(new Repository(dir, folders));
  } finally {
    remove();
  }
}

const marks = '\xef\xbb\xbf';

const lines: readonly { rule: string; paths: readonly string[] }[] = [
  { rule: '/Build/', paths: ['build', 'Build', 'BUILD', 'a/Build', 'build/x', 'Build/x'] },
  { rule: '*.LOG', paths: ['news.log', 'news.LOG', 'a/x.Log'] },
  { rule: 'trailing   ', paths: ['trailing', 'trailing   '] },
  { rule: 'kept\\ ', paths: ['kept', 'kept ', 'kept\\ '] },
  { rule: 'two\\  ', paths: ['two', 'two ', 'two  '] },
  { rule: 'tab\t', paths: ['tab', 'tab\t'] },
  { rule: 'inner space', paths: ['inner space', 'inner'] },
  { rule: 'end\\', paths: ['end', 'end\\'] },
  { rule: '\\#hash', paths: ['#hash', '\\#hash'] },
  { rule: '#hash', paths: ['#hash'] },
  { rule: '\\!bang', paths: ['!bang'] },
  { rule: '**/deep', paths: ['deep', 'a/deep', 'a/b/deep', 'a/deep/x'] },
  { rule: 'a/**', paths: ['a', 'a/x', 'a/b/x', 'b/a/x'] },
  { rule: 'a/**/z', paths: ['a/z', 'a/b/z', 'a/b/c/z', 'az'] },
  { rule: 'a**z', paths: ['az', 'abz', 'a/z', 'b/abbz'] },
  { rule: '/a**z/y', paths: ['az/y', 'abz/y', 'a/z/y'] },
  { rule: '[A-C]x', paths: ['ax', 'Bx', 'dx', 'Dx'] },
  { rule: '[Q]y', paths: ['Qy', 'qy'] },
  { rule: '[!A]w', paths: ['aw', 'Aw', 'bw'] },
  { rule: '[[:upper:]]v', paths: ['av', 'Av', '1v'] },
  { rule: '[[:nothing:]]u', paths: ['au', '[u', ':]u'] },
  { rule: '\\Quoted', paths: ['Quoted', 'quoted'] },
  { rule: 'pre\\/fix', paths: ['pre/fix'] },
  { rule: '/', paths: ['x', 'a/x'] },
  { rule: '!', paths: ['x', '!'] },
  { rule: '*', paths: ['x', 'a/x'] },
  { rule: '*/', paths: ['x', 'a/x', 'a/b/x'] },
  { rule: '/*\n!/a', paths: ['x', 'a', 'a/x'] },
  { rule: 'a/\n!a/keep', paths: ['a/keep', 'a/x'] },
  { rule: 'a/*\n!a/keep', paths: ['a/keep', 'a/x'] },
  { rule: `${marks}first\nsecond`, paths: ['first', 'second'] },
  { rule: 'crlf\r\nlast\r', paths: ['crlf', 'last', 'crlf\r'] },
  { rule: 'nul\0more', paths: ['nul', 'nulmore'] },
  { rule: 'caf\xc3\xa9', paths: ['caf\xc3\xa9', 'CAF\xc3\xa9', 'caf\xc3\x89'] },
  { rule: '?\xff', paths: ['a\xff', '\xff\xff', 'a\xfe'] },
  { rule: '\xe9?', paths: ['\xe9x', '\xc9x', '\xe9'] },
  { rule: 'a//', paths: ['a', 'a/x'] },
  { rule: '//a', paths: ['a', 'a/x'] },
  { rule: '[a', paths: ['[a', 'a'] },
  { rule: '[]-]t', paths: [']t', '-t', 'at'] },
];

for (const disk of ['normal', 'folding'] as const) {
  gitignore(`line by line as git, on a ${disk} disk`, () => {
    inRepository(['a/b/c', 'b/a', 'Build', 'build', 'BUILD'], (repository) => {
      let ignored = 0;
      for (const { rule, paths } of lines) ignored += repository.compare({ '': rule }, paths, disk, rule);
      assert.ok(ignored > 40, String(ignored));
    });
  });

  gitignore(`nested files as git, on a ${disk} disk`, () => {
    const rules: Rules = {
      '': '*.log\n/Cache/\n!keep.log\nonly/',
      a: '!*.log\n/x\nkeep.log',
      'a/b': '*.log\n!/Deep.log\n\\ y',
      'b/only': '!z',
    };
    const paths = ['x.log', 'X.LOG', 'keep.log', 'cache/x', 'Cache/x', 'a/x.log', 'a/keep.log', 'a/x', 'a/b/x.log'];
    const more = ['a/b/Deep.log', 'a/b/deep.log', 'a/b/ y', 'a/b/x', 'b/only/z', 'b/only', 'a/b/keep.log'];
    inRepository(['a/b', 'Cache', 'cache', 'b/only'], (repository) => {
      assert.ok(repository.compare(rules, [...paths, ...more], disk, 'nested') > 5);
    });
  });

  gitignore(`chance as git, on a ${disk} disk`, () => {
    const rounds = isLong ? 200 : 30;
    inRepository(trees, (repository) => {
      let ignored = 0;
      let asked = 0;
      for (let seed = 1; seed <= rounds; seed += 1) {
        const chance = chanceOf(seed);
        const rules = Object.fromEntries(
          ['', ...trees.filter(() => chance.once(6))].map((at) => [at, ruleText(chance)]),
        );
        const paths = new Set([...trees, ...Array.from({ length: 100 }, () => somePath(chance))]);
        asked += paths.size;
        ignored += repository.compare(rules, [...paths], disk, `seed ${seed}`);
      }
      process.stdout.write(`\nnote: ${asked} paths on a ${disk} disk, ${ignored} of them ignored\n`);
      assert.ok(asked > rounds * 100);
      assert.ok(ignored > asked / 20, 'rules that match hardly anything show nothing');
    });
  });
}

/** Folders that are there, in spellings that differ in case. */
const trees = [
  'a',
  'A',
  'b',
  'B',
  'ab',
  'aB',
  'a/b',
  'a/B',
  'A/b',
  'a/b/a',
  'a/b/A',
  'B/[a]',
  '\xe9',
  '\xff/a',
  '#a',
  'a b',
].concat(['a./b', 'b-/A.b', ' ', 'a ', 'a\\', '!a/b', '*', 'a/\xc3\xa9', 'ab/ab/ab', 'AB/Ab']);

const letters = [
  'a',
  'A',
  'b',
  'B',
  'ab',
  'Ab',
  '.',
  '-',
  ' ',
  '#',
  '!',
  '[',
  ']',
  '\\',
  '*',
  '\xe9',
  '\xff',
  '\xc3\xa9',
];

function somePath(chance: Chance): string {
  const name = Array.from({ length: chance.between(1, 3) }, () => chance.oneOf(letters)).join('');
  const path = [...(chance.once(3) ? [] : [chance.oneOf(trees)]), name].join('/');
  // Git takes neither for a path.
  return path.split('/').some((one) => /^\.{1,2}$/.test(one)) ? 'a' : path;
}

const tokens = [
  ...letters,
  ...['*', '*', '?', '/', '/', '**', '/**/', '**/', '/**', '\\', '\\ ', '\\*', '\\[', '\\#', '\\!', '\\A', '\\b'],
  ...['[ab]', '[A-B]', '[!a]', '[^A]', '[a-]', '[]a]', '[\\a]', '[[:upper:]]', '[[:lower:]]', '[[:alpha:]b]', '[!'],
];

function ruleText(chance: Chance): string {
  const rows = Array.from({ length: chance.between(1, 5) }, () => {
    const start = chance.oneOf(['', '', '', '!', '/', '!/', '#', '\\']);
    const middle = chance.once(2)
      ? Array.from({ length: chance.between(1, 4) }, () => chance.oneOf(tokens)).join('')
      : nearly(somePath(chance), chance);
    return (
      start + middle + chance.oneOf(['', '', '', '/', ' ', '  ', '\\ ', '\t', '\0x']) + chance.oneOf(['', '', '\r'])
    );
  });
  return chance.oneOf(['', '', marks]) + rows.join('\n') + chance.oneOf(['', '\n']);
}

/** A pattern made of a path, so that it is likely to match one. */
function nearly(path: string, chance: Chance): string {
  const from = chance.once(3) ? path : path.slice(path.lastIndexOf('/') + 1);
  return [...from]
    .map((char) =>
      chance.once(4)
        ? chance.oneOf(['?', '*', '**', `\\${char}`, `[${char}]`, `[!${char}]`, char.toUpperCase(), char.toLowerCase()])
        : char,
    )
    .join('');
}

gitignore('a secret is one in any spelling, on any disk', () => {
  for (const folds of [false, true]) {
    const rules = createIgnoreRules({ ignore: [], allow: [], folds });
    for (const path of ['.ENV', '.Env.local', 'ID_RSA', 'a/DUMP.SQL', 'x.PEM', '.SSH/config', 'WP-Config.php'])
      assert.is(rules.caught(path as SitePath, 'file')?.by, 'secret', path);
    for (const path of ['.ENV.EXAMPLE', 'environment', 'id_rsa.pub', 'sql.txt'])
      assert.is(rules.caught(path as SitePath, 'file'), undefined, path);
  }
});

gitignore('a site’s own list goes by the same rules as .gitignore', () => {
  const caught = (path: string, folds: boolean) =>
    createIgnoreRules({ ignore: ['*.LOG', 'café'], allow: [], folds }).caught(path as SitePath, 'file')?.rule;
  assert.is(caught('news.log', false), undefined);
  assert.is(caught('news.LOG', false), '*.LOG');
  assert.is(caught('news.log', true), '*.LOG');
  assert.is(caught('caf\xc3\xa9', false), 'café');
});

gitignore('patterns made to take long take no time', () => {
  const rules = new NestedRules();
  rules.learn('', new PatternList(`${'*a'.repeat(60)}b\n${'**/a/'.repeat(40)}b`, 'folded'));
  assert.is(rules.ignores(`${'a'.repeat(200)}c`, 'file'), undefined);
  assert.is(rules.ignores(`${'a/'.repeat(200)}c`, 'file'), undefined);
});

gitignore.run();
