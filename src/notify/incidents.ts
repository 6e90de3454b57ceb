import { type Connection, tokenEnd, tokenEndWords } from '../model/instance.ts';
import type { Channel, FailedTask, Incident, IncidentKind, IncidentWords, NoticeSite } from '../model/notice.ts';
import type { ProblemFacts } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import type { Hold, SiteId, SiteStatus } from '../model/site.ts';
import { escapeControls } from '../model/tree.ts';
import { wentBackGroup, wentBackHold, wentBackWords } from '../model/went-back.ts';

/** A site that fails again and again is told after this long; what is over sooner was none of anybody's business. */
const patienceMs = 10 * 60_000;
/** Sites of a restored GitLab are seen one after another, most within a minute: what is told first names them all. */
const gatheringMs = 2 * 60_000;
/** More than so many at a time are not remembered: the first ones say that the house is on fire. */
const mostIncidents = 500;
/** Whoever could not be told within this long that all is well need not be told. */
const forgottenMs = 7 * 86_400_000;

/** How things stand, as far as incidents are made of it. */
export interface Scene {
  readonly sites: readonly NoticeSite[];
  readonly status: (id: SiteId) => SiteStatus;
  /** Since when a site fails without a good end between; undefined while it does not. */
  readonly failingSince: (id: SiteId) => number | undefined;
  readonly connections: readonly Connection[];
  readonly tasks: readonly FailedTask[];
  readonly holdWords: (hold: Hold) => { readonly title: string; readonly reason: string; readonly todo: string };
  readonly now: number;
}

interface Found {
  readonly key: string;
  readonly kind: IncidentKind;
  readonly sites: readonly SiteId[];
  readonly words: IncidentWords;
  /** ms since 1970, of what may be the first of many: it is told after a while, then with all that came meanwhile. */
  readonly since?: number;
}

/**
 * The incidents there are now, from those there were. Pure. `on`: the channels that tell; one that is off neither
 * learns of an incident nor of its end.
 */
export function nextIncidents(before: readonly Incident[], scene: Scene, on: readonly Channel[]): readonly Incident[] {
  const found = new Map(conditions(scene, before).map((each) => [each.key, each]));
  const kept: Incident[] = [];
  for (const incident of before) {
    const present = found.get(incident.key);
    found.delete(incident.key);
    const told = incident.told.filter((channel) => on.includes(channel));
    // Back before its end was told: nobody needs to hear of either.
    if (present) kept.push({ ...without(incident), told, sites: present.sites });
    else if (incident.overAt !== undefined || ends(incident, scene) === 'well') {
      const overAt = incident.overAt ?? scene.now;
      if (told.length > 0 && scene.now - overAt < forgottenMs) kept.push({ ...incident, told, overAt });
    } else if (ends(incident, scene) === 'not known') kept.push({ ...incident, told });
  }
  const fresh = [...found.values()].slice(0, Math.max(0, mostIncidents - kept.length));
  return [...kept, ...fresh.map(({ since: _since, ...each }) => ({ ...each, at: scene.now, told: [] }))];
}

function without({ overAt: _over, ...rest }: Incident): Incident {
  return rest;
}

/** Everything that wants a person, at this moment. */
function conditions(scene: Scene, before: readonly Incident[]): Found[] {
  const together = ofWentBack(scene, before);
  const its = new Set(together?.sites);
  const others = scene.sites.filter(({ id }) => !its.has(id)).flatMap((site) => ofSite(site, scene));
  const found = [...ofTasks(scene), ...ofConnections(scene), ...(together ? [together] : []), ...others];
  return found.filter(({ since }) => since === undefined || scene.now - since >= gatheringMs);
}

/** Branches that went back together are one incident, until the last of its sites is answered. */
function ofWentBack({ sites, status }: Scene, before: readonly Incident[]): Found | undefined {
  const group = wentBackGroup(sites, status);
  const open = before.find(({ key, overAt }) => key === wentBackKey && overAt === undefined);
  const known = new Set([...(group?.sites ?? []), ...(open?.sites ?? [])]);
  const waiting = sites.filter((site) => known.has(site.id) && wentBackHold(site, status)).map(({ id }) => id);
  if (waiting.length === 0) return undefined;
  const { title, happened, untouched } = wentBackWords(group ?? { sites: waiting, branches: waiting.length });
  const todo =
    'Open Attention and choose once for all of them, or open a site and choose for it alone: “Push back what GitLab lost” or “Follow GitLab”.';
  return {
    ...{ key: wentBackKey, kind: 'hold', sites: waiting, words: { title, happened, untouched, todo } },
    ...(open || !group ? {} : { since: group.since }),
  };
}

const wentBackKey = 'went-back';

function ofSite(site: NoticeSite, { status, failingSince, holdWords, connections, now }: Scene): Found[] {
  const { binding } = site;
  if (!binding || site.paused) return [];
  const { state, hold, problem } = status(site.id);
  const name = shown(site.name);
  // Told with its connection, once for all the sites that wait for it.
  if (state === 'hold' && hold?.code === 'reconnect' && connections.some(({ id }) => id === binding.connectionId)) {
    return [];
  }
  if (state === 'hold') {
    const about = hold?.code === 'stopped' || !hold ? (problem?.code ?? 'stopped') : hold.code;
    const words = hold && !(hold.code === 'stopped' && problem) ? heldWords(name, holdWords(hold)) : undefined;
    return [
      {
        key: `hold ${site.id} ${about}`,
        kind: 'hold',
        sites: [site.id],
        words: words ?? problemWords(`${name} is on hold`, problem),
        ...(hold?.code === 'went-back' ? { since: hold.at } : {}),
      },
    ];
  }
  const since = failingSince(site.id);
  if (state !== 'retrying' || since === undefined || now - since < patienceMs) return [];
  return [
    {
      key: `retrying ${site.id}`,
      kind: 'retrying',
      sites: [site.id],
      words: problemWords(`${name} keeps retrying`, problem),
    },
  ];
}

function ofTasks({ tasks }: Scene): Found[] {
  return tasks.map(({ key, sites, words: { title, happened, untouched, todo } }) => ({
    ...{ key: `task ${key}`, kind: 'task', sites },
    words: { title: short(title), happened: short(happened), untouched: short(untouched), todo: short(todo) },
  }));
}

function ofConnections(scene: Scene): Found[] {
  return scene.connections.flatMap((connection): Found[] => {
    const { id, health, username, accessToken } = connection;
    const sites = usedBy(scene, connection);
    if (sites.length === 0) return [];
    if (health === 'reconnect' || sites.some((site) => waitsForConnection(scene.status(site)))) {
      return [{ key: `reconnect ${id}`, kind: 'reconnect', sites, words: reconnectWords(connection) }];
    }
    const end = accessToken && tokenEnd(accessToken, scene.now);
    if (!end) return [];
    const key = `token ${id} ${accessToken.expiresAt ?? ''} ${end.tone}`;
    return [{ key, kind: 'token', sites, words: tokenWords(username, end.days) }];
  });
}

const waitsForConnection = ({ state, hold }: SiteStatus): boolean => state === 'hold' && hold?.code === 'reconnect';

const usedBy = ({ sites }: Scene, { id }: Connection): SiteId[] =>
  sites.filter(({ binding }) => binding?.connectionId === id).map((site) => site.id);

/**
 * How an incident that is no longer seen came to its end. `well`: it is over, and whoever was told hears of it.
 * `silent`: somebody stands in front of it, or another incident took its place. `not known`: a run is under way, or
 * nobody has looked since the start.
 */
function ends(incident: Incident, scene: Scene): 'well' | 'silent' | 'not known' {
  if (incident.kind === 'task') return 'well';
  if (incident.kind === 'token' || incident.kind === 'reconnect') return connectionEnd(incident, scene);
  // Of several sites, the one that says most: as long as one is not known, nothing is.
  const each = incident.sites.map((id) => siteEnds(id, scene));
  return (['not known', 'well'] as const).find((end) => each.includes(end)) ?? 'silent';
}

function siteEnds(id: SiteId, scene: Scene): 'well' | 'silent' | 'not known' {
  const site = scene.sites.find((one) => one.id === id);
  if (!site?.binding || site.paused) return 'silent';
  switch (scene.status(site.id).state) {
    case 'in-sync':
    case 'waiting':
      return 'well';
    case 'paused':
    case 'off':
    case 'hold':
      return 'silent';
    // A hold is not answered by GitLab being away meanwhile; and a site that failed for long does so until it succeeds.
    case 'retrying':
    case 'syncing':
    case 'unknown':
      return 'not known';
  }
}

function connectionEnd({ key, kind }: Incident, scene: Scene): 'well' | 'silent' | 'not known' {
  const connection = scene.connections.find(({ id }) => id === key.split(' ')[1]);
  const sites = connection ? usedBy(scene, connection) : [];
  if (!connection || sites.length === 0) return 'silent';
  if (kind === 'token') {
    const ending = connection.accessToken && tokenEnd(connection.accessToken, scene.now);
    return connection.health === 'good' && !ending ? 'well' : 'silent';
  }
  // The connection counts as working again when a site synced with it, not when somebody tests it.
  return sites.some((id) => ['in-sync', 'waiting'].includes(scene.status(id).state)) ? 'well' : 'not known';
}

function heldWords(name: string, { title, reason, todo }: ReturnType<Scene['holdWords']>): IncidentWords {
  return {
    title: short(`${name} is on hold: ${title}`),
    happened: short(`${title}. ${reason}`),
    untouched: 'No edit: what is changed in the folder is kept, and waits.',
    todo: short(todo),
  };
}

function problemWords(what: string, problem: ProblemFacts | undefined): IncidentWords {
  const { title, happened, untouched, todo } = describe(problem ?? { code: 'unexpected', facts: {} });
  return {
    title: short(`${what}: ${title}`),
    happened: short(happened),
    untouched: short(untouched),
    todo: short(todo),
  };
}

function reconnectWords({ username, accessToken }: Connection): IncidentWords {
  const { happened, untouched } = describe({ code: 'grant-lost', facts: {} });
  if (accessToken) {
    return {
      title: short(`GitLab no longer accepts the access token of @${username}`),
      happened: 'It was revoked in GitLab, or it ended.',
      untouched: short(untouched),
      todo: 'Make one in GitLab, open a site’s Source Syncing and press “Enter a new access token”. What was edited meanwhile is pushed then.',
    };
  }
  return {
    title: short(`GitLab no longer accepts the connection of @${username}`),
    happened: short(happened),
    untouched: short(untouched),
    todo: 'Open a site’s Source Syncing and press Reconnect. What was edited meanwhile is pushed then.',
  };
}

function tokenWords(username: string, days: number): IncidentWords {
  return {
    title: short(`The access token of @${username} ${tokenEndWords(days)}`),
    happened: 'Nobody can renew it but a person.',
    untouched: 'Everything works until its end. What is edited after it is committed here and waits.',
    todo: 'Make a new one in GitLab and enter it under Source Syncing of a site.',
  };
}

/** Names come from people and from GitLab: one line, nothing invisible, and no longer than a sentence bears. */
export function shown(name: string): string {
  const visible = escapeControls(name);
  return visible.length <= 120 ? visible : `${visible.slice(0, 119)}…`;
}

/** Sentences hold GitLab's own words here and there. */
function short(text: string): string {
  const visible = escapeControls(text);
  return visible.length <= 600 ? visible : `${visible.slice(0, 599)}…`;
}
