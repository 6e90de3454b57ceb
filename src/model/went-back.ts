import type { Hold, Site, SiteId, SiteStatus } from './site.ts';

/**
 * Branches that went back at about the same time: the sign of a GitLab that was restored from an older backup. It
 * follows from the holds of the sites alone, so nothing of it is stored.
 */
export interface WentBackGroup {
  /** The one seen first comes first. At least two. */
  readonly sites: readonly SiteId[];
  /** Two sites may have the same branch of the same repository. */
  readonly branches: number;
  /** When the first of them was seen to have gone back, in ms since 1970. */
  readonly since: number;
}

type SiteOf = Pick<Site, 'id' | 'binding' | 'paused'>;
type StatusOf = (id: SiteId) => Pick<SiteStatus, 'state' | 'hold'>;

/** Sites of one restore are seen one after another, each when its branch is looked at: the pause between two is this long at most. */
const pauseMs = 3_600_000;

/** The sites that went back together; the newest group where there is more than one. Pure. */
export function wentBackGroup(sites: readonly SiteOf[], status: StatusOf): WentBackGroup | undefined {
  const seen = sites
    .flatMap((site) => {
      const hold = wentBackHold(site, status);
      return hold ? [{ site, at: hold.at }] : [];
    })
    .sort((a, b) => a.at - b.at);
  const groups: (typeof seen)[] = [];
  for (const one of seen) {
    const last = groups.at(-1);
    if (last && one.at - (last.at(-1)?.at ?? 0) <= pauseMs) last.push(one);
    else groups.push([one]);
  }
  const group = groups.findLast(({ length }) => length > 1);
  if (!group) return undefined;
  const branches = new Set(group.map(({ site: { binding } }) => `${binding?.projectId} ${binding?.branch}`));
  return { sites: group.map(({ site }) => site.id), branches: branches.size, since: group[0]?.at ?? 0 };
}

/** The open question of a site whose branch went back. */
export function wentBackHold(site: SiteOf, status: StatusOf): Hold | undefined {
  const { hold } = status(site.id);
  return site.binding && !site.paused && hold?.code === 'went-back' ? hold : undefined;
}

/** What is told of a group, the same on pages and in messages. Plain text. */
export function wentBackWords({ sites, branches }: Pick<WentBackGroup, 'sites' | 'branches'>): {
  readonly title: string;
  readonly happened: string;
  readonly untouched: string;
} {
  const restored = branches > 1;
  return {
    title: restored
      ? `${branches} branches lost commits in GitLab, probably because it was restored from an older backup`
      : `The branch of ${sites.length} sites lost commits in GitLab`,
    happened: `GitLab no longer has commits of ${restored ? 'these branches' : 'this branch'} that the sites were in sync with.`,
    untouched:
      'Mooring did not change any files or branches. New edits in the folders are committed locally and pushed after you decide.',
  };
}
