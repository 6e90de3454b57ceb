import { isControlFile, unsafePath } from '../model/path-safety.ts';
import type { NotSynced, NotSyncedReason, SiteLimits } from '../model/site.ts';
import type { Change, Entry, SitePath } from '../model/tree.ts';
import type { LeftByRules, TreeFile } from '../sync/ports.ts';
import { pathErrno } from './errno.ts';
import { isAllowed } from './ignore.ts';
import type { Manifest } from './manifest.ts';
import type { DirectoryHandles } from './directory-handles.ts';

interface ExcludedPathsTools {
  readonly manifest: Manifest;
  readonly settings: () => { readonly limits: SiteLimits; readonly allow: readonly string[]; readonly links?: true };
  /** Whether the disk takes names that differ only in case for the same. */
  readonly folds: () => boolean;
  /** Whether a path has this very content; no, where that cannot be told. */
  readonly holds: (path: SitePath, entry: Entry) => Promise<boolean>;
  /** Whether files that are there may be replaced on the site's disks. */
  readonly captures: () => boolean;
  /** Whether the repository keeps a path in LFS, and that is followed. */
  readonly isLarge: (path: SitePath) => Promise<boolean>;
}

/** The paths of a site that are not synced, and why: refused when they arrived, left out by a scan, or held for a person. */
export class ExcludedPaths {
  readonly #tools: ExcludedPathsTools;
  #left: readonly NotSynced[] = [];
  #held: readonly SitePath[] = [];
  #byRule: LeftByRules | undefined;

  constructor(tools: ExcludedPathsTools) {
    this.#tools = tools;
  }

  get held(): readonly SitePath[] {
    return this.#held;
  }

  /** Gives the paths that are ordinary again. */
  hold(paths: readonly SitePath[]): readonly SitePath[] {
    // Those the manifest does not know are looked at as well: the folder may have what the branch lacks.
    const again = new Set(this.#held.filter((path) => !paths.includes(path)));
    this.#held = paths;
    for (const [path, { mode, oid, refused }] of this.#tools.manifest.refused()) {
      if (refused.kind !== 'conflict' || paths.includes(path)) continue;
      // Compared by content at the next scan: what is there is an edit like any other now.
      this.#tools.manifest.set(path, { mode, oid });
      again.add(path);
    }
    return [...again];
  }

  /**
   * Links that were refused while the site synced none, where something stands at the name: it is compared by content
   * now, and is an edit if it differs. Gives those paths.
   */
  compareLinks(stands: (path: SitePath) => boolean): readonly SitePath[] {
    const { manifest, settings } = this.#tools;
    if (!settings().links) return [];
    const again = manifest
      .refused()
      .filter(([path, { refused, was }]) => refused.kind === 'link' && !was && stands(path));
    for (const [path, { mode, oid }] of again) manifest.set(path, { mode, oid });
    return again.map(([path]) => path);
  }

  /** Why an incoming path would not be written here. */
  refusal({ path, mode, size }: TreeFile): NotSyncedReason | undefined {
    const { limits, allow } = this.#tools.settings();
    if (this.#held.includes(path)) return { kind: 'conflict' };
    if (mode === '120000' && !this.#tools.settings().links) return { kind: 'link' };
    if (mode === '160000') return { kind: 'submodule' };
    if (unsafePath(path)) return { kind: 'bad-name' };
    if (size > limits.fileBytes) return { kind: 'too-large', bytes: size, limit: limits.fileBytes };
    if (isControlFile(path) && !isAllowed(path, { allow, folds: this.#tools.folds() })) return { kind: 'control-file' };
    return undefined;
  }

  refused(): readonly SitePath[] {
    return this.#tools.manifest.refused().map(([path]) => path);
  }

  /** Of what was refused, what may be tried again. */
  async overdue(handles: DirectoryHandles): Promise<readonly Change[]> {
    const { manifest, holds } = this.#tools;
    const changes: Change[] = [];
    for (const [path, { mode, oid, refused, was }] of manifest.refused()) {
      if (!(mayPass.has(refused.kind) || (await this.#mayBeHad(path, refused)))) continue;
      if (refused.kind === 'no-capture' && !this.#tools.captures()) continue;
      const size = refused.kind === 'too-large' ? refused.bytes : 0;
      if (this.refusal({ path, mode, oid, size })) continue;
      // Something that we did not put there, or do not know of any more, still stands at the name.
      const isOther =
        !was && handles.mayHold(path) && !(refused.kind === 'unwritable' && (await holds(path, { mode, oid })));
      if (isOther) continue;
      changes.push({ path, after: { mode, oid }, ...(was ? { before: was } : {}) });
    }
    return changes;
  }

  /** A pointer whose content was not asked for yet, or was not there when it was. */
  async #mayBeHad(path: SitePath, { kind }: NotSyncedReason): Promise<boolean> {
    if (!['lfs-pointer', 'lfs-missing', 'lfs-damaged'].includes(kind)) return false;
    try {
      return await this.#tools.isLarge(path);
    } catch (error) {
      // The rules cannot be read: another time.
      pathErrno(error);
      return false;
    }
  }

  /** What a scan left out, of everything or of the paths it `asked` about: there it beats what was found before. */
  scanned(found: readonly NotSynced[], asked: readonly SitePath[] | 'everything'): void {
    const about = ({ path, reason }: NotSynced): boolean =>
      asked === 'everything' ||
      asked.some((at) => path === at || path.startsWith(`${at}/`)) ||
      // A folder on the way to what was asked about would have been found so again.
      (reason.kind === 'unreadable' && asked.some((at) => at.startsWith(`${path}/`)));
    const again = new Set(found.map(({ path }) => path));
    this.#left = [...this.#left.filter((each) => !about(each) && !again.has(each.path)), ...found];
  }

  /** What each rule left out of everything, when that was looked at last; undefined until it was. */
  get byRule(): LeftByRules | undefined {
    return this.#byRule;
  }

  counted(byRule: LeftByRules): void {
    this.#byRule = byRule;
  }

  /** What only the rules of before leave out. */
  wasIgnored(): readonly NotSynced[] {
    return this.#left.filter(({ reason }) => reason.kind === 'was-ignored');
  }

  /** What waits for a person, what was refused when it arrived, and what the last scans left out otherwise. */
  all(): readonly NotSynced[] {
    const refused = this.#tools.manifest.refused().map(([path, line]) => ({ path, reason: line.refused }));
    const others = this.#left.filter(({ reason }) => reason.kind !== 'was-ignored');
    return [...this.wasIgnored(), ...refused, ...others];
  }
}

/** Reasons that can go by themselves or by a setting. */
const mayPass: ReadonlySet<NotSyncedReason['kind']> = new Set([
  'too-large',
  'control-file',
  'collides',
  'ignored-in-the-way',
  'link',
  'unwritable',
  'owner',
  'no-capture',
]);
