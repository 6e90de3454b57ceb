import type { SitePath } from '../model/tree.ts';
import type { Fs } from '../model/world.ts';
import { DirectoryHandles } from './directory-handles.ts';
import { type Folding, collisions, foldingSeen } from './folding.ts';
import { rootProblem } from './root.ts';

interface NameFoldingTools {
  readonly fs: Fs;
  readonly root: string;
  /** As it was tried, once something was staged. */
  readonly tried: () => Folding | undefined;
}

/** Which names the disk of a site takes for one and the same. What goes wrong is thrown as the problem of the root. */
export class NameFolding {
  readonly #tools: NameFoldingTools;
  #foldsCase: boolean | undefined;

  constructor(tools: NameFoldingTools) {
    this.#tools = tools;
  }

  /** Whether names that differ in case are one. Without a letter among the names nothing is known yet. */
  foldsCase(): boolean {
    const known = this.#tools.tried()?.case ?? this.#foldsCase;
    if (known !== undefined) return known;
    const seen = this.#seen().case;
    const names = this.#atRoot((root) => this.#tools.fs.list(root));
    if (names.some(({ name }) => /[a-z]/i.test(name.toString('latin1')))) this.#foldsCase = seen;
    return seen;
  }

  collisions(paths: readonly SitePath[]): ReadonlyMap<SitePath, SitePath> {
    return collisions(this.#tools.tried() ?? this.#seen(), [], paths);
  }

  #seen(): Folding {
    return this.#atRoot((root) => foldingSeen(this.#tools.fs, root));
  }

  #atRoot<T>(look: (root: number) => T): T {
    try {
      const handles = new DirectoryHandles(this.#tools.fs, this.#tools.root);
      try {
        return look(handles.root);
      } finally {
        handles.close();
      }
    } catch (error) {
      throw rootProblem(error, this.#tools.root);
    }
  }
}
