import { type Refusal, isAboutCommits, readRefusal } from '../model/refusal.ts';
import { type Change, type Entry, type Oid, type SitePath, escapeLines, markOf } from '../model/tree.ts';
import { editMessage, mergeMessage, trailer, wording } from './message.ts';
import type { RunDeps } from './notes.ts';
import type { Author, OwnCommit, Repository, WaitingPath } from './ports.ts';

/**
 * Makes commits that GitLab refused anew. A rule that looks at each commit goes on refusing a content that was added
 * and removed again, since both commits are in the line. So the fewest commits that hold the folder's present state
 * take that line's place on the branch's tip: one for each author, and one beside them for versions that lost a
 * conflict, so that these are on GitLab all the same. Commits that GitLab may have are never made anew.
 */
export type MakeAnewDeps = Pick<RunDeps, 'site' | 'repository' | 'directory' | 'remote' | 'now' | 'signal'>;

export interface Anew {
  /** What is on disk now; the branch's tip itself where nothing is left to push. */
  readonly commit: Oid;
  /** Paths that wait from now on. */
  readonly waiting: readonly WaitingPath[];
}

interface Line {
  readonly disk: Oid;
  readonly tip: Oid | undefined;
  readonly own: readonly OwnCommit[];
  /** From the branch to the folder. */
  readonly going: ReadonlyMap<SitePath, Change>;
  /** Versions that a merge of ours put another in the place of. */
  readonly lost: readonly Version[];
  /** Every content that the line brings, by path and id. */
  readonly brings: ReadonlySet<string>;
}

interface Version {
  readonly path: SitePath;
  readonly entry: Entry;
  readonly author: Author;
}

/** `without`: what a person agreed to leave out; absent: only what GitLab's words name, and what the folder lacks. */
export async function makeAnew(
  deps: MakeAnewDeps,
  tip: Oid | undefined,
  refusal: Refusal,
  without?: readonly SitePath[],
): Promise<Anew | 'moved' | undefined> {
  const reading = readRefusal(refusal.text);
  if (!isAboutCommits(reading.kind)) return undefined;
  const line = await readLine(deps.repository, tip);
  if (!line) return undefined;
  const named = new Set([...siteNames(deps, reading.paths), ...pathsOf(line, reading.blobs), ...(without ?? [])]);
  const waiting = [...named].flatMap((path): WaitingPath[] => {
    const after = line.going.get(path)?.after;
    return after && after.mode !== '160000' ? [{ path, ...after, text: escapeLines(refusal.text) }] : [];
  });
  const out = new Set(waiting.map(({ path }) => path));
  const going = [...line.going.values()].filter(({ path }) => !out.has(path));
  // The versions that lost go along, unless it is they that GitLab refuses.
  const lost = without ? [] : line.lost.filter(({ path }) => !named.has(path));
  const stays = new Set([...going, ...lost.map(({ path, entry }) => ({ path, after: entry }))].map(keyOf));
  const dropped = [...line.brings].filter((key) => !stays.has(key));
  const groups = grouped(line, going, reading.kind === 'author' ? 'present' : 'each');
  const messages = groups.map(({ changes }) => editMessage(changes, wording(deps.site, deps.now())));
  const worthwhile =
    waiting.length > 0 ||
    dropped.length > 0 ||
    (reading.kind === 'message' && line.own.some(({ message }) => !messages.includes(message)));
  if (!worthwhile && reading.kind !== 'author') return undefined;
  const commit = await build(deps, line, groups, messages, lost);
  if (reading.kind === 'author' && !worthwhile && !(await isByOther(deps.repository, line, commit))) return undefined;
  // A push that was cut off may have arrived all the same: only what GitLab does not have may be made anew.
  if ((await deps.remote.head(deps.signal, true)) !== (tip ?? 'absent')) return 'moved';
  const waits = new Set(waiting.map(({ path, oid }) => `${path}\0${oid}`));
  // What waits is kept by its own ref. Who made a commit and what it said is part of the old line too.
  if (reading.kind === 'author' || reading.kind === 'message' || dropped.some((key) => !waits.has(key))) {
    await deps.repository.keep({
      cause: 'refused',
      at: deps.now(),
      commit: line.disk,
      files: line.going.size,
      bytes: 0,
    });
  }
  await deps.repository.replaceLine(line.disk, commit, waiting);
  deps.directory.hold((await deps.repository.held()).map(({ path }) => path));
  await deps.directory.resetBaseline(commit, () => deps.repository.files(commit, Number.POSITIVE_INFINITY));
  return { commit, waiting };
}

/** What a person may agree to leave out: files that came with the first refused push, and versions that lost a conflict. */
export async function mayBeExcluded(
  { repository }: MakeAnewDeps,
  tip: Oid | undefined,
  { text, first = [] }: Refusal,
): Promise<NonNullable<Refusal['leaves']>> {
  if (!isAboutCommits(readRefusal(text).kind)) return [];
  const line = await readLine(repository, tip);
  if (!line) return [];
  const suspects = first.flatMap((path) => line.going.get(path) ?? []).filter(({ after }) => after);
  const old = line.lost.filter(({ path }) => !suspects.some((one) => one.path === path));
  return [
    ...suspects.map((change) => ({ path: change.path, mark: markOf(change) })),
    ...old.map(({ path }) => ({ path, mark: '~' as const })),
  ];
}

/** The unpushed line, where it may be made anew: all of it is ours, and it stands on the branch's tip. */
async function readLine(repository: Repository, tip: Oid | undefined): Promise<Line | undefined> {
  const { disk, choice, base, pending } = await repository.ledger();
  if (!disk || choice || base || pending) return undefined;
  if (tip && (await repository.relation(disk, tip)) !== 'ahead') return undefined;
  const own = await repository.unpushed(disk, tip);
  // What is not ours came from GitLab, whoever removed it from the branch since: its history is not ours to change.
  if (own.length === 0 || own.some(({ message }) => !message.includes(trailer))) return undefined;
  const going = new Map((await repository.changes(tip, disk)).map((change) => [change.path, change]));
  const brings = new Set<string>();
  const lost = new Map<string, Version>();
  for (const commit of own) {
    const { parents, changes } = commit;
    for (const change of changes) if (change.after) brings.add(keyOf(change));
    if (parents.length < 2) continue;
    const { replaced, made } = await mergedIn(repository, own, commit, brings);
    for (const change of made) brings.add(keyOf(change));
    for (const version of replaced) lost.set(`${version.path}\0${version.entry.oid}`, version);
  }
  const live = new Set([...going.values()].map(keyOf));
  return { disk, tip, own, going, brings, lost: [...lost].filter(([key]) => !live.has(key)).map(([, one]) => one) };
}

/** What a merge of ours took from the line, and what it made that neither side had. */
async function mergedIn(
  repository: Repository,
  own: readonly OwnCommit[],
  merge: OwnCommit,
  brings: ReadonlySet<string>,
): Promise<{ replaced: Version[]; made: Change[] }> {
  const sides = await Promise.all(merge.parents.map((parent) => repository.changes(parent, merge.oid)));
  const replaced: Version[] = [];
  for (const { path, before } of sides.flat()) {
    if (!before || !brings.has(`${path}\0${before.oid}`)) continue;
    const by = own.find(({ changes }) => changes.some((one) => one.path === path && one.after?.oid === before.oid));
    replaced.push({ path, entry: before, author: (by ?? merge).author });
  }
  const everywhere = (path: SitePath): boolean => sides.every((side) => side.some((one) => one.path === path));
  const made = (sides[0] ?? []).filter(({ path, after }) => after && everywhere(path));
  return { replaced, made };
}

interface Group {
  readonly author: Author | undefined;
  readonly changes: readonly Change[];
}

/** What goes, by whose commit changed it last; authors in the order of their first commit. */
function grouped({ own }: Line, going: readonly Change[], by: 'each' | 'present'): readonly Group[] {
  if (going.length === 0) return [];
  if (by === 'present') return [{ author: undefined, changes: going }];
  const last = new Map<SitePath, Author>();
  const order = new Map<string, { author: Author; changes: Change[] }>();
  for (const { author, changes } of own) {
    if (!order.has(nameOf(author))) order.set(nameOf(author), { author, changes: [] });
    for (const { path } of changes) last.set(path, author);
  }
  const newest = own.at(-1)?.author as Author;
  for (const change of going) order.get(nameOf(last.get(change.path) ?? newest))?.changes.push(change);
  return [...order.values()].filter(({ changes }) => changes.length > 0);
}

/** The commits themselves. The last of them has exactly the folder's state, without what waits. */
async function build(
  { repository, site, now }: MakeAnewDeps,
  line: Line,
  groups: readonly Group[],
  messages: readonly string[],
  lost: readonly Version[],
): Promise<Oid> {
  const aside: Oid[] = [];
  for (const layer of layers(lost)) {
    const edits = layer.map(({ path, entry }) => ({ path, entry }));
    const about = editMessage(
      layer.map(({ path, entry }) => ({ path, after: entry })),
      wording(site, now()),
    );
    const message = about.replace('\n\n', '\n\nVersions that lost a conflict, so that they stay in the history.\n\n');
    const [{ author }] = layer as [Version, ...Version[]];
    aside.push(await repository.createCommit({ ...(await on(repository, line.tip)), edits, message, author }));
  }
  let present = line.tip;
  for (const [at, { author, changes }] of groups.entries()) {
    const isLast = at === groups.length - 1;
    const start = await on(repository, present);
    const edits = changes.map(({ path, after }) => (after ? { path, entry: after } : { path }));
    present = await repository.createCommit({
      ...start,
      // The line's own side first, as in every merge of ours.
      ...(isLast && aside.length > 0 ? { parents: [aside[0] as Oid, ...start.parents, ...aside.slice(1)] } : {}),
      edits,
      message: messages[at] as string,
      ...(author ? { author } : {}),
    });
  }
  if (groups.length === 0 && aside.length > 0) {
    const { tree, parents } = await on(repository, present);
    const message = mergeMessage(lost.length);
    present = await repository.createCommit({
      parents: [aside[0] as Oid, ...parents, ...aside.slice(1)],
      tree,
      message,
    });
  }
  return present as Oid;
}

async function on(repository: Repository, commit: Oid | undefined): Promise<{ tree: Oid; parents: readonly Oid[] }> {
  if (!commit) return { tree: emptyTree, parents: [] };
  return { tree: (await repository.commit(commit)).tree, parents: [commit] };
}

const emptyTree = '4b825dc642cb6eb9a060e54bf8d69288fbee4904' as Oid;

/** As few trees as hold every version, each tree by one author. */
function layers(lost: readonly Version[]): readonly (readonly Version[])[] {
  const made: Version[][] = [];
  for (const version of lost) {
    const fits = made.find(
      (layer) =>
        nameOf((layer[0] as Version).author) === nameOf(version.author) &&
        layer.every(({ path }) => path !== version.path && !isWithin(path, version.path)),
    );
    if (fits) fits.push(version);
    else made.push([version]);
  }
  return made;
}

const isWithin = (a: string, b: string): boolean => a.startsWith(`${b}/`) || b.startsWith(`${a}/`);

/** Whether the present author is another one than some commit of the line had. */
async function isByOther(repository: Repository, { own, tip }: Line, commit: Oid): Promise<boolean> {
  const [made] = await repository.unpushed(commit, tip);
  return made !== undefined && own.some(({ author }) => nameOf(author) !== nameOf(made.author));
}

const nameOf = ({ name, email }: Author): string => `${name}\0${email}`;

const keyOf = ({ path, after }: Pick<Change, 'path' | 'after'>): string => `${path}\0${after?.oid ?? ''}`;

/** The paths as the site has them: GitLab names them from the repository's top. */
function siteNames({ site }: MakeAnewDeps, paths: readonly SitePath[]): readonly SitePath[] {
  const subfolder = site.binding?.subfolder;
  if (!subfolder) return paths;
  return paths
    .filter((path) => path.startsWith(`${subfolder}/`))
    .map((path) => path.slice(subfolder.length + 1) as SitePath);
}

/** Where the line has these contents. */
function pathsOf({ brings }: Line, blobs: readonly Oid[]): readonly SitePath[] {
  const wanted = new Set<string>(blobs);
  return [...brings]
    .map((key) => key.split('\0') as [SitePath, string])
    .filter(([, oid]) => wanted.has(oid))
    .map(([path]) => path);
}
