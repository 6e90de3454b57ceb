import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTracked } from '../../src/model/attributes.ts';
import type { SitePath } from '../../src/model/tree.ts';
import { type Chance, chanceOf } from '../soak/chance.ts';
import { git, scratch } from '../support/plain-git.ts';

const attributes = suite('files/attributes');

/** By folder; all text here is one character per byte. */
type Files = Readonly<Record<string, string>>;

/** A repository whose `.gitattributes` can be asked about, by git and by us. */
class Repository {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    git(dir, 'init', '-q');
  }

  /** What git answers, path by path. */
  ask(files: Files, paths: readonly string[]): boolean[] {
    for (const [folder, text] of Object.entries(files)) {
      const file = join(this.#dir, folder, '.gitattributes');
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text, 'latin1');
    }
    const input = Buffer.from(paths.map((path) => `${path}\0`).join(''), 'latin1');
    const args = ['check-attr', '-z', '--stdin', 'filter'];
    const fields = execFileSync('git', args, { cwd: this.#dir, input, stdio: ['pipe', 'pipe', 'ignore'] })
      .toString('latin1')
      .split('\0');
    for (const folder of Object.keys(files)) rmSync(join(this.#dir, folder, '.gitattributes'));
    return paths.map((path, at) => {
      assert.is(fields[3 * at], path);
      return fields[3 * at + 2] === 'lfs';
    });
  }

  /** How often both say yes. */
  compare(files: Files, paths: readonly string[], told: string): number {
    const theirs = this.ask(files, paths);
    const tracked = createTracked((folder) => files[folder]);
    for (const [at, path] of paths.entries()) {
      const ours = tracked(path as SitePath);
      if (ours !== theirs[at]) assert.unreachable(`${told} ${JSON.stringify({ files, path, git: theirs[at], ours })}`);
    }
    return theirs.filter(Boolean).length;
  }
}

function inRepository(work: (repository: Repository) => void): void {
  const { dir, remove } = scratch();
  try {
    work(new Repository(dir));
  } finally {
    remove();
  }
}

const rules: Files = {
  '': [
    '# a comment',
    '*.bin filter=lfs diff=lfs merge=lfs -text',
    'films/** filter=lfs',
    '/top.dat filter=lfs',
    'media/*.wav filter=lfs',
    'a/**/z.raw filter=lfs',
    '[Ii]mg?.tif filter=lfs',
    '**/nested.iso filter=lfs',
    'small.bin -filter',
    'folder filter=lfs',
    'only/ filter=lfs',
    'star*dust filter=lfs',
    '*.txt text',
    'dot.*.gz filter=lfs',
  ].join('\n'),
  deep: '*.bin !filter\n*.psd filter=lfs\n/here.dat filter=lfs\n',
  'deep/er': '*.bin filter=lfs\r\n*.psd filter=other\n',
};

const paths = [
  ...['x.bin', 'sub/x.bin', 'small.bin', 'sub/small.bin', 'films/a', 'films/b/c.txt', 'films', 'other/films/a'],
  ...['top.dat', 'sub/top.dat', 'media/a.wav', 'media/b/a.wav', 'sub/media/a.wav', 'a/z.raw', 'a/b/c/z.raw', 'b/z.raw'],
  ...['Img1.tif', 'img2.tif', 'xmg1.tif', 'img12.tif', 'nested.iso', 'q/nested.iso', 'folder', 'folder/in', 'only/in'],
  ...['stardust', 'star-dust', 'star/dust', 'a.txt', 'dot.1.gz', 'dotx1xgz', 'deep/x.bin', 'deep/x.psd'],
  ...['deep/here.dat', 'deep/er/x.bin', 'deep/er/x.psd', 'deep/sub/here.dat', 'deep/er/most/x.bin'],
  ...['X.BIN', '.bin', 'x.bin.txt'],
];

attributes('which paths are kept in LFS is decided as git decides it', () =>
  inRepository((repository) => assert.ok(repository.compare(rules, paths, 'rules') > 15)),
);

const latin1 = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

/** What git-lfs, editors and people write, and where git is surprising. A text alone is the file at the top. */
const hard: readonly (readonly [files: string | Files, ...paths: string[]])[] = [
  ['my[[:space:]]file.psd filter=lfs diff=lfs merge=lfs -text', 'my file.psd', 'my\tfile.psd', 'my-file.psd'],
  ['Big[[:space:]]Films/** filter=lfs -text', 'Big Films/a/b.mp4', 'Big Films', 'BigFilms/a'],
  ['[[:digit:]]*.bin filter=lfs', '7.bin', 'a.bin'],
  ['[^[:alpha:]_-]x filter=lfs', '1x', 'ax', '_x', '-x'],
  ['[[:nonsense:]]x filter=lfs', 'nx', ':x', '[:nonsense:]x'],
  ['[[:alpha:]x filter=lfs', 'ax', ':x', '[:alpha:]x'],
  ['[[:] filter=lfs\n[[:a] filter=lfs\n[[::]] filter=lfs', '[', ':', 'a', '[]', ':]'],
  // Macros.
  ['[attr]large filter=lfs diff=lfs -text\n*.psd large', 'a.psd', 'd/a.psd', 'large'],
  ['*.psd large\n[attr]large filter=lfs', 'a.psd'],
  ['[attr]a b\n[attr]b filter=lfs\n*.x a\n*.y -a\n*.z a=1\n*.w !a', 'q.x', 'q.y', 'q.z', 'q.w'],
  ['[attr]a b\n[attr]b a filter=lfs\n*.x a', 'q.x'],
  ['[attr]a filter=lfs\n[attr]a -filter\n*.x a', 'q.x'],
  ['[attr]a filter=lfs\n*.x a\n*.x -a', 'q.x'],
  ['[attr]a filter=lfs\n*.x a -filter\n*.y -filter a', 'q.x', 'q.y'],
  ['[attr]a b filter=other\n[attr]b filter=lfs\n*.x a', 'q.x'],
  ['[attr]binary filter=lfs\n*.x binary', 'q.x'],
  ['[attr]diff filter=lfs\n*.x diff\n*.y diff\n*.y binary', 'q.x', 'q.y'],
  ['*.psd filter=lfs\n*.psd binary', 'a.psd'],
  ['[attr]no/name filter=lfs\n*.x no/name\n*.y filter=lfs', 'q.x', 'q.y'],
  ['[attr] filter=lfs\n', 'a', 't', '[attr]', 'filter=lfs'],
  ['"[attr]a" filter=lfs\n*.x a', 'q.x'],
  [{ '': '*.x a\n*.y b', d: '[attr]a filter=lfs\n*.y a' }, 'd/q.x', 'q.x', 'd/q.y'],
  [{ '': '[attr]a filter=lfs', d: '*.x a', 'd/e': '[attr]a -filter\n' }, 'd/q.x', 'd/e/q.x', 'q.x'],
  [{ '': '[attr]a filter=lfs\n*.x a', d: '*.x -a' }, 'q.x', 'd/q.x'],
  // In quotes.
  ['"my file.psd" filter=lfs', 'my file.psd', 'my'],
  ['"a b/*.bin"filter=lfs', 'a b/x.bin', 'a b/c/x.bin'],
  ['"caf\\303\\251.bin" filter=lfs\n"\\t\\"\\\\\\\\.x" filter=lfs', latin1('café.bin'), '\t"\\.x', '"\\.x'],
  [
    '"open.bin filter=lfs\n"bad\\q" filter=lfs\n"\\400" filter=lfs',
    '"open.bin',
    'open.bin',
    'badq',
    '"bad\\q"',
    '\\400',
  ],
  ['"!no" filter=lfs\n!x filter=lfs\n\\!y filter=lfs', '!no', 'no', '!x', 'x', '!y'],
  ['"" filter=lfs\n"/" filter=lfs', 'a', 'b/c'],
  // Lines and words.
  ['\xef\xbb\xbf*.psd filter=lfs\n\xef\xbb\xbf*.x filter=lfs', 'a.psd', 'a.x', '\xef\xbb\xbfa.x'],
  [' \t*.x\tfilter=lfs\t-text \r\n*.y filter=lfs\r\n', 'a.x', 'a.y'],
  ['*.x filter="lfs"\n*.y filter=lfs=\n*.z filter=\n*.w filter', 'q.x', 'q.y', 'q.z', 'q.w'],
  ['*.x filter=lfs\n*.x -filter\n*.y filter=lfs\n*.y !filter\n*.z filter=lfs\n*.z filter=x', 'q.x', 'q.y', 'q.z'],
  ['*.x -filter=lfs\n*.y !filter=lfs\n*.z --filter filter=lfs\n*.w filter=lfs f/1', 'q.x', 'q.y', 'q.z', 'q.w'],
  ['*.x filter=lfs =1\n*.y filter=lfs -\n*.z Filter=lfs\n*.w filter=LFS', 'q.x', 'q.y', 'q.z', 'q.w'],
  [`*.x ${'a '.repeat(1_000)}filter=lfs\n*.y ${'a '.repeat(1_100)}filter=lfs`, 'q.x', 'q.y'],
  ['*.psd filter=lfs\nout/** !filter', 'out/a.psd', 'a.psd'],
  // Patterns.
  ['*.[pP][sS][dD] filter=lfs', 'A.PSD', 'a.psd', 'a.ps'],
  ['/films/ filter=lfs\nfilms/ filter=lfs', 'films/a', 'films'],
  ['a\\*b.psd filter=lfs\n\\#c filter=lfs\nd\\ filter=lfs', 'a*b.psd', 'axb.psd', '#c', 'd\\', 'd'],
  [`${latin1('café*.bin')} filter=lfs\ns?.x filter=lfs`, latin1('café1.bin'), latin1('sé.x'), 's\xe9.x'],
  ['[a-c]x filter=lfs\n[c-a]y filter=lfs\n[a-]z filter=lfs\n[]-a]w filter=lfs', 'bx', 'by', '-z', 'az', ']w', '_w'],
  ['[!]]x filter=lfs\n[]]y filter=lfs\n[\\]]z filter=lfs\n[a\\-c]w filter=lfs', 'ax', ']x', ']y', ']z', '-w', 'bw'],
  ['x[ filter=lfs\ny[a filter=lfs\nz[] filter=lfs\nw\\[ filter=lfs', 'x[', 'y[a', 'ya', 'z[]', 'w['],
  ['a[/]b filter=lfs\nc[x/]d filter=lfs\n?[!x]e filter=lfs', 'a/b', 'c/d', 'cxd', 'q/cxd', 'q/e', 'qqe'],
  ['a?b/c filter=lfs\nd*e/f filter=lfs', 'axb/c', 'a/b/c', 'dxe/f', 'd/e/f', 'q/axb/c'],
  ['**/films/*.mp4 filter=lfs', 'x/films/a.mp4', 'films/a.mp4', 'x/y/films/a.mp4', 'films/x/a.mp4'],
  ['films/*.mp4 filter=lfs', 'films/x/a.mp4', 'films/a.mp4'],
  ['a/**/b filter=lfs\nc/**\\/d filter=lfs\n***/e filter=lfs', 'a/b', 'a/x/y/b', 'c/d', 'c/x/d', 'e', 'q/e', 'q/w/e'],
  ['d/abc**/x filter=lfs\nd/q** filter=lfs', 'd/abcx', 'd/abc/x', 'd/abcd/e/x', 'd/q/w/e', 'd/q', 'd/abc'],
  ['x*/** filter=lfs\n?y/** filter=lfs', 'x', 'x/a', 'xx/a/b', 'qy', 'qy/a'],
  ['** filter=lfs\n**/no/* -filter', 'a', 'a/b', 'no/x', 'a/no/x', 'no/x/y'],
  ['/** filter=lfs', 'a', 'a/b'],
  ['/*.x filter=lfs\n//y filter=lfs\na//b filter=lfs', 'q.x', 'd/q.x', 'y', 'a/b'],
  ['a**b filter=lfs\nc/d**e filter=lfs\nf/?**/g filter=lfs', 'axxb', 'q/ab', 'c/dxe', 'c/d/e', 'f/x/g', 'f/xx/y/g'],
];

attributes('hard cases: what git-lfs, editors and people write, and where git is surprising', () =>
  inRepository((repository) => {
    let yes = 0;
    for (const [files, ...asked] of hard) {
      yes += repository.compare(typeof files === 'string' ? { '': files } : files, asked, 'case');
    }
    assert.ok(yes > 70, `${yes}`);
  }),
);

attributes('a named set is the same for every byte', () =>
  inRepository((repository) => {
    const bytes = Array.from({ length: 255 }, (_, at) => String.fromCharCode(at + 1)).filter((char) => char !== '/');
    const names = 'alnum alpha blank cntrl digit graph lower print punct space upper xdigit'.split(' ');
    for (const name of names) {
      const yes = repository.compare(
        { '': `x[[:${name}:]] filter=lfs` },
        bytes.map((char) => `x${char}`),
        name,
      );
      assert.ok(yes > 0, name);
    }
  }),
);

const pieces = {
  pattern: [
    ...[
      'a',
      'b',
      'c',
      'ab',
      '*',
      '*',
      '**',
      '/',
      '/',
      '**/',
      '/**',
      '/**/',
      '?',
      '.',
      '-',
      '!',
      '#',
      '\\',
      '\\*',
      '\\/',
    ],
    ...[
      '[ab]',
      '[!a]',
      '[^b]',
      '[a-c]',
      '[]a]',
      '[',
      ']',
      '[[:alpha:]]',
      '[[:space:]]',
      '[![:punct:]]',
      '[:',
      ':]',
      '***',
    ],
  ],
  says: [
    ...[
      'filter=lfs',
      'filter=lfs',
      'filter=lfs',
      '-filter',
      '!filter',
      'filter',
      'filter=x',
      'm',
      'm',
      'n',
      '-m',
      '!n',
      'm=1',
    ],
    ...['binary', 'diff', '-text', 'a/b'],
  ],
  path: ['a', 'b', 'c', 'ab', 'abc', '.', '-', ' ', '*', '[', ']', '\\', '!', '#', ':', '/', '/', '/'],
};

const some = (chance: Chance, from: readonly string[], most: number): string[] =>
  Array.from({ length: 1 + chance.pick(most) }, () => chance.oneOf(from));

/** `below`: paths of the folder, one of which it may nearly mean. */
function randomLine(chance: Chance, below: readonly string[], top: boolean): string {
  const words = some(chance, pieces.says, 3).join(' ');
  if (chance.once(top ? 5 : 20)) return `[attr]${chance.oneOf(['m', 'n', 'diff', 'binary'])} ${words}`;
  const pattern = chance.once(3)
    ? some(chance, pieces.pattern, 6).join('')
    : [...chance.oneOf(below)].map((char) => (chance.once(3) ? wildcardFor(chance, char) : char)).join('');
  return `${chance.once(4) ? JSON.stringify(pattern) : pattern} ${words}`;
}

const wildcardFor = (chance: Chance, char: string): string =>
  char === '/'
    ? chance.oneOf(['/**/', '**/', '/**', '\\/', '/'])
    : chance.oneOf([
        '?',
        '*',
        '**',
        `*${char}`,
        `\\${char}`,
        `[${char}]`,
        `[!${char}]`,
        `[x-${char}]`,
        `[+-${char}x]`,
        '[[:alpha:]]',
      ]);

/** Only what git could have in a tree. */
const randomPath = (chance: Chance): string =>
  some(chance, pieces.path, 7)
    .join('')
    .split('/')
    .filter((name) => name !== '' && name !== '.' && name !== '..')
    .join('/') || 'a';

attributes('random patterns and paths: as git answers', () =>
  inRepository((repository) => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const chance = chanceOf(seed);
    let [asked, yes] = [0, 0];
    for (let round = 0; round < 200; round += 1) {
      const all = Array.from({ length: 20 }, () => randomPath(chance));
      const files = Object.fromEntries(
        ['', 'a', 'a/b'].map((folder) => [
          folder,
          Array.from({ length: 1 + chance.pick(6) }, () => `${randomLine(chance, all, folder === '')}\n`).join(''),
        ]),
      );
      const paths = all.flatMap((path) => [path, `a/${path}`, `a/b/${path}`]);
      yes += repository.compare(files, paths, `seed ${seed}, round ${round}:`);
      asked += paths.length;
    }
    console.log(`  seed ${seed}: ${asked} asked, ${yes} in LFS`);
    assert.ok(yes > asked / 100);
  }),
);

attributes('odd patterns end in no rule, and never in an endless look', () => {
  for (const pattern of [
    '[',
    '[]',
    '\\',
    '*'.repeat(200),
    '[z-a]',
    '"quoted" ',
    '!*.bin',
    '**',
    '/',
    '(a+)+$',
    `${'*a'.repeat(40)}b`,
    `${'**/a/'.repeat(20)}b`,
    `${'**/*a*a*a/'.repeat(150)}b`,
    `x/${'*a'.repeat(900)}b`,
    `"${'\\"'.repeat(900)}`,
  ]) {
    const tracked = createTracked((folder) => (folder === '' ? `${pattern} filter=lfs\n` : undefined));
    assert.type(tracked(`${'a/'.repeat(50)}${'a'.repeat(200)}!` as SitePath), 'boolean');
    assert.type(tracked(`x/${'a/'.repeat(500)}${'a'.repeat(250)}!` as SitePath), 'boolean');
  }
});

attributes('macros upon macros are no endless look either', () => {
  const chain = Array.from({ length: 8_000 }, (_, at) => `[attr]m${at} m${at + 1} x m${(at * 7) % 8_000}\n`);
  const text = `${chain.join('')}[attr]m8000 filter=lfs\n*.bin m0\n`;
  const tracked = createTracked((folder) => (folder === '' ? text : undefined));
  assert.ok(tracked('a.bin' as SitePath));
  assert.not.ok(tracked('a.txt' as SitePath));
});

attributes.run();
