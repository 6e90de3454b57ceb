import type { AuditEntry } from '../model/event.ts';
import type { Connection, ConnectionId } from '../model/instance.ts';
import { Problem, type ProblemFacts, asProblem } from '../model/problem.ts';
import type { Asked, Binding, Site, SiteId } from '../model/site.ts';
import { type SiteProjectDeps, usableProject } from './site-project.ts';

export interface HandOverDeps extends SiteProjectDeps {
  readonly store: SiteProjectDeps['store'] & {
    readonly instance: { connections(): readonly Connection[]; connection(id: string): Connection | undefined };
  };
  readonly connectionEnd: { endUnused(id: ConnectionId): Promise<void> };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly connectedSite: {
    /** The site uses this connection from now on. Throws what keeps its user from the repository. */
    handOver(id: SiteId, connection: Connection, by: string): Promise<void>;
  };
}

/** One site of a connection, and whether another connection could serve it. */
export interface HandOverRow {
  readonly site: Pick<Site, 'id' | 'name'>;
  readonly binding: Pick<Binding, 'projectPath' | 'branch'>;
  /** What keeps the other connection's user from the repository; absent: nothing. */
  readonly problem?: ProblemFacts;
}

export interface ConnectionRow {
  readonly connection: Connection;
  /** The admin who made it; undefined: their account was removed. */
  readonly owner: string | undefined;
  readonly sites: readonly Pick<Site, 'id' | 'name'>[];
}

export interface HandOver {
  /** Every connection with the sites that use it, those with sites first. */
  connections(): readonly ConnectionRow[];
  /** Ends a connection that no site uses. Throws `not-found`, and `connection-in-use` with the names of its sites. */
  remove(id: ConnectionId, by: string): Promise<void>;
  /** The connections that an account may hand sites over to: its own, in use or not, that work. */
  targets(accountId: string, from: ConnectionId): readonly Connection[];
  /** Asks GitLab about each site of `from` as `to`. Changes nothing. */
  check(from: ConnectionId, to: ConnectionId, asked: Asked): Promise<readonly HandOverRow[]>;
  /** Hands these sites over, one after the other; gives those that stayed, with the reason. */
  carryOut(
    from: ConnectionId,
    to: ConnectionId,
    sites: readonly SiteId[],
    by: string,
    asked: Pick<Asked, 'progress'>,
  ): Promise<{ readonly moved: number; readonly stayed: readonly HandOverRow[] }>;
}

/** Questions to GitLab at the same time. */
const atOnce = 4;

/** Moves all sites of one connection to another: somebody leaves, and their sites go on with somebody else's access. */
export function createHandOver(deps: HandOverDeps): HandOver {
  const { store, connectedSite, report } = deps;
  const sitesOf = (id: ConnectionId): readonly Connected[] =>
    store.sites.all().flatMap((site) => (site.binding?.connectionId === id ? [{ site, binding: site.binding }] : []));

  function existing(id: ConnectionId): Connection {
    const connection = store.instance.connection(id);
    if (!connection) throw new Problem('not-found', {});
    return connection;
  }

  return {
    connections() {
      const rows = store.instance.connections().map((connection) => ({
        connection,
        owner: store.accounts.get(connection.owner)?.name,
        sites: sitesOf(connection.id).map(({ site: { id, name } }) => ({ id, name })),
      }));
      return rows.sort((a, b) => b.sites.length - a.sites.length);
    },

    async remove(id, by) {
      const { username } = existing(id);
      const sites = sitesOf(id).map(({ site }) => site.name);
      if (sites.length > 0) throw new Problem('connection-in-use', { sites: sites.join(', ') });
      await deps.connectionEnd.endUnused(id);
      report({ by, act: 'removed-connection', detail: `@${username}` });
    },

    targets: (accountId, from) =>
      store.instance
        .connections()
        .filter(({ id, owner, health }) => id !== from && owner === accountId && health === 'good'),

    async check(from, to, { signal, progress }) {
      const connection = existing(to);
      const sites = sitesOf(existing(from).id);
      const rows: HandOverRow[] = [];
      let next = 0;
      const work = async (): Promise<void> => {
        for (let at = next; at < sites.length; at = next) {
          next += 1;
          signal.throwIfAborted();
          const one = sites[at] as Connected;
          const problem = await refusalOf(() => usableProject(deps, wantedOf(one), connection));
          rows[at] = rowOf(one, problem);
          progress({ act: 'checking', done: rows.filter(Boolean).length, total: sites.length });
        }
      };
      await Promise.all(Array.from({ length: atOnce }, work));
      return rows;
    },

    async carryOut(from, to, wanted, by, { progress }) {
      const connection = existing(to);
      const sites = sitesOf(from).filter(({ site }) => wanted.includes(site.id));
      const stayed: HandOverRow[] = [];
      for (const [at, one] of sites.entries()) {
        progress({ act: 'handing-over', done: at, total: sites.length });
        const problem = await refusalOf(() => connectedSite.handOver(one.site.id, connection, by));
        if (problem) stayed.push(rowOf(one, problem));
      }
      return { moved: sites.length - stayed.length, stayed };
    },
  };
}

interface Connected {
  readonly site: Site;
  readonly binding: Binding;
}

function wantedOf({ site, binding }: Connected): Parameters<typeof usableProject>[1] {
  return { site: site.id, projectId: binding.projectId, branch: binding.branch };
}

function rowOf(
  { site: { id, name }, binding: { projectPath, branch } }: Connected,
  problem?: ProblemFacts,
): HandOverRow {
  return { site: { id, name }, binding: { projectPath, branch }, ...(problem ? { problem } : {}) };
}

/** One site that cannot be handed over keeps no other from it. */
async function refusalOf(act: () => Promise<unknown>): Promise<ProblemFacts | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    return asProblem(error).toFacts();
  }
}
