import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { GitProcess, GitResult } from '../../src/git/driver.ts';
import { emptyTree } from '../../src/git/objects.ts';
import { type View, createView } from '../../src/git/view.ts';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import type { Subfolder } from '../../src/model/subfolder.ts';
import { type Oid, type SitePath, pathFromText } from '../../src/model/tree.ts';

const viewing = suite('git/view');

const oid = (digit: string): Oid => digit.repeat(40) as Oid;
const [ONE, TWO, THREE, BASE] = [oid('1'), oid('2'), oid('3'), oid('b')];
const [TREE, WHOLE, INNER] = [oid('d'), oid('e'), oid('f')];

/** What a repository answers. No git runs: each question is noted, and one that has no answer here fails. */
interface Answers {
  /** `<commit>:<path>` to what `cat-file --batch-command` prints for `info`, without its line feed. */
  readonly info?: Readonly<Record<string, string>>;
  /** Contents of blobs by `<commit>:<path>`, and by id. */
  readonly contents?: Readonly<Record<string, string>>;
  /** Exit code of `diff-tree` by its two commits, `a b`. */
  readonly around?: Readonly<Record<string, number>>;
  /** Exit code and base of `merge-base`, by the two commits. */
  readonly bases?: Readonly<Record<string, readonly [code: number, base: string]>>;
  /** `cat-file` ends with this before it answers. */
  readonly dies?: string;
}

function repository(answers: Answers): { view: (prefix: string) => View; asked: string[] } {
  const asked: string[] = [];
  const unknown = (what: string): never => {
    throw new Error(`nothing is known of ${what}`);
  };
  const open = (args: readonly string[]): GitProcess => {
    asked.push(args.join(' '));
    const out = new Readable({ read: () => undefined });
    const say = (line: string): void => {
      asked.push(line);
      const [command = '', ...rest] = line.split(' ');
      const path = rest.join(' ');
      // As git 2.39.5 says it: `<name> missing`, or kind, id and size; the contents follow, and a line feed.
      const row = answers.info?.[path] ?? `${path} missing`;
      const contents = command === 'contents' ? `${answers.contents?.[path] ?? unknown(path)}\n` : '';
      // In two pieces: nothing promises that a line comes whole.
      for (const piece of [`${row}\n${contents}`.slice(0, 3), `${row}\n${contents}`.slice(3)])
        out.push(Buffer.from(piece, 'latin1'));
    };
    const child = {
      stdin: {
        write: (bytes: Buffer) =>
          answers.dies === undefined ? say(bytes.toString('latin1').trimEnd()) : out.push(null),
        end: () => out.push(null),
      },
      stdout: out,
    };
    const ended = Promise.resolve({ code: 0, stderr: answers.dies ?? '' });
    return { child, ended, end: () => asked.push('ended') } as unknown as GitProcess;
  };
  const git = (args: readonly string[]): Promise<GitResult> => {
    asked.push(args.join(' '));
    const [command = '', ...rest] = args;
    const pair = rest.filter((word) => /^[0-9a-f]{40}$/.test(word)).join(' ');
    if (command === 'diff-tree') {
      return Promise.resolve({ code: answers.around?.[pair] ?? unknown(pair), stdout: Buffer.alloc(0), stderr: '' });
    }
    const [code, base] = answers.bases?.[pair] ?? unknown(pair);
    return Promise.resolve({ code, stdout: Buffer.from(base === '' ? '' : `${base}\n`), stderr: '' });
  };
  const ask = (args: readonly string[]): Promise<Buffer> => {
    asked.push(args.join(' '));
    const [command = ''] = args;
    if (command === 'rev-parse') return Promise.resolve(Buffer.from(`${WHOLE}\n`));
    const last = args.at(-1) ?? '';
    return Promise.resolve(Buffer.from(answers.contents?.[last] ?? unknown(last), 'latin1'));
  };
  return { view: (prefix) => createView({ ask, open, git }, prefix as Subfolder), asked };
}

async function codeOf(what: () => Promise<unknown>): Promise<ProblemCode | 'accepted'> {
  try {
    await what();
    return 'accepted';
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
}

// Paths and names.

const paths: readonly (readonly [name: string, prefix: string, path: string, below: string])[] = [
  ['in the whole repository a path stays as it is', '', 'a/b', 'a/b'],
  ['a path gets the folder’s name in front', 'site', 'a/b', 'site/a/b'],
  ['a path gets the name of a folder within folders', 'web/site', 'a', 'web/site/a'],
  ['a path that begins with the folder’s name gets it all the same', 'site', 'site/a', 'site/site/a'],
  ['bytes that are no text stay as they are', 'caf\xc3\xa9', 'n\xff', 'caf\xc3\xa9/n\xff'],
];

for (const [name, prefix, path, below] of paths) {
  viewing(name, () => {
    const edit = { path: path as SitePath, entry: { mode: '100644', oid: ONE } as const };
    const { view } = repository({});
    assert.equal(view(prefix).below(edit), { ...edit, path: below });
    assert.equal(view(prefix).below({ path: path as SitePath }), { path: below });
  });
}

viewing('only a view of no folder is of the whole', () => {
  const { view } = repository({});
  assert.is(view('').isWhole(), true);
  assert.is(view('site').isWhole(), false);
});

viewing('what is remembered of one view is not taken for another’s', () => {
  const view = repository({}).view('');
  const keys = ['', 'a', 'a/b', 'b'].map((prefix) => {
    view.turn(prefix as Subfolder);
    return view.key(ONE);
  });
  assert.is(keys[0], ONE);
  assert.is(new Set(keys).size, 4);
});

viewing('a view that is turned sees the other folder', async () => {
  const info = { [`${ONE}:a`]: `tree ${TREE} 30`, [`${ONE}:b`]: `tree ${INNER} 30` };
  const view = repository({ info }).view('a');
  assert.is(await view.tree(ONE), TREE);
  view.turn('b' as Subfolder);
  assert.is(await view.tree(ONE), INNER);
  assert.is(view.below({ path: 'x' as SitePath }).path, 'b/x');
  view.turn('');
  assert.is(await view.tree(ONE), ONE);
});

// The folder's tree.

interface Look {
  readonly prefix: string;
  readonly info: Readonly<Record<string, string>>;
  /** The tree, or the problem. */
  readonly tree: Oid | ProblemCode;
}

const looks: readonly (readonly [name: string, look: Look])[] = [
  [
    'a commit is seen as its folder’s tree',
    { prefix: 'site', info: { [`${ONE}:site`]: `tree ${TREE} 30` }, tree: TREE },
  ],
  [
    'of folders within folders the innermost counts',
    {
      prefix: 'web/site',
      info: { [`${ONE}:web`]: `tree ${WHOLE} 30`, [`${ONE}:web/site`]: `tree ${TREE} 30` },
      tree: TREE,
    },
  ],
  ['a commit without the folder has the empty tree there', { prefix: 'site', info: {}, tree: emptyTree }],
  [
    'a commit without the inner folder has the empty tree there',
    { prefix: 'web/site', info: { [`${ONE}:web`]: `tree ${WHOLE} 30` }, tree: emptyTree },
  ],
  [
    'a file in the folder’s place is no site',
    { prefix: 'site', info: { [`${ONE}:site`]: `blob ${TREE} 30` }, tree: 'subfolder-invalid' },
  ],
  [
    'a file in the place of a folder above is no site',
    { prefix: 'web/site', info: { [`${ONE}:web`]: `blob ${TREE} 30` }, tree: 'subfolder-invalid' },
  ],
  [
    'a submodule in the folder’s place is no site',
    { prefix: 'site', info: { [`${ONE}:site`]: `commit ${TREE} 30` }, tree: 'subfolder-invalid' },
  ],
  [
    'a folder whose name has a space is found',
    { prefix: 'my site', info: { [`${ONE}:my site`]: `tree ${TREE} 30` }, tree: TREE },
  ],
  [
    'a folder is asked for by its bytes',
    { prefix: pathFromText('café'), info: { [`${ONE}:caf\xc3\xa9`]: `tree ${TREE} 30` }, tree: TREE },
  ],
];

for (const [name, { prefix, info, tree }] of looks) {
  viewing(name, async () => {
    const { view, asked } = repository({ info });
    if (tree === 'subfolder-invalid') assert.is(await codeOf(() => view(prefix).tree(ONE)), tree);
    else assert.is(await view(prefix).tree(ONE), tree);
    assert.is(asked.at(-1), 'ended', 'git was left running');
  });
}

viewing('the problem names what is in the folder’s place', async () => {
  const { view } = repository({ info: { [`${ONE}:web`]: `blob ${TREE} 30` } });
  const problem: unknown = await view('web/site')
    .tree(ONE)
    .catch((error: unknown) => error);
  assert.ok(problem instanceof Problem);
  assert.equal(problem.facts, { file: 'web' });
});

viewing('the whole repository and the empty tree are their own trees, and git is not asked', async () => {
  const { view, asked } = repository({});
  assert.is(await view('').tree(ONE), ONE);
  assert.is(await view('site').tree(emptyTree), emptyTree);
  assert.equal(asked, []);
});

viewing('a commit costs one process, and none when it is looked at again', async () => {
  const { view, asked } = repository({ info: { [`${ONE}:site`]: `tree ${TREE} 30` } });
  const seen = view('site');
  await Promise.all([seen.tree(ONE), seen.above(ONE)]);
  await seen.tree(ONE);
  assert.is(asked.filter((what) => what.startsWith('cat-file')).length, 1);
});

viewing('a git that ends before it answers is a failure, and no empty folder', async () => {
  const damaged = repository({ dies: 'fatal: bad object' });
  assert.is(await codeOf(() => damaged.view('site').tree(ONE)), 'git-damaged');
  assert.is(await codeOf(() => repository({ dies: '' }).view('site').tree(ONE)), 'git-failed');
  assert.is(damaged.asked.at(-1), 'ended', 'git was left running');
});

// The attributes above.

const attributes = (size: number, id: Oid = THREE): string => `blob ${id} ${size}`;

viewing('the attributes of each folder above count, those of the site’s own do not', async () => {
  const info = {
    [`${ONE}:.gitattributes`]: attributes(5),
    [`${ONE}:web`]: `tree ${WHOLE} 30`,
    [`${ONE}:web/.gitattributes`]: attributes(5, TWO),
    [`${ONE}:web/site`]: `tree ${TREE} 30`,
    [`${ONE}:web/site/.gitattributes`]: attributes(4, BASE),
  };
  const contents = { [`${ONE}:.gitattributes`]: '* \xe9x\n', [`${ONE}:web/.gitattributes`]: 'a\nb\n\n' };
  assert.equal(await repository({ info, contents }).view('web/site').above(ONE), {
    site: 'web/site',
    texts: new Map([
      ['', '* \xe9x\n'],
      ['web', 'a\nb\n\n'],
    ]),
  });
});

viewing('a site that is the whole repository has nothing above', async () => {
  const { view, asked } = repository({});
  assert.equal(await view('').above(ONE), { site: '', texts: new Map() });
  assert.equal(asked, []);
});

const sizes: readonly (readonly [name: string, row: string, counts: boolean])[] = [
  ['attributes of 256 KiB count', attributes(262_144), true],
  ['attributes of one byte more say nothing', attributes(262_145), false],
  ['an empty file of attributes says nothing wrong', attributes(0), true],
  ['a folder of that name says nothing', `tree ${THREE} 30`, false],
  ['a file that is missing says nothing', `${ONE}:.gitattributes missing`, false],
];

for (const [name, row, counts] of sizes) {
  viewing(name, async () => {
    const text = 'x'.repeat(counts ? Number(row.split(' ')[2]) : 0);
    const info = { [`${ONE}:.gitattributes`]: row, [`${ONE}:site`]: `tree ${TREE} 30` };
    const { view } = repository({ info, contents: { [`${ONE}:.gitattributes`]: text } });
    const seen = view('site');
    assert.equal((await seen.above(ONE)).texts, new Map(counts ? [['', text]] : []));
    assert.is(await seen.tree(ONE), TREE, 'what came after the attributes was misread');
  });
}

viewing('a folder whose name looks like an answer of git’s is none', async () => {
  const info = { [`${ONE}:x y 5 z`]: `tree ${WHOLE} 30`, [`${ONE}:x y 5 z/site`]: `tree ${TREE} 30` };
  const seen = repository({ info }).view('x y 5 z/site');
  assert.equal((await seen.above(ONE)).texts, new Map());
  assert.is(await seen.tree(ONE), TREE);
});

viewing('the same attributes in another commit are not read again', async () => {
  const both = [ONE, TWO].flatMap((commit): [string, string][] => [
    [`${commit}:.gitattributes`, attributes(1)],
    [`${commit}:site`, `tree ${TREE} 30`],
  ]);
  const { view, asked } = repository({
    info: Object.fromEntries(both),
    contents: { [`${ONE}:.gitattributes`]: 'x' },
  });
  const seen = view('site');
  for (const commit of [ONE, TWO]) assert.equal((await seen.above(commit)).texts, new Map([['', 'x']]));
  assert.is(asked.filter((what) => what.startsWith('contents')).length, 1);
});

viewing('attributes that were forgotten meanwhile are read by their id', async () => {
  const commits = Array.from({ length: 18 }, (_, n) => n.toString(16).padStart(40, '0') as Oid);
  const info: Record<string, string> = {};
  const contents: Record<string, string> = {};
  for (const commit of commits) {
    const id = `${commit.slice(2)}ff` as Oid;
    Object.assign(info, { [`${commit}:.gitattributes`]: attributes(2, id), [`${commit}:site`]: `tree ${TREE} 30` });
    Object.assign(contents, { [`${commit}:.gitattributes`]: commit.slice(-2), [id]: commit.slice(-2) });
  }
  const { view, asked } = repository({ info, contents });
  const seen = view('site');
  for (const commit of [...commits, commits[0] as Oid])
    assert.equal((await seen.above(commit)).texts, new Map([['', commit.slice(-2)]]));
  assert.equal(asked.filter((what) => what.startsWith('cat-file blob')).length, 1);
});

// What a new commit takes over from around.

interface Graft extends Answers {
  readonly parents: readonly Oid[];
  /** The commit whose surroundings are taken over. */
  readonly from: Oid | undefined;
}

const grafts: readonly (readonly [name: string, graft: Graft])[] = [
  ['a commit without parents has nothing around', { parents: [], from: undefined }],
  ['a commit takes over what lies around from its only parent', { parents: [ONE], from: ONE }],
  [
    'of two parents that are the same around, the first counts',
    { parents: [ONE, TWO], around: { [`${ONE} ${TWO}`]: 0 }, from: ONE },
  ],
  [
    'the second parent counts where it changed what lies around',
    {
      parents: [ONE, TWO],
      around: { [`${ONE} ${TWO}`]: 1, [`${TWO} ${BASE}`]: 1 },
      bases: { [`${ONE} ${TWO}`]: [0, BASE] },
      from: TWO,
    },
  ],
  [
    'the first parent counts where the second has what was there before',
    {
      parents: [ONE, TWO],
      around: { [`${ONE} ${TWO}`]: 1, [`${TWO} ${BASE}`]: 0 },
      bases: { [`${ONE} ${TWO}`]: [0, BASE] },
      from: ONE,
    },
  ],
  [
    'the second parent counts where the two have nothing in common',
    { parents: [ONE, TWO], around: { [`${ONE} ${TWO}`]: 1 }, bases: { [`${ONE} ${TWO}`]: [1, ''] }, from: TWO },
  ],
  [
    'of three parents each is compared with the best so far',
    {
      parents: [ONE, TWO, THREE],
      around: {
        ...{ [`${ONE} ${TWO}`]: 1, [`${TWO} ${BASE}`]: 1 },
        ...{ [`${TWO} ${THREE}`]: 1, [`${THREE} ${BASE}`]: 1 },
      },
      bases: { [`${ONE} ${TWO}`]: [0, BASE], [`${TWO} ${THREE}`]: [0, BASE] },
      from: THREE,
    },
  ],
];

for (const [name, { parents, from, ...answers }] of grafts) {
  viewing(name, async () => {
    const { view, asked } = repository(answers);
    assert.equal(await view('web/site').graft(parents, INNER), {
      tree: from === undefined ? 'empty' : WHOLE,
      graft: { path: 'web/site', tree: INNER },
    });
    const taken = asked.filter((what) => what.startsWith('rev-parse'));
    assert.equal(taken, from === undefined ? [] : [`rev-parse --verify ${from}^{tree}`]);
  });
}

viewing('a folder that became empty is taken out', async () => {
  const { view } = repository({});
  assert.equal(await view('site').graft([ONE], emptyTree), { tree: WHOLE, graft: { path: 'site', tree: 'empty' } });
});

viewing('the whole repository has nothing around', async () => {
  const { view, asked } = repository({});
  assert.equal(await view('').graft([ONE, TWO], INNER), { tree: INNER });
  assert.equal(asked, []);
});

viewing('around means everything but the folder, which is named literally and as text', async () => {
  const { view, asked } = repository({ around: { [`${ONE} ${TWO}`]: 0 } });
  await view(pathFromText('café')).graft([ONE, TWO], INNER);
  assert.is(asked[0], `diff-tree -r --quiet --ignore-submodules=none ${ONE} ${TWO} -- :(top,exclude,literal)café`);
});

const failures: readonly (readonly [name: string, answers: Answers, code: ProblemCode | 'accepted'])[] = [
  ['a comparison that failed is damage', { around: { [`${ONE} ${TWO}`]: 128 } }, 'git-damaged'],
  ['a comparison that failed in another way is damage too', { around: { [`${ONE} ${TWO}`]: 2 } }, 'git-damaged'],
  [
    'a search for the common commit that failed is damage',
    { around: { [`${ONE} ${TWO}`]: 1 }, bases: { [`${ONE} ${TWO}`]: [128, ''] } },
    'git-damaged',
  ],
  ['no common commit is none', { around: { [`${ONE} ${TWO}`]: 1 }, bases: { [`${ONE} ${TWO}`]: [1, ''] } }, 'accepted'],
];

for (const [name, answers, code] of failures)
  viewing(name, async () =>
    assert.is(await codeOf(() => repository(answers).view('site').graft([ONE, TWO], INNER)), code),
  );

viewing('the common commit of two is without the line feed', async () => {
  const { view } = repository({ bases: { [`${ONE} ${TWO}`]: [0, BASE], [`${ONE} ${THREE}`]: [1, ''] } });
  assert.is(await view('site').commonOf(ONE, TWO), BASE);
  assert.is(await view('site').commonOf(ONE, THREE), undefined);
});

viewing.run();
