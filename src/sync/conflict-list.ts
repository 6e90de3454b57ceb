import { randomUUID } from 'node:crypto';
import type { Conflict } from '../model/plan.ts';
import { type Entry, type SitePath, isLink } from '../model/tree.ts';
import type { Lost } from './conflict.ts';
import type { Repository } from './ports.ts';

export interface ConflictListDeps {
  readonly repository: Repository;
  readonly conflicts: () => readonly Conflict[];
  readonly saveConflicts: (conflicts: readonly Conflict[]) => Promise<void>;
}

const longestList = 500;

/** The list of conflicts a person may look at and decide: one question for each path. */
export class ConflictList {
  readonly #deps: ConflictListDeps;

  constructor(deps: ConflictListDeps) {
    this.#deps = deps;
  }

  open(): number {
    return this.#deps.conflicts().filter(({ resolved }) => !resolved).length;
  }

  /** Paths that wait for a person. */
  held(): SitePath[] {
    return this.#deps
      .conflicts()
      .filter(isOpenHeld)
      .map(({ path }) => path);
  }

  /** Lists what lost, and held paths without a question: the run that held them was cut off before it could. */
  async update(lost: readonly Lost[], at: number): Promise<void> {
    await this.#add(lost, await this.#unlisted(new Set(lost.map(({ path }) => path)), at), at);
  }

  /** Lists what lost before its merge is offered: told too early is better than never. */
  note(lost: readonly Lost[], at: number): Promise<void> {
    return this.#add(lost, [], at);
  }

  async #add(lost: readonly Lost[], unlisted: readonly Conflict[], at: number): Promise<void> {
    const found = lost.map(({ path, kind, live, base, repository, site }): Conflict => ({
      id: randomUUID(),
      at,
      path,
      kind,
      live,
      ...(base ? { base: base.oid } : {}),
      ...(repository ? { repository: repository.oid } : {}),
      ...(site ? { site: site.oid } : {}),
      ...linksAmong(repository, site),
    }));
    if (found.length + unlisted.length === 0) return;
    // A merge that had to be made twice asks the same question again.
    const isAgain = (conflict: Conflict): boolean =>
      !conflict.resolved &&
      found.some(
        ({ path, live, site }) =>
          path === conflict.path && ((live === 'both' && isOpenHeld(conflict)) || site === conflict.site),
      );
    const before = this.#deps.conflicts().filter((conflict) => !isAgain(conflict));
    const all = [...found, ...unlisted, ...before];
    // A question that is not listed can never be answered.
    await this.#deps.saveConflicts(all.filter((conflict, place) => place < longestList || isOpenHeld(conflict)));
  }

  async #unlisted(found: ReadonlySet<SitePath>, at: number): Promise<Conflict[]> {
    const { repository } = this.#deps;
    const held = await repository.held();
    const listed = new Set(held.length === 0 ? [] : this.held());
    const unlisted: Conflict[] = [];
    for (const { path, by, refused } of held) {
      if (refused || found.has(path) || listed.has(path)) continue;
      const [ours, theirs] = (await repository.commit(by)).parents;
      const change = (await repository.changes(theirs, ours)).find((changed) => changed.path === path);
      unlisted.push({
        ...{ id: randomUUID(), at, path, kind: 'content', live: 'both' },
        ...(change?.before ? { repository: change.before.oid } : {}),
        ...(change?.after ? { site: change.after.oid } : {}),
      });
    }
    return unlisted;
  }
}

const isOpenHeld = ({ live, resolved }: Conflict): boolean => live === 'both' && !resolved;

function linksAmong(repository: Entry | undefined, site: Entry | undefined): Pick<Conflict, 'links'> {
  const links = [
    ...(isLink(repository) ? (['repository'] as const) : []),
    ...(isLink(site) ? (['site'] as const) : []),
  ];
  return links.length > 0 ? { links } : {};
}
