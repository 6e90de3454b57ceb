import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import { join } from 'node:path';
import type { Hold, HoldChoice } from '../../src/model/site.ts';
import type { SitePath } from '../../src/model/tree.ts';
import { putBack, restoreKept, takeVersion } from '../../src/sync/choice.ts';
import { resolveHeld } from '../../src/sync/held.ts';
import { type EngineWorld, type WorldOptions, answering } from '../support/engine.ts';
import { allow, forbid, prohibited } from '../support/forbid.ts';
import { git } from '../support/plain-git.ts';

/** One thing that happens to a connected site. A content registered with `value` must never be lost. */
export interface Scenario {
  readonly name: string;
  readonly options?: Pick<WorldOptions, 'settings' | 'files' | 'repository'>;
  /** Without a crash, once; its result is copied for every step. */
  readonly prepare?: (world: EngineWorld, value: Value) => Promise<void>;
  /** What the process does until it ends; the default is one look at everything. */
  readonly act?: (world: EngineWorld) => Promise<void>;
  /** Somebody acts while the process is down. */
  readonly meanwhile?: (world: EngineWorld, value: Value) => void;
  /** The site is not connected before. */
  readonly first?: 'replace' | 'start-from-folder';
  readonly way?: 'link';
  /** Somebody acts in the instant before the first file is swapped or taken. */
  readonly rival?: (site: string, value: Value) => void;
  /** What a person chooses where a yes could mean more than one thing. */
  readonly answer?: HoldChoice;
  /** Beyond the oracle of all scenarios. */
  readonly expect?: (world: EngineWorld) => void;
}

/** Makes a content that exists nowhere else. */
export type Value = (name: string) => string;

const website = {
  'index.html': 'home\n',
  'about.md': 'one\ntwo\nthree\nfour\nfive\nsix\nseven\n',
  'posts/a.md': 'post a\n',
  'posts/b.md': 'post b\n',
};

export const everything = async (world: EngineWorld): Promise<void> => {
  world.directory.touchedAll();
  await world.sync({ trigger: 'person' });
};

export function forcePush(world: Pick<EngineWorld, 'dir'>, changes: Record<string, string | null>, back = 0): string {
  const clone = join(world.dir, 'clone');
  git(clone, 'fetch', '-q', 'origin');
  git(clone, 'checkout', '-q', '-B', 'main', 'origin/main');
  if (back > 0) git(clone, 'reset', '-q', '--hard', `HEAD~${back}`);
  for (const [path, content] of Object.entries(changes)) {
    if (content === null) rmSync(join(clone, path), { recursive: true, force: true });
    else {
      mkdirSync(join(clone, path, '..'), { recursive: true });
      writeFileSync(join(clone, path), content);
    }
  }
  git(clone, 'add', '-A');
  git(clone, 'commit', '-q', '--allow-empty', ...(back > 0 ? [] : ['--amend']), '-m', 'Rewritten');
  git(clone, 'push', '-q', '--force', 'origin', 'HEAD:main');
  return git(clone, 'rev-parse', 'HEAD');
}

function makeLink(at: string, target: string): void {
  rmSync(at, { force: true });
  symlinkSync(target.trimEnd(), at);
}

const website30 = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f/${i}.txt`, `${i}\n`]));

/** Each side has its own version of the path that waits. */
function apart(w: EngineWorld): void {
  assert.match(w.read('about.md'), /^s/);
  assert.match(git(w.bare, 'show', 'main:about.md'), /^r/);
}

export const scenarios: readonly Scenario[] = [
  { name: 'an edit in the folder', prepare: async (w, v) => w.write('about.md', v('edit')) },
  {
    name: 'an edit, an addition and a removal in the folder',
    async prepare(w, v) {
      w.write('about.md', v('edit'));
      w.write('new/deep.md', v('added'));
      w.remove('posts/a.md');
    },
  },
  {
    name: 'a pull',
    prepare: async (w, v) => void w.push({ 'about.md': v('r'), 'n/new.md': v('n'), 'posts/a.md': null }),
  },
  {
    name: 'a pull, where only link can replace',
    way: 'link',
    prepare: async (w, v) => void w.push({ 'about.md': v('r'), 'index.html': v('i'), 'posts/a.md': null }),
  },
  {
    name: 'a clean merge',
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), 'r.md': v('rn') });
      w.write('index.html', v('s'));
      w.write('s.md', v('sn'));
    },
  },
  ...(['repository', 'site'] as const).map((policy): Scenario => ({
    name: `a conflict, policy ${policy}`,
    options: { settings: { policy } },
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), 'posts/a.md': null, 'posts/b.md': v('rb'), both: v('r both') });
      w.write('about.md', v('s'));
      w.write('posts/a.md', v('sa'));
      w.remove('posts/b.md');
      w.write('both', v('s both'));
    },
  })),
  {
    name: 'a conflict, where only link can replace, edited again while it is down',
    way: 'link',
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), 'index.html': v('ri') });
      w.write('about.md', v('s'));
    },
    meanwhile: (w, v) => w.write('index.html', v('down')),
  },
  {
    name: 'a conflict that waits for a person',
    options: { settings: { policy: 'hold' } },
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), 'index.html': v('ri') });
      w.write('about.md', v('s'));
    },
    expect: apart,
  },
  ...(['repository', 'site'] as const).map((choice): Scenario => ({
    name: `a conflict that waited, and the ${choice}’s version is chosen`,
    options: { settings: { policy: 'hold' } },
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), 'index.html': v('ri') });
      w.write('about.md', v('s'));
      await everything(w);
      w.write('about.md', v('s later'));
      apart(w);
    },
    async act(w) {
      const { repository, directory } = w;
      await resolveHeld({ repository, directory, now: () => Date.now() }, 'about.md' as SitePath, choice);
      await everything(w);
    },
  })),
  {
    name: 'a file becomes a folder on the branch',
    prepare: async (w, v) => void w.push({ 'index.html': null, 'index.html/in.md': v('in') }),
  },
  {
    name: 'a folder becomes a file on the branch',
    async prepare(w, v) {
      w.push({ posts: null });
      w.push({ posts: v('file') });
    },
  },
  {
    name: 'a file becomes a folder here, and is edited on the branch',
    async prepare(w, v) {
      w.remove('index.html');
      w.write('index.html/in.md', v('in'));
      w.push({ 'index.html': v('r') });
    },
  },
  {
    name: 'a folder becomes a file here, and a file in it is edited on the branch',
    async prepare(w, v) {
      w.remove('posts');
      w.write('posts', v('file'));
      w.push({ 'posts/a.md': v('r') });
    },
  },
  {
    name: 'both sides add: a file here, a folder there',
    async prepare(w, v) {
      w.write('thing', v('file'));
      w.push({ 'thing/in.md': v('in') });
    },
  },
  {
    name: 'both sides add: a folder here, a file there',
    async prepare(w, v) {
      w.write('thing/in.md', v('in'));
      w.push({ thing: v('file') });
    },
  },
  {
    name: 'a pull of thirty files',
    prepare: async (w, v) =>
      void w.push(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`bulk/${i}.md`, v(`b${i}`)]))),
  },
  {
    name: 'a renaming here, an edit there',
    async prepare(w, v) {
      w.push({ 'about.md': `${v('r')}two\nthree\nfour\nfive\nsix\nseven\n` });
      const text = w.read('about.md');
      w.remove('about.md');
      w.write('moved.md', text);
    },
  },
  {
    name: 'the first connect replaces a filled folder',
    first: 'replace',
    options: { files: { 'index.html': 'folder index\n', 'posts/a.md': 'folder a\n', 'only/here.md': 'only here\n' } },
  },
  {
    name: 'the first connect replaces a filled folder, edited while it is down',
    first: 'replace',
    options: { files: { 'index.html': 'folder index\n', 'posts/a.md': 'folder a\n', 'only/here.md': 'only here\n' } },
    meanwhile(w, v) {
      w.write('index.html', `folder index\n${v('down index')}`);
      w.write('posts/b.md', v('down b'));
    },
  },
  {
    name: 'the first connect starts from the folder',
    first: 'start-from-folder',
    options: { files: { 'index.html': 'folder index\n', 'posts/a.md': 'folder a\n', 'only/here.md': 'only here\n' } },
  },
  {
    name: 'a version is taken back',
    async prepare(w, v) {
      w.push({ 'about.md': v('r') });
      w.write('about.md', v('s'));
      await everything(w);
      const tip = git(w.bare, 'rev-parse', 'main^1');
      const oid = git(w.bare, 'rev-parse', `${tip}:about.md`) as never;
      await takeVersion(w, 'about.md' as SitePath, { oid, isLink: false });
      w.write('index.html', v('later'));
    },
  },
  {
    name: 'a kept folder is restored',
    options: { files: { 'index.html': 'kept index\n', 'old.md': 'kept old\n' } },
    async prepare(w, v) {
      const [kept] = await w.repository.kept();
      w.write('about.md', v('s'));
      await everything(w);
      await restoreKept(w, kept!.id, undefined);
    },
    act: async (w) => {
      w.directory.touchedAll();
      const { choice, remote } = await w.repository.ledger();
      await w.sync({ ...answering({ step: `${choice}:${remote}` } as Hold) });
    },
  },
  {
    name: 'removed files are put back',
    options: { repository: { ...website30, 'index.html': 'home\n' } },
    async prepare(w, v) {
      w.push({ ...Object.fromEntries(Object.keys(website30).map((path) => [path, null])), 'index.html': v('r') });
      w.write('other.md', v('s'));
      const { hold } = await w.sync();
      await putBack(w.repository, hold!);
    },
  },
  {
    name: 'rewritten history, nothing done here',
    prepare: async (w, v) => void forcePush(w, { 'about.md': v('rewritten') }),
  },
  {
    name: 'rewritten history with work here',
    async prepare(w, v) {
      w.push({ 'posts/a.md': v('before') });
      await everything(w);
      w.write('index.html', v('s'));
      forcePush(w, { 'about.md': v('rewritten'), 'index.html': v('ri') }, 1);
    },
    act: async (w) => {
      w.directory.touchedAll();
      const { hold } = await w.sync();
      await w.sync({ ...answering(hold) });
    },
  },
  ...(['put-back', 'go-on'] as const).map((choice): Scenario => ({
    name: `the branch went back, others pushed since, there is work here: ${choice}`,
    answer: choice,
    async prepare(w, v) {
      const old = w.tip();
      w.push({ 'about.md': v('lost'), 'posts/c.md': v('lost too'), 'posts/b.md': null }, 'Lost');
      await everything(w);
      git(w.bare, 'update-ref', 'refs/heads/main', old);
      await everything(w);
      w.push({ 'index.html': v('newer') });
      w.write('posts/c.md', v('s'));
      w.write('new.md', v('sn'));
    },
    act: async (w) => {
      w.directory.touchedAll();
      const { hold } = await w.sync();
      await w.sync({ ...answering(hold, choice) });
    },
    expect(w) {
      const subjects = git(w.bare, 'log', 'main', '--format=%s').split('\n');
      assert.is(subjects.includes('Lost'), choice === 'put-back');
      assert.match(git(w.bare, 'show', 'main:index.html'), /^newer/);
      assert.match(git(w.bare, 'show', 'main:posts/c.md'), /^s /);
      assert.match(git(w.bare, 'show', 'main:about.md'), choice === 'put-back' ? /^lost/ : /^one/);
    },
  })),
  {
    name: 'control files come and are refused',
    async prepare(w, v) {
      w.push({ 'about.md': v('r'), '.htaccess': v('control'), 'sub/.htaccess': v('control 2') });
      w.write('index.html', v('s'));
    },
    expect: (w) => assert.match(git(w.bare, 'show', 'main:.htaccess'), 'control'),
  },
  {
    name: 'a tracked file becomes a link on the branch',
    async prepare(w, v) {
      const clone = join(w.dir, 'clone');
      w.push({ 'index.html': v('r') });
      rmSync(join(clone, 'about.md'));
      symlinkSync('index.html', join(clone, 'about.md'));
      git(clone, 'add', '-A');
      git(clone, 'commit', '-q', '-m', 'A link');
      git(clone, 'push', '-q', 'origin', 'HEAD:main');
      w.write('posts/b.md', v('s'));
    },
    expect: (w) => assert.match(git(w.bare, 'ls-tree', 'main', 'about.md'), /^120000/, 'the link was reverted'),
  },
  ...(['exchange', 'link'] as const).map((way): Scenario => ({
    name: `somebody saves in the instant of the swap, by ${way}`,
    ...(way === 'link' ? { way } : {}),
    prepare: async (w, v) => void w.push({ 'about.md': v('r'), 'index.html': v('ri'), 'posts/a.md': null }),
    rival(site, v) {
      for (const path of ['about.md', 'posts/a.md']) {
        writeFileSync(join(site, `${path}.part`), v(`rival ${path}`));
        renameSync(join(site, `${path}.part`), join(site, path));
      }
    },
  })),
  ...(['exchange', 'link'] as const).map((way): Scenario => ({
    name: `links travel both ways, by ${way}`,
    options: { settings: { links: true } },
    ...(way === 'link' ? { way } : {}),
    async prepare(w, v) {
      const clone = join(w.dir, 'clone');
      makeLink(join(w.site, 'here'), v('here'));
      makeLink(join(w.site, 'posts/b.md'), v('b'));
      await everything(w);
      git(clone, 'pull', '-q');
      makeLink(join(clone, 'there'), v('there'));
      makeLink(join(clone, 'index.html'), v('index'));
      makeLink(join(clone, 'posts/b.md'), v('b there'));
      makeLink(join(clone, 'out'), '/etc');
      w.push({ here: null, 'about.md': v('r') }, 'Links');
      makeLink(join(w.site, 'posts/a.md'), v('a'));
      makeLink(join(w.site, 'posts/b.md'), v('b here'));
    },
    expect(w) {
      assert.match(git(w.bare, 'ls-tree', 'main', 'out'), /^120000/, 'the refused link was reverted');
      assert.match(git(w.bare, 'ls-tree', 'main', 'posts/a.md'), /^120000/);
    },
  })),
  {
    name: 'a tracked file becomes a link here, and is edited on the branch',
    async prepare(w, v) {
      rmSync(join(w.site, 'about.md'));
      symlinkSync('index.html', join(w.site, 'about.md'));
      w.push({ 'about.md': v('r'), 'index.html': v('ri') });
    },
  },
  {
    name: 'a refused line is made anew, with a version that lost a conflict',
    async prepare(w, v) {
      forbid(w.bare, 'secret');
      w.write('secret.txt', v('secret'));
      w.write('about.md', v('s'));
      await everything(w);
      allow(w.bare);
      w.push({ 'about.md': v('r'), 'index.html': v('ri') });
      forbid(w.bare, 'secret');
      await everything(w);
      w.remove('secret.txt');
      w.write('posts/a.md', v('later'));
    },
    expect(w) {
      const history = git(w.bare, 'log', 'main', '-p', '-m', '--format=');
      assert.match(history, /^\+s \d/m, 'the version that lost is not on GitLab');
      assert.not.match(history, /^\+secret \d/m);
    },
  },
  {
    name: 'a refused line is made anew without the file that GitLab names, beside one that waits for a person',
    options: { settings: { policy: 'hold' } },
    async prepare(w, v) {
      w.push({ 'about.md': v('r') });
      w.write('about.md', v('s'));
      forbid(w.bare, 'secret', prohibited);
      w.write('secret.txt', v('secret'));
      w.write('posts/a.md', v('later'));
    },
    expect(w) {
      apart(w);
      assert.match(w.read('secret.txt'), /^secret/);
      assert.match(git(w.bare, 'show', 'main:posts/a.md'), /^later/);
    },
  },
  {
    name: 'a late write',
    async prepare(w, v) {
      w.push({ 'about.md': v('r') });
      await everything(w);
      w.later(700_000);
    },
    act: async (w) => everything(w.later(700_000)),
  },
];

export const site = website;
