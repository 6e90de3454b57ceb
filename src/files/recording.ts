import type { SiteSettings } from '../model/site.ts';
import { type Entry, type Mode, type SitePath, isLink } from '../model/tree.ts';
import type { Stat } from '../model/world.ts';
import type { OpenFile, PendingFile } from '../sync/ports.ts';
import type { Contents } from './contents.ts';
import { type Line, type Seen, seenOf } from './line.ts';
import type { Manifest } from './manifest.ts';
import type { Form, Reading } from './read.ts';

interface RecordingTools {
  readonly manifest: Pick<Manifest, 'get'>;
  readonly contents: Pick<Contents, 'open' | 'wasMixed'>;
  readonly settings: () => Pick<SiteSettings, 'executables' | 'links'>;
  /** What stands at a path; undefined too where that cannot be told. */
  readonly statOf: (path: SitePath) => Stat | undefined;
  /** Whether all disks of the site tell what a file may do. */
  readonly hasModes: () => boolean;
  /** Wall time, in ms. */
  readonly now: () => number;
  readonly cannotRead: (path: SitePath, error: unknown) => void;
}

/** Gives files to be recorded: in which mode, by which reading, and what the manifest says of them afterwards. */
export class Recording {
  readonly #tools: RecordingTools;
  /** Stats of the files being recorded, until it is told with which content. */
  readonly #reads = new Map<SitePath, Seen>();
  /** Whether they could be executed when their mode in git was decided. */
  readonly #executables = new Map<SitePath, boolean>();

  constructor(tools: RecordingTools) {
    this.#tools = tools;
  }

  /** `form`: recorded so, whatever the rules say. */
  pendingFile(path: SitePath, form?: Form): PendingFile {
    const { now, cannotRead } = this.#tools;
    const mode = this.#modeOf(path);
    const as = isLink({ mode }) ? { form: 'link' as const } : form ? { form } : path;
    const done = (stat: Stat): void => void this.#reads.set(path, seenOf(stat, now()));
    const failed = (error: unknown): void => cannotRead(path, error);
    return { path, file: { mode, open: () => this.open(path, as, { done, failed }) } };
  }

  /** As {@link Contents.open}; what fails is told to the reading alone. */
  async open(path: SitePath, as: SitePath | { readonly form: Form }, reading: Reading): Promise<OpenFile | undefined> {
    try {
      return await this.#tools.contents.open(path, as, reading);
    } catch (error) {
      reading.failed(error);
      return undefined;
    }
  }

  /** Whether a file can be executed, where that is synced and the disk can tell. */
  executable({ mode, kind }: Stat): Pick<Line, 'isExecutable'> {
    const isAsked = kind === 'file' && this.#tools.settings().executables && this.#tools.hasModes();
    return isAsked ? { isExecutable: (mode & 0o100) !== 0 } : {};
  }

  /** What the manifest says of a path that was recorded as `entry`; undefined where it was not read. */
  lineOf(path: SitePath, entry: Entry): Line | undefined {
    const seen = this.#reads.get(path);
    if (!seen) return undefined;
    const isExecutable = this.#executables.get(path);
    return {
      ...entry,
      seen,
      ...(this.#tools.contents.wasMixed(path) ? { hasMixedLines: true } : {}),
      ...(isExecutable === undefined ? {} : { isExecutable }),
    };
  }

  /** All that was being recorded is. */
  end(): void {
    this.#reads.clear();
    this.#executables.clear();
  }

  /** What the tree says stays, unless somebody changed the permissions since they were last seen. */
  #modeOf(path: SitePath): Mode {
    const { manifest, settings, statOf } = this.#tools;
    const line = manifest.get(path);
    const tracked = line?.mode === '100755' ? '100755' : '100644';
    const { executables, links } = settings();
    const stat = executables || links ? statOf(path) : undefined;
    if (stat?.kind === 'link' && links) return '120000';
    const { isExecutable } = stat ? this.executable(stat) : {};
    if (isExecutable === undefined) return tracked;
    this.#executables.set(path, isExecutable);
    if (line && (line.isExecutable === undefined || line.isExecutable === isExecutable)) return tracked;
    return isExecutable ? '100755' : '100644';
  }
}
