import type { AccountActions } from '../actions/accounts.ts';
import type { Connecting, ConnectRequest } from '../actions/connecting.ts';
import type { ConnectedSite } from '../actions/connected-site.ts';
import type { HandOver } from '../actions/hand-over.ts';
import type { InstanceActions } from '../actions/instance.ts';
import type { NotificationActions } from '../actions/notifications.ts';
import type { SettingsActions } from '../actions/settings.ts';
import type { SiteActions } from '../actions/sites.ts';
import type { DeclaredAt, DeclaredMarks, DeclaredPlace, DeclaredSource } from '../model/declared.ts';
import type { Connection, ConnectionId } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Site, SiteId } from '../model/site.ts';
import { subfolder } from '../model/subfolder.ts';

/** Where things are declared. `undefined`: they are not, and can be changed on the pages. */
export interface DeclaredPlaces {
  instance(): DeclaredAt | undefined;
  notifications(): DeclaredAt | undefined;
  account(id: string): DeclaredAt | undefined;
  connection(id: string): DeclaredAt | undefined;
  site(id: string): DeclaredAt | undefined;
  /** The branch that a declared site is to follow. */
  source(id: string): DeclaredSource | undefined;
}

export function createDeclaredPlaces(marks: () => DeclaredMarks | undefined): DeclaredPlaces {
  const at = (find: (marks: DeclaredMarks) => DeclaredPlace | undefined): DeclaredAt | undefined => {
    const all = marks();
    const place = all && find(all);
    return place && { file: all.file, line: place.line, column: place.column };
  };
  return {
    instance: () => at((all) => all.instance),
    notifications: () => at((all) => all.notifications),
    account: (id) => at(({ accounts }) => accounts[id]),
    connection: (id) => at(({ connections }) => connections[id]),
    site: (id) => at(({ sites }) => sites[id]),
    source: (id) => marks()?.sites[id]?.source,
  };
}

/** The actions that can change what is declared. */
export interface Guarded {
  readonly accounts: AccountActions;
  readonly instance: InstanceActions;
  readonly handOver: HandOver;
  readonly sites: SiteActions;
  readonly settings: SettingsActions;
  readonly connecting: Connecting & ConnectedSite;
  readonly notifications: NotificationActions;
}

export interface GuardDeps {
  readonly places: DeclaredPlaces;
  readonly store: {
    readonly sites: { all(): readonly Site[]; get(id: string): Site | undefined };
    readonly instance: { connection(id: string): Connection | undefined };
  };
}

/**
 * The actions as pages, the API and the command line get them: what a file declares is refused with `declared`, wherever
 * somebody tries to change it. What leads to the declared state is allowed: connecting a site to its declared branch, and
 * disconnecting one that follows another.
 */
export function guarded<A extends Guarded>(actions: A, deps: GuardDeps): A {
  const { places } = deps;
  const { accounts, instance, handOver, sites, settings, connecting, notifications } = actions;
  const nameOf = (id: SiteId): string => deps.store.sites.get(id)?.name ?? 'This site';
  const refuseSite = (id: SiteId): void => refuse(nameOf(id), places.site(id));
  const refuseInstance = (..._form: unknown[]): void => refuse('The GitLab instance', places.instance());
  const refuseAccount = (id: string): void => refuse(accounts.get(id)?.name ?? 'This account', places.account(id));
  const refuseConnection = (id: string): void =>
    refuse(`@${deps.store.instance.connection(id)?.username ?? 'this connection'}`, places.connection(id));
  return {
    ...actions,
    accounts: {
      ...accounts,
      setReach: after((id) => refuseAccount(id), accounts.setReach),
      remove: after((id) => {
        refuseAccount(id);
        for (const one of ownedBy(deps, id)) refuseConnection(one);
      }, accounts.remove),
    },
    instance: { ...instance, configure: after(refuseInstance, instance.configure) },
    handOver: {
      ...handOver,
      remove: after((id) => refuseConnection(id), handOver.remove),
      carryOut: after((_from, to, ids) => {
        for (const id of ids) if (places.source(id)?.connectionId !== to) refuseSite(id);
      }, handOver.carryOut),
    },
    sites: { ...sites, remove: after((id) => refuseSite(id), sites.remove) },
    settings: {
      ...settings,
      save: after((id) => refuseSite(id), settings.save),
      saveAll: after((id, forms) => void (forms.length > 0 && refuseSite(id)), settings.saveAll),
      allow: after((id) => refuseSite(id), settings.allow),
      ignore: after((id) => refuseSite(id), settings.ignore),
      decideRules: after((id, _step, choice) => void (choice === 'ignore' && refuseSite(id)), settings.decideRules),
    },
    connecting: {
      ...connecting,
      plan: (request, accountId, asked) =>
        connecting.plan(allowed(deps, request), ownerFor(deps, request, accountId), asked),
      confirm: (request, by, accountId) =>
        connecting.confirm({ ...request, ...allowed(deps, request) }, by, ownerFor(deps, request, accountId)),
      handOver: after((id, connection) => {
        if (places.source(id)?.connectionId !== connection.id) refuseSite(id);
      }, connecting.handOver),
      disconnect: after((id) => {
        if (!isElsewhere(deps, id)) refuseSite(id);
      }, connecting.disconnect),
    },
    notifications: {
      ...notifications,
      saveWebhook: after(
        (..._form) => refuse('The webhook for notifications', places.notifications()),
        notifications.saveWebhook,
      ),
    },
  };
}

function refuse(what: string, at: DeclaredAt | undefined): void {
  if (at) throw new Problem('declared', { what, file: at.file, line: String(at.line) });
}

function after<A extends unknown[], R>(
  check: (...args: A) => void,
  act: (...args: A) => Promise<R>,
): (...args: A) => Promise<R> {
  return async (...args) => {
    check(...args);
    return act(...args);
  };
}

function ownedBy({ places, store }: GuardDeps, accountId: string): ConnectionId[] {
  const used = store.sites.all().flatMap(({ binding, id }) => [binding?.connectionId, places.source(id)?.connectionId]);
  return [...new Set(used)].filter(
    (id) => id !== undefined && store.instance.connection(id)?.owner === accountId,
  ) as ConnectionId[];
}

/** The request, if it is the declared one or the site is not declared. */
function allowed<R extends ConnectRequest>({ places, store }: GuardDeps, request: R): R {
  const at = places.site(request.site);
  const source = places.source(request.site);
  if (!at || !source) return request;
  const isDeclared =
    source.projectId === request.projectId &&
    source.branch === request.branch &&
    source.direction === request.direction &&
    (store.sites.get(request.site)?.binding !== undefined || subfolder(request.subfolder ?? '') === source.subfolder);
  if (!isDeclared) refuse(store.sites.get(request.site)?.name ?? 'This site', at);
  return source.connectionId === undefined ? request : { ...request, connection: source.connectionId };
}

/**
 * Whoever may connect a site may do it with the connection that is declared for it, whoever that belongs to: the
 * declaration says so. Anything else still takes a connection of one's own.
 */
function ownerFor({ places, store }: GuardDeps, { site }: ConnectRequest, accountId: string): string {
  const id = places.source(site)?.connectionId;
  return (id && store.instance.connection(id)?.owner) ?? accountId;
}

/** Whether a declared site is connected to something else than its declared repository. */
function isElsewhere({ places, store }: GuardDeps, id: SiteId): boolean {
  const [source, binding] = [places.source(id), store.sites.get(id)?.binding];
  if (!source || !binding) return false;
  const isSame = binding.projectPath.toLowerCase() === source.repository.toLowerCase();
  return !isSame || (binding.subfolder ?? '') !== source.subfolder;
}
