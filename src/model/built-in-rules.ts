import type { SitePath } from './tree.ts';

/**
 * Files that tools leave in a folder while they work, or for themselves alone: never content of a site. Each rule can be
 * turned off per site by its id, so an id never changes. The rules are for files: a folder is left out by `files` never,
 * whatever its name; the one exception says so. They take no notice of case, since some of the tools do not either.
 */
export interface BuiltInRule {
  readonly id: string;
  readonly title: string;
  /** Who leaves such files, and when: for the settings page. */
  readonly from: string;
  readonly files: readonly FilePattern[];
  /** Names of folders that are left out with all that is in them. */
  readonly folders?: readonly string[];
}

interface FilePattern {
  /** As people write it; what `matches` says in full. */
  readonly shown: string;
  /** Asked with the name in the file's folder. */
  readonly matches: (name: string, path: SitePath) => boolean;
}

const file = (shown: string, expression: RegExp): FilePattern => ({ shown, matches: (name) => expression.test(name) });

export const builtInRules: readonly BuiltInRule[] = [
  {
    id: 'vim',
    title: 'Vim and nano',
    from: 'Swap files beside a file that is open, and the file that Vim creates to test whether it can write.',
    files: [file('.*.sw[g-p]', /^\..*\.sw[g-p]$/i), file('.sw[g-p]', /^\.sw[g-p]$/i), file('4913', /^4913$/)],
  },
  {
    id: 'backup',
    title: 'Editors’ backups',
    from: 'The version before the last save, by Emacs, Vim, nano, gedit and others.',
    files: [file('*~', /.~$/)],
  },
  {
    id: 'emacs',
    title: 'Emacs',
    from: 'Auto-saved text and locks of files that are open.',
    files: [file('#*#', /^#.+#$/), file('.#*', /^\.#./)],
  },
  {
    id: 'editor-save',
    title: 'Unfinished saves',
    from: 'What Kate, GNOME, JetBrains and Sublime Text write first and then rename, and files that end in .tmp and a process number.',
    files: [
      file('.*.kate-swp', /^\..+\.kate-swp$/i),
      file('.goutputstream-*', /^\.goutputstream-[a-z0-9]{6}$/i),
      file('*___jb_tmp___', /.___jb_(tmp|old)___$/i),
      file('.subl*.tmp', /^\.subl[0-9a-f]{1,4}\.tmp$/i),
      file('*.tmp.<number>', /.\.tmp\.\d{2,}(\.\d+)*$/i),
    ],
  },
  {
    id: 'office',
    title: 'Microsoft Office and LibreOffice',
    from: 'Locks and drafts of documents that are open.',
    files: [
      file('~$*.docx', /^~\$.+\.(do[ct]|xl[astw]|pp[ast]|pot|vs[dst])[bmx]?$/i),
      file('~WR*.tmp', /^~wr[a-z]\d{4}\.tmp$/i),
      file('.~lock.*#', /^\.~lock\..+#$/i),
    ],
  },
  {
    id: 'macos',
    title: 'macOS',
    from: 'View settings and attributes that the Finder writes to shared disks, and unfinished saves.',
    files: [
      file('.DS_Store', /^\.ds_store$/i),
      file('._*', /^\._(?!_smbfile_)./),
      file('*.sb-<hex>-*', /.\.sb-[0-9a-f]{8}-[a-z0-9]{6}$/i),
    ],
  },
  {
    id: 'windows',
    title: 'Windows',
    from: 'Previews and view settings of the Explorer.',
    files: [file('Thumbs.db', /^(eh)?thumbs\.db$/i), file('desktop.ini', /^desktop\.ini$/i)],
  },
  {
    id: 'upload',
    title: 'Uploads and downloads in progress',
    from: 'Parts of a file that WinSCP, ProFTPD, Pure-FTPd, lftp, KDE, Nextcloud or a browser renames at the end.',
    files: [
      file('*.filepart', /.\.filepart$/i),
      file('.in.*', /^\.in\../i),
      file('.pureftpd-upload.*', /^\.pureftpd-(upload|rename)\./i),
      file('*.lftp-pget-status', /.\.lftp-pget-status$/i),
      file('*.*.part', /.\.[^.]+\.part$/i),
      file('*.crdownload', /.\.crdownload$/i),
    ],
  },
  {
    id: 'rsync',
    title: 'rsync',
    from: 'The copy that rsync writes beside a file: its name with a leading dot and six random characters at the end.',
    files: [{ shown: '.*.Ab12Cd', matches: (name) => isRandom(/^\..+\.([A-Za-z0-9]{6})$/.exec(name)?.[1] ?? '') }],
  },
  {
    id: 'syncthing',
    title: 'Syncthing',
    from: 'Files being received from another device.',
    files: [file('.syncthing.*.tmp', /^[.~]syncthing[.~].+\.tmp$/i)],
  },
  {
    id: 'network',
    title: 'NFS, SMB and FUSE',
    from: 'Files that were removed while a program had them open. They disappear when the program closes them.',
    files: [
      file('.nfs<hex>', /^\.nfs[0-9a-f]{16,}$/i),
      file('.smb<hex>', /^\.smb[0-9a-f]{16,}$/i),
      file('.__smbfile_silly*', /^\.__smbfile_(silly|tmp)/i),
      file('.fuse_hidden<hex>', /^\.fuse_hidden[0-9a-f]{8,}$/i),
    ],
  },
  {
    id: 'synology',
    title: 'Synology',
    from: 'Previews and attributes that a Synology NAS keeps in a folder of its own.',
    files: [],
    folders: ['@eaDir'],
  },
  {
    id: 'acme',
    title: 'Certificate challenges',
    from: 'Answers to Let’s Encrypt and others: valid for seconds and only on this server.',
    files: [
      {
        shown: '.well-known/acme-challenge/*',
        matches: (name, path) => /(^|\/)\.well-known\/acme-challenge\/[^/]+$/i.test(path) && /^[\w-]+$/.test(name),
      },
    ],
  },
  {
    id: 'wordpress',
    title: 'WordPress',
    from: 'The mark for maintenance while WordPress updates itself.',
    files: [file('.maintenance', /^\.maintenance$/i)],
  },
];

/** By random letters and digits: no word, no number, no word with a number behind it. */
function isRandom(text: string): boolean {
  const words = /^([A-Z]?[a-z]+|[A-Z]+)$/;
  if (words.test(text)) return false;
  if (/[A-Z]/.test(text)) return /[a-z0-9]/.test(text) && !/^[A-Z]?[a-z]*\d*$|^[A-Z]+\d+$/.test(text);
  // Small letters and digits in turn, as hardly a word has them.
  return (text.match(/\d+/g) ?? []).length >= 2 && /[a-z]/.test(text);
}

/** The rule that leaves a path out, and what of it matches. */
export function builtInRuleFor(
  path: SitePath,
  kind: 'file' | 'directory',
  off: readonly string[] = [],
): { id: string; rule: string } | undefined {
  const names = path.split('/');
  const name = names.at(-1) as string;
  const folders = (kind === 'directory' ? names : names.slice(0, -1)).map((folder) => folder.toLowerCase());
  for (const { id, files, folders: left = [] } of builtInRules) {
    if (off.includes(id)) continue;
    const folder = left.find((one) => folders.includes(one.toLowerCase()));
    if (folder !== undefined) return { id, rule: `${folder}/` };
    const found = kind === 'file' ? files.find(({ matches }) => matches(name, path)) : undefined;
    if (found) return { id, rule: found.shown };
  }
  return undefined;
}
