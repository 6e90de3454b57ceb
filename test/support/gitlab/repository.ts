/** Bare repositories on disk, read and written with plain git commands. */
import { appendFile, chmod, cp, mkdir, readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Git } from './git.ts';

const hooksFrom = join(dirname(fileURLToPath(import.meta.url)), 'receive-hooks');

export const zeros = '0'.repeat(40);

/** What to write: text or bytes, or null to delete the path. */
export type Changes = Record<string, string | Buffer | null>;

export interface Commit {
  readonly id: string;
  readonly parents: string[];
  readonly authorName: string;
  readonly authorEmail: string;
  readonly authoredAt: string;
  readonly committerName: string;
  readonly committerEmail: string;
  readonly committedAt: string;
  readonly message: string;
}

export interface RefChange {
  readonly before: string;
  readonly after: string;
  readonly ref: string;
}

export interface Author {
  readonly name: string;
  readonly email: string;
}

export async function createRepository(git: Git, path: string, defaultBranch: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const { code, stderr } = await git.run(['init', '--quiet', '--bare', `--initial-branch=${defaultBranch}`, path]);
  if (code !== 0) throw new Error(`git init failed: ${stderr}`);
  await rm(join(path, 'hooks'), { recursive: true, force: true });
  await cp(hooksFrom, join(path, 'hooks'), { recursive: true });
  // A checkout without file modes would otherwise switch the branch rules off in silence.
  for (const hook of await readdir(join(path, 'hooks'))) await chmod(join(path, 'hooks', hook), 0o755);
  await appendFile(join(path, 'config'), settings);
}

/** As Gitaly sets them: push options and partial clone on, GitLab's own refs hidden, no housekeeping behind our back. */
const settings = `
[http]
  receivepack = true
[receive]
  advertisePushOptions = true
  autogc = false
  hideRefs = refs/merge-requests
[gc]
  auto = 0
[uploadpack]
  allowFilter = true
  allowAnySHA1InWant = true
[transfer]
  hideRefs = refs/keep-around
`;

/** The commit a branch points at; undefined when there is no such branch. */
export async function branchHead(git: Git, repo: string, branch: string): Promise<string | undefined> {
  return resolve(git, repo, `refs/heads/${branch}`);
}

/** The commit behind a branch name, tag or commit id. */
export async function resolve(git: Git, repo: string, revision: string): Promise<string | undefined> {
  const args = ['--git-dir', repo, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`];
  const { code, stdout } = await git.run(args);
  return code === 0 ? stdout.toString().trim() : undefined;
}

export async function branchNames(git: Git, repo: string): Promise<string[]> {
  const out = await git.text(repo, ['for-each-ref', '--format=%(refname:lstrip=2)', 'refs/heads/']);
  return out === '' ? [] : out.split('\n');
}

const commitFormat = ['%H', '%P', '%an', '%ae', '%aI', '%cn', '%ce', '%cI', '%B'].join('%x00');

/** Commits, newest first. `args` are those of git log: revisions, -n, --skip, -- path. */
export async function commits(git: Git, repo: string, args: string[]): Promise<Commit[]> {
  const out = await git.text(repo, ['log', `--format=tformat:${commitFormat}%x00%x01`, ...args]);
  return out
    .split('\0\x01')
    .map((part) => part.replace(/^\n/, '').split('\0'))
    .filter((fields) => fields.length >= 9)
    .map((fields) => {
      const [id = '', parents = '', authorName = '', authorEmail = '', authoredAt = ''] = fields;
      const [committerName = '', committerEmail = '', committedAt = '', message = ''] = fields.slice(5);
      return {
        id,
        parents: parents === '' ? [] : parents.split(' '),
        ...{ authorName, authorEmail, authoredAt, committerName, committerEmail, committedAt, message },
      };
    });
}

/** Which paths one commit added, modified and removed, against its first parent. */
export async function changedPaths(
  git: Git,
  repo: string,
  id: string,
): Promise<Record<'added' | 'modified' | 'removed', string[]>> {
  const args = [
    'diff-tree',
    '-r',
    '-z',
    '--root',
    '-m',
    '--first-parent',
    '--no-renames',
    '--name-status',
    '--no-commit-id',
    id,
  ];
  const fields = (await git.text(repo, args)).split('\0');
  const paths = { added: [] as string[], modified: [] as string[], removed: [] as string[] };
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const status = fields[at];
    const path = fields[at + 1] ?? '';
    if (status === 'A') paths.added.push(path);
    else if (status === 'D') paths.removed.push(path);
    else paths.modified.push(path);
  }
  return paths;
}

/** A commit never changes, and tests ask again and again until it is another one. */
const known = new Map<string, Map<string, Buffer>>();

export async function readFiles(git: Git, repo: string, revision: string): Promise<Map<string, Buffer>> {
  const commit = await git.text(repo, ['rev-parse', '--verify', `${revision}^{commit}`]);
  const files = known.get(commit) ?? (await readCommit(git, repo, commit));
  if (known.size > 20) known.clear();
  known.set(commit, files);
  return new Map(files);
}

/** Every file of a commit with its bytes. Links give their target, submodules are left out. */
async function readCommit(git: Git, repo: string, revision: string): Promise<Map<string, Buffer>> {
  const listing = await git.text(repo, ['ls-tree', '-r', '-z', '--full-tree', revision]);
  const entries = listing
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [, type = '', id = ''] = line.slice(0, tab).split(' ');
      return { type, id, path: line.slice(tab + 1) };
    })
    .filter(({ type }) => type === 'blob');
  const { stdout } = await git.run(
    ['--git-dir', repo, 'cat-file', '--batch'],
    entries.map(({ id }) => `${id}\n`).join(''),
  );
  const files = new Map<string, Buffer>();
  let at = 0;
  for (const { path } of entries) {
    const end = stdout.indexOf(10, at);
    const size = Number(stdout.subarray(at, end).toString().split(' ')[2]);
    files.set(path, stdout.subarray(end + 1, end + 1 + size));
    at = end + 1 + size + 1;
  }
  return files;
}

/** fast-import's quoting: paths are bytes, and the quoted form takes any of them. */
function quote(path: string): string {
  return `"${path.replace(/["\\\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`;
}

export interface NewCommit {
  readonly branch: string;
  readonly changes: Changes;
  readonly message: string;
  readonly author: Author;
  readonly seconds: number;
  /** The parent; undefined begins a new history. */
  readonly parent: string | undefined;
  /** Rewrites the branch when the parent is not its head. */
  readonly force: boolean;
}

/** Writes one commit with git fast-import, and gives its id. */
export async function writeCommit(git: Git, repo: string, commit: NewCommit): Promise<string> {
  const who = `${commit.author.name} <${commit.author.email}> ${commit.seconds} +0000`;
  const message = Buffer.from(commit.message);
  const parts: (Buffer | string)[] = [
    // Without a reset, fast-import would continue from the branch where a new history is wanted.
    commit.parent === undefined ? `reset refs/heads/${commit.branch}\n\n` : '',
    `commit refs/heads/${commit.branch}\nmark :1\nauthor ${who}\ncommitter ${who}\ndata ${message.length}\n`,
    message,
    '\n',
    commit.parent === undefined ? '' : `from ${commit.parent}\n`,
  ];
  for (const [path, content] of Object.entries(commit.changes)) {
    if (content === null) {
      parts.push(`D ${quote(path)}\n`);
      continue;
    }
    const bytes = Buffer.from(content);
    parts.push(`M 100644 inline ${quote(path)}\ndata ${bytes.length}\n`, bytes, '\n');
  }
  parts.push('get-mark :1\ndone\n');
  const args = ['--git-dir', repo, 'fast-import', '--quiet', '--done', ...(commit.force ? ['--force'] : [])];
  const { code, stdout, stderr } = await git.run(args, Buffer.concat(parts.map((part) => Buffer.from(part))));
  if (code !== 0) throw new BranchMoved(`git fast-import failed: ${stderr}`);
  return stdout.toString().trim();
}

/** Somebody else's push came in between (or fast-import failed otherwise; the message tells). */
export class BranchMoved extends Error {}
