import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSiteFolders } from '../../src/files/folders.ts';
import type { SiteId } from '../../src/model/site.ts';
import { problemOf } from '../net/support.ts';

const folders = suite('files/folders');

function arrange() {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'mooring-folders-')));
  const root = join(home, 'www');
  for (const name of ['www/blog', 'www/shop/inner', 'www/taken/inside', 'www/state/git', 'other']) {
    mkdirSync(join(home, name), { recursive: true });
  }
  writeFileSync(join(root, 'blog/index.html'), 'hello');
  writeFileSync(join(root, 'file'), 'x');
  symlinkSync(join(home, 'other'), join(root, 'link'));
  symlinkSync(join(root, 'shop'), join(root, 'inner-link'));
  const acts = createSiteFolders({
    roots: [root],
    stateDir: join(root, 'state'),
    sites: () => [{ id: 's1' as SiteId, name: 'Taken', folder: join(root, 'taken') }],
  });
  return { home, root, acts, end: () => rmSync(home, { recursive: true }) };
}

folders('a folder under a root is accepted, by its real path', async () => {
  const { root, acts, end } = arrange();
  assert.is(await acts.checkFolder(`${root}/blog/`), join(root, 'blog'));
  assert.is(await acts.checkFolder(`${root}/shop/../blog`), join(root, 'blog'));
  assert.is(await acts.checkFolder(`${root}/inner-link/inner`), join(root, 'shop/inner'));
  end();
});

folders('every other place is refused with its reason', async () => {
  const { home, root, acts, end } = arrange();
  const cases = [
    ['', 'folder-invalid'],
    ['blog', 'folder-invalid'],
    ['/', 'folder-invalid'],
    [`${root}/blog/../../../../../../..`, 'folder-invalid'],
    [`${root}/blog\0/x`, 'folder-invalid'],
    ['/etc', 'folder-outside-roots'],
    [root, 'folder-invalid'],
    [`${home}/other`, 'folder-outside-roots'],
    [`${root}/link`, 'folder-link'],
    [`${root}/file`, 'folder-not-folder'],
    [`${root}/nothing`, 'folder-missing'],
    [`${root}/state`, 'folder-invalid'],
    [`${root}/state/git`, 'folder-invalid'],
    [`${root}/taken`, 'folder-overlaps'],
    [`${root}/taken/inside`, 'folder-overlaps'],
  ] as const;
  for (const [path, code] of cases) assert.is((await problemOf(acts.checkFolder(path))).code, code, path);
  assert.is(await acts.checkFolder(`${root}/taken`, 's1' as SiteId), join(root, 'taken'));
  end();
});

folders('a path through a link that leads out of the roots is refused', async () => {
  const { home, root, acts, end } = arrange();
  mkdirSync(join(home, 'other/deep'));
  assert.is((await problemOf(acts.checkFolder(`${root}/link/deep`))).code, 'folder-outside-roots');
  end();
});

folders('folders that may not be read or written are refused', async () => {
  if (process.getuid?.() === 0)
    return console.log('not run here: root may do everything; end-to-end/bad-input shows it as another user');
  const { root, acts, end } = arrange();
  chmodSync(join(root, 'blog'), 0o500);
  assert.is((await problemOf(acts.checkFolder(`${root}/blog`))).code, 'folder-unwritable');
  chmodSync(join(root, 'blog'), 0o300);
  assert.is((await problemOf(acts.checkFolder(`${root}/blog`))).code, 'folder-unreadable');
  chmodSync(join(root, 'blog'), 0o700);
  end();
});

folders('the roots’ subfolders are offered with their size, and with why one cannot be used', async () => {
  const { root, acts, end } = arrange();
  const offers = await acts.folders();
  assert.equal(
    offers.map(({ path, files, bytes, empty, disabled }) => [
      path.slice(root.length + 1),
      files,
      bytes,
      empty,
      disabled,
    ]),
    [
      ['blog', 1, 5, false, undefined],
      ['shop', 0, 0, true, undefined],
      ['state', 0, 0, true, 'Mooring keeps its own state there.'],
      ['taken', 0, 0, true, 'Overlaps with the site Taken.'],
    ],
  );
  end();
});

folders.run();
