import type { NotSynced, NotSyncedReason } from '../model/site.ts';
import { type Oid, type SitePath, sameContent } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { Burst, PendingFile, Repository, ScanReport } from '../sync/ports.ts';
import type { Contents } from './contents.ts';
import type { Debouncer } from './debouncer.ts';
import type { PathErrors } from './errno.ts';
import type { ExcludedPaths } from './excluded-paths.ts';
import { sameInode, seenOf } from './line.ts';
import type { Manifest } from './manifest.ts';
import type { PathAttributes } from './path-attributes.ts';
import { asPointer, standIns } from './pointers.ts';
import { entryOf } from './read.ts';
import type { Recording } from './recording.ts';
import type { ScanResult } from './scan.ts';

interface PendingChangesTools {
  readonly manifest: Manifest;
  readonly contents: Contents;
  readonly debouncer: Debouncer;
  readonly excluded: ExcludedPaths;
  readonly attributes: PathAttributes;
  readonly recording: Recording;
  readonly repository: Pick<Repository, 'blobs' | 'sizes'>;
  /** Wall time, in ms. */
  readonly now: () => number;
}

interface Sorted extends Pick<ScanReport, 'pending' | 'unsettled' | 'againInMs'> {
  readonly pending: PendingFile[];
  readonly unsettled: SitePath[];
  /** Those that change constantly: nothing waits for them. */
  readonly restless: readonly SitePath[];
}

/** What the repository has at an edited path. */
interface Covered {
  readonly path: SitePath;
  readonly oid: Oid;
}

/** So many files that are gone at once are no single removals. */
export const manyGone = 20;

/** Sorts the differences that a scan found: which may be recorded now, and which are not at rest yet. */
export class PendingChanges {
  readonly #tools: PendingChangesTools;
  /** Contents that could not be read when that was last tried. */
  readonly #unread = new Map<SitePath, NotSyncedReason>();

  constructor(tools: PendingChangesTools) {
    this.#tools = tools;
  }

  async sort(result: ScanResult, burst: Burst, errors: PathErrors): Promise<Sorted> {
    const { debouncer, recording } = this.#tools;
    const pace = burst === 'at once' ? 'at once' : 'paced';
    const [unsettled, restless]: [SitePath[], SitePath[]] = [[], []];
    const moves = (path: SitePath): void => void (debouncer.restless.has(path) ? restless : unsettled).push(path);
    const edited = await this.#edited(result, pace, moves, errors);
    const pending = edited.map((path) => recording.pendingFile(path));
    let going = 0;
    for (const path of result.gone) {
      if (debouncer.settled(path, undefined, pace)) pending.push({ path });
      else {
        moves(path);
        going += 1;
      }
    }
    const gathers =
      debouncer.waitsForMove(pending.length, going > manyGone) ||
      (burst === 'gather' && debouncer.gathers(pending.length, unsettled.length));
    // Those at rest would only be looked at again and again until the last one is.
    const againInMs = Math.min(
      debouncer.againInMs(unsettled, gathers ? 'last' : 'first'),
      debouncer.againInMs(restless),
    );
    if (gathers) for (const { path } of pending.splice(0)) unsettled.push(path);
    return { pending, unsettled, restless, ...(Number.isFinite(againInMs) ? { againInMs } : {}) };
  }

  /** The changed files that are at rest and have another content. `moves`: told of those that are not at rest. */
  async #edited(
    { changed }: ScanResult,
    pace: 'paced' | 'at once',
    moves: (path: SitePath) => void,
    errors: PathErrors,
  ): Promise<readonly SitePath[]> {
    const { debouncer, contents, excluded } = this.#tools;
    const edited: SitePath[] = [];
    const unread: SitePath[] = [];
    const mayCover: Covered[] = [];
    for (const { path, stat } of changed) {
      try {
        // Read once before git is given it: a fast-import that is abandoned leaves half a pack behind.
        if (this.#unread.delete(path)) await contents.hash(path);
        if (this.#looksTheSame(path, stat) && (await this.#knownContent(path, stat))) debouncer.forget(path);
        else if (!debouncer.settled(path, stat, pace)) moves(path);
        else if (!(await this.#knownContent(path, stat))) {
          mayCover.push(...(await this.#mayCover(path)));
          edited.push(path);
        }
      } catch (error) {
        this.cannotRead(path, errors.reason('unreadable', error));
        unread.push(path);
      }
    }
    this.nameUnread(unread);
    const overPointers = await this.#overPointers(mayCover);
    excluded.scanned(
      [...overPointers].map((path) => ({ path, reason: asPointer })),
      [...overPointers],
    );
    return edited.filter((path) => !overPointers.has(path));
  }

  cannotRead(path: SitePath, reason: NotSyncedReason): void {
    this.#unread.set(path, reason);
  }

  isUnread(path: SitePath): boolean {
    return this.#unread.has(path);
  }

  nameUnread(paths: readonly SitePath[]): readonly NotSynced[] {
    const unread = paths.map((path) => ({ path, reason: this.#unread.get(path) as NotSyncedReason }));
    this.#tools.excluded.scanned(unread, paths);
    return unread;
  }

  /** Those that are synced all the same: rarely, since they change constantly, or with mixed line endings. */
  synced(): readonly NotSynced[] {
    const { debouncer, manifest } = this.#tools;
    const tracked = debouncer.restless.all().filter((path) => manifest.get(path));
    return [
      ...tracked.map((path): NotSynced => ({ path, reason: { kind: 'never-quiet' } })),
      ...manifest.withMixedLines().map((path): NotSynced => ({ path, reason: { kind: 'mixed-line-endings' } })),
    ];
  }

  /**
   * Looks as when its content was last known, but for a stat that proves nothing: it was left in the same tick of the
   * clock in which it was written, or only its ctime is new, as after a link of ours went. By now a later write would
   * show, so its content may be compared without waiting for it to rest.
   */
  #looksTheSame(path: SitePath, stat: Stat): boolean {
    const { manifest, now } = this.#tools;
    const seen = manifest.get(path)?.seen;
    return seen !== undefined && sameInode(seen, stat) && !seenOf(stat, now()).unsure;
  }

  /** True when only the stat is new, not the content: noted, nothing to record. */
  async #knownContent(path: SitePath, stat: Stat): Promise<boolean> {
    const { manifest, contents, recording, now } = this.#tools;
    const line = manifest.get(path);
    if (!line || (line.seen && line.seen.size !== stat.size)) return false;
    const found = await contents.hash(path);
    if (!found || !sameContent(entryOf(found), line)) return false;
    const executable = recording.executable(found.stat);
    const { isExecutable } = line;
    if (isExecutable !== undefined && executable.isExecutable === !isExecutable) return false;
    manifest.set(path, { ...line, seen: seenOf(found.stat, now()), ...executable });
    return true;
  }

  /** What the repository has at an edited path, where that may be a pointer: of an ordinary edit no git is asked. */
  async #mayCover(path: SitePath): Promise<readonly Covered[]> {
    const { manifest, attributes } = this.#tools;
    const line = manifest.get(path);
    if (!line) return [];
    // Without a rule only what we never saw as it was committed can be one.
    const may = (await attributes.wouldBeLarge(path)) || (!line.seen && !(await attributes.isLarge(path)));
    return may ? [{ path, oid: line.oid }] : [];
  }

  /** Edits that would put a content where the repository has a pointer, since LFS is off: named, and left here. */
  async #overPointers(lines: readonly Covered[]): Promise<ReadonlySet<SitePath>> {
    if (lines.length === 0) return new Set();
    const { sizes, blobs } = this.#tools.repository;
    const bytes = await sizes(lines.map(({ oid }) => oid));
    return standIns(
      lines.map((line, at) => ({ ...line, size: bytes[at] as number })),
      blobs,
    );
  }
}
