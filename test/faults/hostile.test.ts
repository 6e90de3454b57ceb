import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { stagingFolders } from '../support/staging.ts';
import * as assert from 'uvu/assert';
import { realFs } from '../../src/files/disk.ts';
import { type SitePath, displayPath } from '../../src/model/tree.ts';
import type { Fs } from '../../src/model/world.ts';
import { git, gitBytes } from '../support/plain-git.ts';
import { snapshot } from '../support/snapshot.ts';
import { overHttp } from './over-http.ts';
import { commitOf, connected, fault, gitChildren, inline, plant, problemOf } from './support.ts';

/** What anybody who may push to one project can put into it. */
const hostile = suite('hostile repository');

/** Names as fast-import writes them. */
const disguises: Record<string, string> = {
  'a hook': '.git/hooks/post-checkout',
  'another case': '.GIT/config',
  'deep inside': 'a/.git/config',
  'the short name of Windows': 'git~1/config',
  'a character nobody sees': '".g\\342\\200\\214it/config"',
  'a backslash': '".git\\\\config"',
  'a trailing dot': '.git./config',
  'a stream': '".git::$INDEX_ALLOCATION/config"',
  'two dots': '../outside.txt',
  'two dots inside': 'a/../../outside.txt',
  'one dot': './x/./y',
};

for (const [what, path] of Object.entries(disguises)) {
  hostile(`S1: .git in disguise, ${what}: over the network it is refused, nothing of it reaches the folder`, () =>
    overHttp({}, async (world) => {
      await world.connect();
      const before = await snapshot(world.site);
      world.plant(commitOf([inline(path, 'evil'), inline('innocent.txt', 'innocent')]));
      let refused = '';
      const outcome = await world.sync().catch((error: { code?: string }) => void (refused = error.code ?? ''));
      if (refused) {
        assert.is(refused, 'fetch-refused');
        assert.equal(await snapshot(world.site), before);
      } else {
        assert.ok(outcome?.notSynced.some(({ reason }) => reason.kind === 'bad-name'));
        assert.is(world.read('innocent.txt'), 'innocent');
      }
      assert.not(names(world.site).some((name) => /git~1|\.g.?it|outside/i.test(name)));
      assert.not(existsSync(join(world.dir, 'outside.txt')));
    }),
  );

  hostile(`S1: .git in disguise, ${what}: our own check refuses it by name where git’s let it pass`, () =>
    connected({}, async (world) => {
      const around = readdirSync(world.dir).sort();
      const tip = plant(world.bare, commitOf([inline(path, 'evil'), inline('innocent.txt', 'innocent')]));
      const outcome = await world.sync();
      const named = outcome.notSynced.filter(({ reason }) => reason.kind === 'bad-name');
      assert.is(named.length, 1, JSON.stringify(outcome.notSynced));
      assert.is(world.read('innocent.txt'), 'innocent');
      assert.equal(names(world.site), ['about.md', 'index.html', 'innocent.txt', 'posts', 'posts/a.md', 'posts/b.md']);
      assert.equal(readdirSync(world.dir).sort(), around);
      // It is neither reported as removed nor in the way of what comes later.
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip);
      world.write('index.html', 'edited\n');
      await world.sync();
      assert.is(git(world.bare, 'show', 'main:index.html'), 'edited');
      assert.is(git(world.bare, 'diff', '--name-only', tip, 'main'), 'index.html');
    }),
  );
}

const names = (site: string): string[] =>
  (readdirSync(site, { recursive: true }) as string[]).filter((name) => !name.includes('.mooring-')).sort();

hostile('S2: links from the repository are never made, whatever they point at', () =>
  connected({}, async (world) => {
    const links = { abs: '/etc', up: '../..', deep: 'posts/../../x', here: 'index.html', self: 'self' };
    const tip = plant(world.bare, commitOf(Object.entries(links).map(([at, to]) => inline(at, to, '120000'))));
    const outcome = await world.sync();
    for (const at of Object.keys(links)) {
      assert.not(lstatOrNothing(join(world.site, at)), at);
      assert.ok(
        outcome.notSynced.some(({ path, reason }) => path === at && reason.kind === 'link'),
        at,
      );
    }
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
  }),
);

hostile('S2: a link, then a file below it: the file is in the folder, not where the link led', () =>
  connected({}, async (world) => {
    const outside = join(world.dir, 'outside');
    mkdirSync(outside);
    plant(world.bare, commitOf([inline('way', outside, '120000')]));
    await world.sync();
    plant(world.bare, commitOf(['D way', inline('way/evil.txt', 'evil')]));
    await world.sync();
    await world.sync();
    assert.equal(readdirSync(outside), []);
    assert.is(world.read('way/evil.txt'), 'evil');
    assert.not(lstatSync(join(world.site, 'way')).isSymbolicLink());
  }),
);

hostile('S2: a local link is never followed: nothing is written through it, nothing behind it is read', () =>
  connected({}, async (world) => {
    const outside = join(world.dir, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'secret.txt'), 'must not travel\n');
    symlinkSync(outside, join(world.site, 'out'));
    symlinkSync('/etc/passwd', join(world.site, 'file-link'));
    const before = await snapshot(outside);
    const tip = plant(world.bare, commitOf([inline('out/secret.txt', 'evil'), inline('out/new.txt', 'evil')]));
    for (const trigger of ['person', 'rescan', 'person', 'start'] as const) {
      world.directory.touchedAll();
      await world.sync({ trigger });
    }
    assert.equal(await snapshot(outside), before);
    assert.ok(lstatSync(join(world.site, 'out')).isSymbolicLink());
    assert.is(git(world.bare, 'diff', '--name-only', tip, 'main'), '', 'something behind a link was committed');
    assert.not(git(world.gitDir, 'log', '--all', '-p', '--text').includes('must not travel'));
  }),
);

hostile(
  'S2: the folder on the way is swapped for a link in the instant of the swap: nothing outside is touched',
  async () => {
    const real = realFs();
    const order = { armed: false, met: 0 };
    let swap = (): void => {};
    const now = (): void => {
      if (!order.armed) return;
      order.armed = false;
      order.met += 1;
      swap();
    };
    const fs: Fs = {
      ...real,
      ...(real.exchange
        ? {
            exchange(a: number, nameA: Buffer, b: number, nameB: Buffer) {
              now();
              real.exchange?.(a, nameA, b, nameB);
            },
          }
        : {}),
      link(from, name, to, newName) {
        now();
        real.link(from, name, to, newName);
      },
    };
    await connected({ fs }, async (world) => {
      const outside = join(world.dir, 'outside');
      mkdirSync(outside);
      writeFileSync(join(outside, 'a.md'), 'outside\n');
      const before = await snapshot(outside);
      swap = () => {
        renameSync(join(world.site, 'posts'), join(world.site, 'posts-away'));
        symlinkSync(outside, join(world.site, 'posts'));
      };
      world.push({ 'posts/a.md': 'new\n', 'posts/c.md': 'added\n' });
      order.armed = true;
      await world.sync();
      assert.is(order.met, 1, 'the point was not met');
      assert.equal(await snapshot(outside), before);
      for (const trigger of ['rescan', 'person'] as const) await world.sync({ trigger });
      assert.equal(await snapshot(outside), before);
      assert.not(git(world.bare, 'log', '--all', '-p', '--text').includes('outside'));
    });
  },
);

hostile('S3: a submodule is not fetched, not shown as a folder, and stays in the repository', () =>
  connected({}, async (world) => {
    const marker = join(world.dir, 'marker');
    const modules = `[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c "touch ${marker}"\n\tupdate = !touch ${marker}\n`;
    const oid = git(world.bare, 'rev-parse', 'main');
    const tip = plant(world.bare, commitOf([`M 160000 ${oid} sub`, inline('.gitmodules', modules)]));
    const outcome = await world.sync();
    assert.ok(outcome.notSynced.some(({ path, reason }) => path === 'sub' && reason.kind === 'submodule'));
    assert.not(existsSync(join(world.site, 'sub')));
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
    world.write('index.html', 'edited\n');
    await world.sync();
    assert.match(git(world.bare, 'ls-tree', 'main', 'sub'), /^160000 commit/);
    assert.not(existsSync(marker));
  }),
);

hostile('S3: a folder that stands where a submodule comes is untouched, and does not push the submodule out', () =>
  connected({ repository: { 'index.html': 'home\n', 'other.txt': 'other\n' } }, async (world) => {
    mkdirSync(join(world.site, 'sub'));
    const oid = git(world.bare, 'rev-parse', 'main');
    plant(world.bare, commitOf([`M 160000 ${oid} sub`]));
    await world.sync();
    writeFileSync(join(world.site, 'sub', 'local.txt'), 'local\n');
    for (const trigger of ['rescan', 'person', 'rescan'] as const) {
      world.directory.touchedAll();
      await world.sync({ trigger });
    }
    assert.is(world.read('sub/local.txt'), 'local\n');
    assert.match(git(world.bare, 'ls-tree', 'main', 'sub'), /^160000 commit/, 'the submodule is gone from the branch');
  }),
);

hostile('S4: a repository inside the site runs nothing, is named, and never becomes a submodule', () =>
  connected({}, async (world) => {
    const marker = join(world.dir, 'marker');
    const nested = join(world.site, 'plugin');
    mkdirSync(nested);
    git(nested, 'init', '-q', '--template=');
    writeFileSync(join(nested, 'code.php'), '<?php\n');
    git(nested, 'add', '-A');
    git(nested, 'commit', '-q', '-m', 'Plugin');
    const touch = `touch '${marker}'; cat`;
    writeFileSync(
      join(nested, '.git', 'config'),
      `[core]\n\trepositoryformatversion = 0\n\tfsmonitor = "${touch}"\n\thooksPath = .git/hooks\n[filter "x"]\n\tclean = "${touch}"\n\tsmudge = "${touch}"\n\tprocess = "${touch}"\n[diff "x"]\n\ttextconv = "${touch}"\n`,
    );
    mkdirSync(join(nested, '.git', 'hooks'), { recursive: true });
    for (const hook of ['pre-commit', 'post-commit', 'post-checkout', 'reference-transaction', 'post-index-change'])
      writeFileSync(join(nested, '.git', 'hooks', hook), `#!/bin/sh\ntouch '${marker}'\n`, { mode: 0o755 });
    writeFileSync(join(nested, '.gitattributes'), '* filter=x diff=x\n');
    writeFileSync(join(world.site, '.gitattributes'), '* filter=x diff=x\n');
    const { atime, mtime } = statSync(join(nested, 'code.php'));
    writeFileSync(join(nested, 'code.php'), '<?PHP\n');
    utimesSync(join(nested, 'code.php'), atime, mtime);
    for (const trigger of ['rescan', 'person', 'start'] as const) {
      world.directory.touchedAll();
      const outcome = await world.sync({ trigger });
      assert.ok(outcome.notSynced.some(({ path, reason }) => path === 'plugin' && reason.kind === 'nested-repository'));
    }
    assert.not(existsSync(marker), 'something of the nested repository was run');
    assert.not(git(world.bare, 'ls-tree', '-r', 'main').includes('160000'));
    assert.not(git(world.bare, 'ls-tree', '-r', '--name-only', 'main').includes('plugin'));
  }),
);

hostile('S4: a file of a nested repository that is saved is as little looked at as the rest of it', () =>
  connected({}, async (world) => {
    const tip = world.tip();
    world.write('plugin/.git/HEAD', 'ref: refs/heads/main\n');
    world.write('plugin/lib/deep/code.php', '<?php\n');
    for (const trigger of ['watch', 'person'] as const) {
      const { notSynced } = await world.sync({ trigger });
      assert.equal(
        notSynced.filter(({ path }) => path === 'plugin'),
        [{ path: 'plugin', reason: { kind: 'nested-repository' } }],
      );
      world.directory.touched(join(world.site, 'plugin/lib/deep/code.php'));
    }
    assert.is(world.tip(), tip, 'it was pushed');
  }),
);

hostile('S5: attributes in the repository change no byte and run nothing, in either direction', () =>
  connected({}, async (world) => {
    const marker = join(world.dir, 'marker');
    for (const dir of [world.gitDir]) git(dir, 'config', 'filter.evil.smudge', `touch '${marker}'; cat`);
    git(world.gitDir, 'config', 'filter.evil.clean', `touch '${marker}'; cat`);
    const attributes =
      'f.txt filter=evil\ncrlf.txt text eol=crlf\nident.txt ident\nutf16.txt working-tree-encoding=UTF-16\nu.txt merge=union\n*.txt diff=evil\n';
    const contents = {
      'f.txt': 'filter\n',
      'crlf.txt': 'a\nb\n',
      'ident.txt': '$Id$\n',
      'utf16.txt': 'sixteen\n',
      'u.txt': 'base\n',
    };
    plant(
      world.bare,
      commitOf([
        inline('.gitattributes', attributes),
        ...Object.entries(contents).map(([at, text]) => inline(at, text)),
      ]),
    );
    await world.sync();
    for (const [path, content] of Object.entries(contents)) assert.is(world.read(path), content, path);
    const edits = {
      'f.txt': 'F\r\n',
      'crlf.txt': 'a\r\nb\nc\r',
      'ident.txt': '$Id: mine $\n',
      'utf16.txt': '\u00e9\n',
    };
    for (const [path, content] of Object.entries(edits)) world.write(path, content);
    await world.sync();
    for (const [path, content] of Object.entries(edits))
      assert.is(gitBytes(world.bare, 'cat-file', 'blob', `main:${path}`).toString(), content, path);
    plant(world.bare, commitOf([inline('u.txt', 'theirs\n')]));
    world.write('u.txt', 'ours\n');
    // The one attribute that a merge goes by: it runs nothing, and keeps the lines of both.
    const { lost } = await world.sync();
    assert.equal(lost, []);
    assert.equal(world.read('u.txt').split('\n').sort(), ['', 'ours', 'theirs']);
    assert.not(existsSync(marker));
  }),
);

hostile('S5: a stand-in of LFS is named and not written; the file it would replace stays', () =>
  connected({}, async (world) => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'a'.repeat(64)}\nsize 12345\n`;
    world.push({ 'film.mp4': pointer, 'index.html': pointer });
    const tip = world.tip();
    const outcome = await world.sync();
    for (const at of ['film.mp4', 'index.html'])
      assert.ok(
        outcome.notSynced.some(({ path, reason }) => path === at && reason.kind === 'lfs-pointer'),
        at,
      );
    assert.not(world.has('film.mp4'));
    assert.is(world.read('index.html'), 'home\n');
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip, 'the old content was pushed over the stand-in');
  }),
);

/** A few kilobytes that name 10^levels paths. */
function treeBomb(bare: string, levels: number): string {
  let entry = `100644 blob ${git(bare, 'rev-parse', 'main:index.html')}`;
  let tree = '';
  for (let level = 0; level < levels; level += 1) {
    const rows = Array.from({ length: 10 }, (_, i) => `${entry}\t${i}`).join('\n');
    writeFileSync(join(bare, 'rows'), `${rows}\n`);
    tree = git(bare, 'rev-parse', '--verify', mktree(bare));
    entry = `040000 tree ${tree}`;
  }
  return plant(bare, commitOf([`M 040000 ${tree} bomb`]));
}

function mktree(bare: string): string {
  return git(bare, '-c', "alias.make=!git mktree < '" + join(bare, 'rows') + "'", 'make');
}

/** The real file system, which ends the test rather than writing a bomb out. */
function bounded(most: number): { fs: Fs; made: () => number } {
  const real = realFs();
  let count = 0;
  return {
    made: () => count,
    fs: {
      ...real,
      createFile(...args) {
        count += 1;
        if (count > most) throw fault('EBOMB');
        return real.createFile(...args);
      },
    },
  };
}

for (const [what, edit] of [
  ['only the branch moved', false],
  ['both sides moved', true],
] as const) {
  hostile(`S6: a tree bomb is held before anything is written: ${what}`, async () => {
    const { fs, made } = bounded(50);
    await connected(
      { fs, settings: { limits: { fileBytes: 1e8, files: 1_000, siteBytes: 1e9, massPaths: 20, massShare: 0.3 } } },
      async (world) => {
        const begun = made();
        const tip = treeBomb(world.bare, 5);
        if (edit) world.write('about.md', 'ours\n');
        const before = world.files();
        const problem = await problemOf(() => world.sync());
        assert.ok(['branch-too-many-files', 'repository-too-large'].includes(problem.code), problem.message);
        assert.equal(world.files(), before);
        assert.is(made(), begun);
        assert.is(world.tip(), tip);
        await world.rest();
        assert.equal(gitChildren(), []);
      },
    );
  });
}

hostile('S6: ten thousand million paths in a few kilobytes: held within seconds, at a first connect too', () =>
  overHttp({}, async (world) => {
    await world.connect();
    treeBomb(world.bare, 10);
    const problem = await problemOf(() => world.sync());
    assert.ok(['branch-too-many-files', 'repository-too-large'].includes(problem.code), problem.message);
    const first = await problemOf(() => world.connect());
    assert.is(first.code, 'branch-too-many-files');
    await world.rest();
    assert.equal(gitChildren(), []);
  }),
);

hostile(
  'R27: a branch that outgrows the site names the commit that did it and its author, with later commits above it',
  () =>
    connected(
      { settings: { limits: { fileBytes: 1e8, files: 20, siteBytes: 1e9, massPaths: 20, massShare: 0.3 } } },
      async (world) => {
        const many = Array.from({ length: 30 }, (_, at) => inline(`many/${at}.txt`, `${at}`));
        const culprit = plant(world.bare, commitOf(many, { author: 'Eve' }));
        plant(world.bare, commitOf([inline('harmless.txt', 'x')], { author: 'Adam' }));
        const before = world.files();
        const { code, facts } = await problemOf(() => world.sync());
        assert.is(code, 'branch-too-many-files');
        assert.equal([facts['commit'], facts['author'], facts['limit']], [culprit.slice(0, 12), 'Eve', '20']);
        assert.equal(world.files(), before);
        plant(
          world.bare,
          commitOf(
            Array.from({ length: 30 }, (_, at) => `D many/${at}.txt`),
            { author: 'Adam' },
          ),
        );
        await world.sync();
        assert.is(world.read('harmless.txt'), 'x');
      },
    ),
);

hostile('S7: a blob over the limit of the site is named and not written, small ones beside it arrive', () =>
  connected(
    { settings: { limits: { fileBytes: 1e6, files: 1e5, siteBytes: 1e9, massPaths: 20, massShare: 0.3 } } },
    async (world) => {
      const tip = world.push({ 'zeros.bin': Buffer.alloc(4_000_000), 'small.txt': 'small\n' });
      const outcome = await world.sync();
      assert.ok(outcome.notSynced.some(({ path, reason }) => path === 'zeros.bin' && reason.kind === 'too-large'));
      assert.not(world.has('zeros.bin'));
      assert.is(world.read('small.txt'), 'small\n');
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip);
    },
  ),
);

hostile('S7: a pack larger than allowed ends the fetch, and leaves the site and the disk as they were', () =>
  overHttp({ maxFileBytes: 500_000 }, async (world) => {
    await world.connect();
    const before = await snapshot(world.site);
    await world.project.push('main', { 'noise.bin': randomBytes(3_000_000) });
    const problem = await problemOf(() => world.sync());
    assert.ok(['disk-full', 'repository-too-large'].includes(problem.code), problem.message);
    assert.equal(await snapshot(world.site), before);
    await world.repository.prepare();
    const packs = readdirSync(join(world.gitDir, 'objects', 'pack'));
    for (const name of packs) assert.ok(statSync(join(world.gitDir, 'objects', 'pack', name)).size < 500_000, name);
  }),
);

hostile('S8: a path two thousand levels deep and one of four kilobytes are refused by name, the rest arrives', () =>
  connected({}, async (world) => {
    const deep = `${'d/'.repeat(2_000)}x`;
    const long = Array.from({ length: 20 }, (_, i) => `${i}`.padEnd(220, 'n')).join('/');
    const tip = plant(world.bare, commitOf([inline(deep, 'deep'), inline(long, 'long'), inline('fine.txt', 'fine')]));
    const outcome = await world.sync();
    const refused = outcome.notSynced
      .filter(({ reason }) => reason.kind === 'bad-name')
      .map(({ path }) => path as string);
    assert.equal(refused.sort(), [deep, long].sort());
    assert.is(world.read('fine.txt'), 'fine');
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
  }),
);

hostile(
  'S8: control characters, bytes that are no text, and reversed names travel as bytes and are shown escaped',
  () =>
    connected({}, async (world) => {
      const odd = { '"a\\033[2Jb"': 'a\u001b[2Jb', '"r\\342\\200\\256gpj.php"': 'r\u202egpj.php', '"nl\\nx"': 'nl\nx' };
      plant(
        world.bare,
        commitOf([...Object.keys(odd).map((name) => inline(name, 'x')), inline('"bytes\\377\\376"', 'x')]),
      );
      await world.sync();
      const found = readdirSync(world.site, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
      for (const name of Object.values(odd)) assert.ok(found.includes(Buffer.from(name).toString('latin1')), name);
      assert.ok(found.includes('bytes\xff\xfe'));
      assert.is(displayPath(Buffer.from('a\u001b[2Jb').toString('latin1') as SitePath), 'a\\x1b[2Jb');
      assert.not(displayPath(Buffer.from('r\u202egpj.php').toString('latin1') as SitePath).includes('\u202e'));
      assert.is(displayPath('bytes\xff\xfe' as SitePath), 'bytes\\xff\\xfe');
      const tip = world.tip();
      await world.sync({ trigger: 'rescan' });
      assert.is(world.tip(), tip, 'an odd name was pushed back as something else');
    }),
);

hostile('S9: names that look like options or commands are only names', () =>
  connected({}, async (world) => {
    const odd = [
      '-rf',
      '--upload-pack=touch x',
      '--output=x',
      '$(id)',
      '`id`',
      ';id',
      '@',
      '-',
      '--',
      ':(top)x',
      '*',
      '!x',
      'a b',
    ];
    for (const name of odd) world.write(name, `of ${name}\n`);
    await world.sync();
    const listed = git(world.bare, '-c', 'core.quotePath=false', 'ls-tree', '-z', '--name-only', 'main').split('\0');
    for (const name of odd) assert.ok(listed.includes(name), name);
    for (const name of odd) world.write(name, `again ${name}\n`);
    world.remove('-rf');
    await world.sync();
    for (const name of odd.slice(1)) {
      const oid = git(world.bare, 'ls-tree', '-z', 'main', '--', `:(literal)${name}`).split(/[ \t]/)[2] ?? '';
      assert.is(git(world.bare, 'cat-file', 'blob', oid), `again ${name}`, name);
    }
    world.push({ '--exec=x': 'theirs\n' });
    await world.sync();
    assert.is(world.read('--exec=x'), 'theirs\n');
    assert.not(existsSync(join(world.site, 'x')));
  }),
);

hostile('S11: files that steer the web server are named and not written, and no file gets the x bit', () =>
  connected({}, async (world) => {
    const control = ['.htaccess', 'sub/.user.ini', 'web.config', 'WEB.CONFIG.d/.HTACCESS'];
    const tip = plant(
      world.bare,
      commitOf([
        ...control.map((at) => inline(at, 'evil')),
        inline('run.sh', 'run', '100755'),
        inline('page.php', '<?php'),
      ]),
    );
    const outcome = await world.sync();
    for (const at of control) {
      assert.not(existsSync(join(world.site, at)), at);
      assert.ok(
        outcome.notSynced.some(({ path, reason }) => path === at && reason.kind === 'control-file'),
        at,
      );
    }
    assert.is(statSync(join(world.site, 'run.sh')).mode & 0o111, 0);
    assert.is(statSync(join(world.site, 'page.php')).mode & 0o111, 0);
    await world.sync({ trigger: 'rescan' });
    assert.is(world.tip(), tip);
  }),
);

hostile('S11: the site’s own control files are not taken over by the repository’s', () =>
  connected({}, async (world) => {
    writeFileSync(join(world.site, '.htaccess'), 'mine\n');
    plant(world.bare, commitOf([inline('.htaccess', 'evil')]));
    await world.sync();
    await world.sync({ trigger: 'rescan' });
    assert.is(world.read('.htaccess'), 'mine\n');
  }),
);

hostile('S32: below the site there is never a .git, a store, a journal, or a name that could be guessed', () =>
  connected({}, async (world) => {
    const seen = new Set<string>();
    for (let i = 0; i < 4; i += 1) {
      world.push({ 'index.html': `version ${i}\n`, [`deep/${i}/x.txt`]: 'x\n' });
      await world.sync();
      for (const name of readdirSync(world.site, { recursive: true }) as string[]) seen.add(name);
    }
    const odd = [...seen].filter((name) => /(^|\/)\./.test(name) || /\.jsonl?$/.test(name));
    assert.equal(odd, []);
    const staging = stagingFolders(world.site);
    assert.ok(staging.length > 0);
    for (const folder of staging) {
      assert.match(folder, /\/\.mooring-[0-9a-f]{24}$/);
      assert.is(statSync(folder).mode & 0o777, 0o700);
    }
  }),
);

hostile('S32: a .git found in the site is named and never pushed', () =>
  connected({}, async (world) => {
    mkdirSync(join(world.site, '.git'));
    writeFileSync(join(world.site, '.git', 'config'), '[remote "origin"]\n\turl = https://oauth2:secret@x\n');
    const tip = world.tip();
    world.directory.touchedAll();
    const outcome = await world.sync({ trigger: 'rescan' });
    assert.ok(outcome.notSynced.some(({ path, reason }) => path === '.git' && reason.kind === 'nested-repository'));
    assert.is(world.tip(), tip);
    assert.is(readFileSync(join(world.site, '.git', 'config'), 'utf8').includes('secret'), true);
  }),
);

const secrets = [
  '.env',
  '.env.production',
  'wp-config.php',
  'id_rsa',
  'key.pem',
  'dump.sql',
  '.aws/credentials',
  'sub/.htpasswd',
];

hostile('S33: files that look like secrets are named, stay where they are, and are not pushed', () =>
  connected({}, async (world) => {
    const tip = world.tip();
    for (const name of secrets) world.write(name, 'a secret\n');
    world.write('.env.example', 'an example\n');
    const outcome = await world.sync({ trigger: 'rescan' });
    assert.is(git(world.bare, 'diff', '--name-only', tip, 'main'), '.env.example');
    for (const name of secrets.filter((at) => !at.startsWith('.aws')))
      assert.ok(
        outcome.notSynced.some(({ path, reason }) => path === name && reason.kind === 'secret'),
        name,
      );
    assert.not(git(world.gitDir, 'log', '--all', '-p', '--text').includes('a secret'));
    for (const name of secrets) assert.is(world.read(name), 'a secret\n');
  }),
);

function lstatOrNothing(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

hostile.run();
