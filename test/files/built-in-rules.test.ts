import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { builtInRuleFor, builtInRules } from '../../src/model/built-in-rules.ts';
import { type SitePath, pathFromText } from '../../src/model/tree.ts';

const rules = suite('files/built-in-rules');

/** By rule: names that its tools leave behind, and names like them that people give their files. */
const table: Readonly<Record<string, { left: readonly string[]; content: readonly string[] }>> = {
  vim: {
    left: ['.index.html.swp', '.index.html.SWO', '.a.swk', '.swp', '4913', 'posts/4913'],
    content: ['index.swp', 'movie.swf', '.movie.swf', '4913.html', '49130', '.swp.html', '.a.swa'],
  },
  backup: { left: ['index.html~', 'a/.htaccess~', 'list.txt.~1~'], content: ['~', '~index', 'a~b', 'x~/index.html'] },
  emacs: {
    left: ['#index.html#', '.#index.html', 'a/#b c#'],
    content: ['#', '##', '#1', '#index', 'index#', '.#', 'c#.md', '#x#/index.html'],
  },
  'editor-save': {
    left: ['.a.html.kate-swp', '.goutputstream-AB12CD', 'a.js___jb_tmp___', 'a.js___jb_old___', '.subl5a7.tmp'].concat([
      'report.tmp.4711',
      'config.json.tmp.4711.1732891234567',
    ]),
    content: [
      'report.tmp.html',
      'report.tmp',
      'a.tmp.2',
      'goutputstream-AB12CD',
      'jb_tmp.js',
      'a.kate-swp',
      'x.tmp.v2',
    ],
  },
  office: {
    left: ['~$report.docx', '~$Sheet.XLSX', '~$a.doc', '~WRL0001.tmp', '.~lock.report.odt#'],
    content: ['~$price', '~$cash.html', 'report.docx', '$a.docx', '.~lock.report.odt', '~WRITE.tmp', 'lock.x#'],
  },
  macos: {
    left: ['.DS_Store', 'a/.ds_store', '._index.html', 'index.html.sb-5fe3d4a1-AbCdEf'],
    content: ['DS_Store', '.DS_Store.md', '_._a', '._', '.sb-5fe3d4a1-AbCdEf', 'a.sb-notes-AbCdEf'],
  },
  windows: {
    left: ['Thumbs.db', 'thumbs.DB', 'ehthumbs.db', 'a/desktop.ini', 'Desktop.ini'],
    content: ['thumbs.db.md', 'my-thumbs.db', 'thumbs.html', 'desktop.ini.txt', 'desktop.html'],
  },
  upload: {
    left: [
      'a.zip.filepart',
      '.in.a.zip.',
      '.in.a.zip',
      '.pureftpd-upload.4eefcd05.15.543d',
      'a.iso.lftp-pget-status',
    ].concat(['a.zip.part', 'film.mp4.PART', 'a.zip.crdownload', 'a.jpg.ocTransferId1.part']),
    content: [
      '.filepart',
      'a.filepart.md',
      'in.html',
      '.include',
      '.in.',
      'header.part',
      'x.part/index.html',
      'part',
    ].concat(['a.part.html', '.part', 'crdownload', 'pureftpd-upload.md']),
  },
  rsync: {
    left: ['.index.html.Ab12Cd', '.name.Ab12Cd', '.photo.jpg.kT9f2Q', '.a.x4Y5z6', '..htaccess.XyZ12a', '.b.a1b2c3'],
    content: [
      'index.html.Ab12Cd',
      '.name.config',
      '.name.Backup',
      '.name.README',
      '.name.backup',
      '.name.200101',
    ].concat(
      ['.name.sha256', '.name.v2beta', '.name.es2020', '.name.Ab12C', '.name.Ab12Cde', '.Ab12Cd', '.name.ab-1Cd'],
      ['.name.MD5sum/x', '.name.Win311'],
    ),
  },
  syncthing: {
    left: ['.syncthing.index.html.tmp', '~syncthing~index.html.tmp'],
    content: ['.syncthing.md', 'syncthing.index.html.tmp', '.syncthing.tmp'],
  },
  network: {
    left: ['.nfs0000000000a1b2c300000001', 'a/.NFS0000000000a1b2c300000001', '.smb0000000000a1b2c300000001'].concat([
      '.__smbfile_silly1234',
      '.fuse_hidden0000000a00000001',
      '.fuse_hidden0000000000000a0000000001',
    ]),
    content: [
      '.nfs',
      '.nfsrc',
      '.nfs4.conf',
      '.nfsbadface',
      '.smbrc',
      '.fuse_hidden',
      '.fuse_hidden.md',
      'nfs0000000000a1b2c3',
    ],
  },
  synology: {
    left: ['@eaDir/photo.jpg/SYNOPHOTO_THUMB_M.jpg', 'a/@eadir/x'],
    content: ['@eaDir', '@eaDir.md', 'eaDir/x', 'a/@eaDirs/x'],
  },
  acme: {
    left: [
      '.well-known/acme-challenge/LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0',
      'a/.well-known/acme-challenge/tok-1_x',
    ],
    content: ['.well-known/acme-challenge/index.html', '.well-known/security.txt', '.well-known/acme-challenge'].concat(
      ['acme-challenge/token', '.well-known/acme-challenge/a/b', '.well-known/acme-challenge/.htaccess'],
    ),
  },
  wordpress: {
    left: ['.maintenance', 'blog/.maintenance'],
    content: ['maintenance', '.maintenance.php', 'maintenance.html', '.maintenance/index.html'],
  },
};

rules('each rule leaves out what its tools leave behind, and no content with a name like it', () => {
  assert.equal(
    Object.keys(table),
    builtInRules.map(({ id }) => id),
  );
  for (const [id, { left, content }] of Object.entries(table)) {
    for (const path of left) assert.is(builtInRuleFor(pathFromText(path), 'file')?.id, id, path);
    for (const path of content) assert.is(builtInRuleFor(pathFromText(path), 'file')?.id, undefined, path);
  }
});

rules('each pattern of each rule has a name that it alone leaves out', () => {
  for (const { id, files } of builtInRules) {
    for (const { shown, matches } of files) {
      const found = table[id]?.left.filter((path) => matches(path.slice(path.lastIndexOf('/') + 1), path as SitePath));
      assert.ok((found?.length ?? 0) > 0, `${id} ${shown}`);
    }
  }
});

rules('no folder is left out for its name, @eaDir apart', () => {
  for (const [id, { left }] of Object.entries(table)) {
    for (const path of left) {
      const caught = builtInRuleFor(pathFromText(path), 'directory');
      assert.is(caught?.id, id === 'synology' ? 'synology' : undefined, path);
      if (id !== 'synology') assert.is(builtInRuleFor(pathFromText(`${path}/index.html`), 'file'), undefined, path);
    }
  }
  assert.equal(builtInRuleFor('a/@eaDir' as SitePath, 'directory'), { id: 'synology', rule: '@eaDir/' });
});

rules('a rule that is off leaves nothing out', () => {
  for (const [id, { left }] of Object.entries(table))
    for (const path of left) assert.is(builtInRuleFor(pathFromText(path), 'file', [id]), undefined, path);
});

rules.run();
