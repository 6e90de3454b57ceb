import { unsafePath } from '../model/path-safety.ts';
import type { Change, Entry, Mode, Oid, SitePath } from '../model/tree.ts';
import type { Author, Repository, CommittedFiles, PendingFile } from '../sync/ports.ts';
import type { FastImport, ImportEdit } from './fast-import.ts';
import type { View } from './view.ts';

interface TakeTools {
  /** What a tree has at some paths. */
  readonly entriesAt: (tree: Oid, paths: readonly SitePath[]) => Promise<Map<SitePath, Entry>>;
  readonly startStream: () => FastImport;
  readonly below: View['below'];
  readonly author: Author;
  readonly committer: Author;
  /** Seconds since 1970, never before the parent's. */
  readonly date: () => number;
}

/** Records what is taken from the folder as one commit; without a parent, as the first. */
export async function take(
  { entriesAt, startStream, below, author, committer, date }: TakeTools,
  parent: { readonly oid: Oid; readonly tree: Oid } | undefined,
  pending: readonly PendingFile[],
  message: Parameters<Repository['commitFiles']>[2],
): Promise<CommittedFiles> {
  const bad = pending.find(({ path }) => unsafePath(path) !== undefined);
  if (bad) throw new Error(`a path that must not travel was about to be recorded: ${JSON.stringify(bad.path)}`);
  const paths = pending.map(({ path }) => path);
  const before = parent ? await entriesAt(parent.tree, paths) : new Map<SitePath, Entry>();
  const stream = startStream();
  const read = await readAll(stream, pending).catch(async (error: unknown) => {
    await stream.abandon();
    throw error;
  });
  // Removing a file that became a folder, one commit after the folder, would take the folder's files with it.
  const edits: ImportEdit[] = read.steady
    .filter(({ path, mode }) => mode !== undefined || before.has(path))
    .map(({ path, mode, mark }) => (mode === undefined ? { path } : { path, entry: { mode, mark } }));
  if (edits.length === 0 && parent) {
    await stream.abandon();
    const gone = read.steady.map(({ path }) => [path, undefined] as const);
    return { commit: parent.oid, entries: new Map(gone), unsteady: read.unsteady };
  }
  const mark = await stream.commit({
    author,
    committer,
    date: date(),
    message: message(read.steady.map(({ path, mode }) => changeOf(path, before.get(path), mode)).filter(isChange)),
    parents: parent ? [parent.oid] : [],
    edits: edits.map(below),
  });
  const oids = await stream.finish();
  const entries = new Map<SitePath, Entry | undefined>();
  for (const { path, mode, mark: blob } of read.steady) {
    entries.set(path, mode === undefined ? undefined : { mode, oid: oids.get(blob) as Oid });
  }
  const same = parent && [...entries].every(([path, entry]) => sameEntry(entry, before.get(path)));
  return { commit: same ? parent.oid : (oids.get(mark) as Oid), entries, unsteady: read.unsteady };
}

async function readAll(
  stream: FastImport,
  pending: readonly PendingFile[],
): Promise<{ steady: { path: SitePath; mode?: Mode; mark: number }[]; unsteady: SitePath[] }> {
  const steady: { path: SitePath; mode?: Mode; mark: number }[] = [];
  const unsteady: SitePath[] = [];
  for (const { path, file } of pending) {
    if (!file) {
      steady.push({ path, mark: 0 });
      continue;
    }
    const open = await file.open();
    if (!open) {
      unsteady.push(path);
      continue;
    }
    const mark = await stream.blob(open).catch((error: unknown) => {
      open.finish();
      throw error;
    });
    // A file that changed while it was read is in the stream but in no tree: half of it must not become a version.
    if (open.finish()) steady.push({ path, mode: file.mode, mark });
    else unsteady.push(path);
  }
  return { steady, unsteady };
}

function sameEntry(a: Entry | undefined, b: Entry | undefined): boolean {
  return a?.oid === b?.oid && a?.mode === b?.mode;
}

/** Made and removed again before anybody looked: nothing to tell. */
function isChange({ before, after }: Change): boolean {
  return before !== undefined || after !== undefined;
}

const unknown = '0'.repeat(40) as Oid;

/** For the message only: the new blob's id is not known yet. */
function changeOf(path: SitePath, before: Entry | undefined, mode: Mode | undefined): Change {
  const after = mode === undefined ? undefined : { mode, oid: unknown };
  return { path, ...(before ? { before } : {}), ...(after ? { after } : {}) };
}
