import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createTracked } from '../../src/files/attributes.ts';
import { type SitePath } from '../../src/model/tree.ts';
import { git, scratch } from '../support/plain-git.ts';

const attributes = suite('files/attributes');

const rules: Readonly<Record<string, string>> = {
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
  ...[
    'stardust',
    'star-dust',
    'star/dust',
    'a.txt',
    'dot.1.gz',
    'dotx1xgz',
    'deep/x.bin',
    'deep/x.psd',
    'deep/here.dat',
  ],
  ...['deep/er/x.bin', 'deep/er/x.psd', 'deep/sub/here.dat', 'deep/er/most/x.bin', 'X.BIN', '.bin', 'x.bin.txt'],
];

attributes('which paths are kept in LFS is decided as git decides it', () => {
  const { dir, remove } = scratch();
  try {
    git(dir, 'init', '-q');
    for (const [folder, text] of Object.entries(rules)) {
      const file = join(dir, folder, '.gitattributes');
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    const asked = git(dir, 'check-attr', 'filter', '--', ...paths).split('\n');
    const theirs = Object.fromEntries(asked.map((row, at) => [paths[at], row.endsWith(': filter: lfs')]));
    const tracked = createTracked((folder) => rules[folder]);
    assert.equal(Object.fromEntries(paths.map((path) => [path, tracked(path as SitePath)])), theirs);
    assert.ok(Object.values(theirs).filter(Boolean).length > 15);
  } finally {
    remove();
  }
});

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
  ]) {
    const tracked = createTracked((folder) => (folder === '' ? `${pattern} filter=lfs\n` : undefined));
    assert.type(tracked(`${'a/'.repeat(50)}${'a'.repeat(200)}!` as SitePath), 'boolean');
  }
});

attributes.run();
