import { Gauge, Registry } from 'prom-client';
import type { Connection } from '../model/instance.ts';
import type { Site, SiteState, SiteStatus } from '../model/site.ts';

/** A site as it is now. */
export interface SiteNow {
  readonly site: Pick<Site, 'id' | 'name'>;
  readonly status: SiteStatus;
}

const states: readonly SiteState[] = [
  ...(['in-sync', 'syncing', 'waiting', 'retrying', 'hold', 'paused', 'off', 'unknown'] as const),
];

/**
 * How sites are at this moment. The first `most` sites have series of their own; all others are summed up under
 * `site="other"`: counts are added, and of times the worst one is shown.
 */
export function siteGauges(rows: readonly SiteNow[], { most, now }: { most: number; now: number }): Registry {
  const register = new Registry();
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Gauge({ name, help, labelNames: ['site', 'name', ...labelNames] as const, registers: [register] });
  const state = gauge('mooring_site_state', '1 for the state a site is in, 0 for the others.', 'state');
  const success = gauge('mooring_site_last_success_timestamp_seconds', 'When the last good run of a site ended.');
  const pending = gauge('mooring_site_pending_paths', 'Paths that wait to be pushed or pulled.', 'direction');
  const oldest = gauge(
    'mooring_site_oldest_unpushed_edit_age_seconds',
    'How long the oldest commit of a site has waited to be pushed; 0: none waits.',
  );
  const conflicts = gauge('mooring_site_conflicts', 'Conflicts that nobody has resolved.');
  const hold = gauge('mooring_site_hold', '1 while a site waits for a decision, by what it is about.', 'code');
  const notSynced = gauge('mooring_site_not_synced_paths', 'Paths that are not synced, each for a reason of its own.');

  for (const [at, { site, status }] of rows.entries()) {
    const labels = at < most ? { site: site.id, name: site.name } : { site: 'other', name: 'other' };
    for (const each of states) state.inc({ ...labels, state: each }, each === status.state ? 1 : 0);
    pending.inc({ ...labels, direction: 'push' }, status.waiting.toPush);
    pending.inc({ ...labels, direction: 'pull' }, status.waiting.toPull);
    conflicts.inc(labels, status.conflicts);
    notSynced.inc(labels, status.notSyncedCount);
    if (status.hold) hold.inc({ ...labels, code: status.hold.code });
  }
  for (const { labels, rows: those } of groups(rows, most)) {
    const checked = those.flatMap(({ status }) => status.checkedAt ?? []);
    if (checked.length > 0) success.set(labels, Math.min(...checked) / 1_000);
    const waiting = those.flatMap(({ status }) => status.waiting.oldestUnpushedAt ?? []);
    oldest.set(labels, waiting.length === 0 ? 0 : Math.max(0, now - Math.min(...waiting)) / 1_000);
  }
  return register;
}

function groups(rows: readonly SiteNow[], most: number) {
  const own = rows.slice(0, most).map((row) => ({ labels: { site: row.site.id, name: row.site.name }, rows: [row] }));
  const rest = rows.slice(most);
  return rest.length === 0 ? own : [...own, { labels: { site: 'other', name: 'other' }, rows: rest }];
}

/** Facts about the installation, read when somebody asks. */
export interface InstallationNow {
  readonly version: string;
  readonly node: string;
  readonly startedAt: number;
  readonly memoryBytes: number;
  readonly queue: { readonly running: number; readonly waiting: number };
  readonly watches: { readonly used: number; readonly limit: number } | undefined;
  readonly disk: { readonly free: number; readonly total: number } | undefined;
  readonly connections: readonly Connection[];
}

export function installationGauges(facts: InstallationNow, { most }: { most: number }): Registry {
  const register = new Registry();
  const registers = [register];
  const set = (name: string, help: string, value: number | undefined): void => {
    if (value !== undefined) new Gauge({ name, help, registers }).set(value);
  };
  const { version, node } = facts;
  const build = { name: 'mooring_build_info', help: 'Always 1; the version of Mooring and of Node.' };
  new Gauge({ ...build, registers, labelNames: ['version', 'node'] }).set({ version, node }, 1);
  set('mooring_start_time_seconds', 'When the daemon was started.', facts.startedAt / 1_000);
  set('mooring_memory_bytes', 'Memory of the daemon that is in use.', facts.memoryBytes);
  set('mooring_queue_running', 'Runs under way.', facts.queue.running);
  set('mooring_queue_waiting', 'Runs that wait for their turn.', facts.queue.waiting);
  set('mooring_watches', 'Watches of the kernel that the daemon uses.', facts.watches?.used);
  set('mooring_watches_limit', 'Watches that the kernel grants to a user.', facts.watches?.limit);
  set('mooring_disk_free_bytes', 'Free space on the disk of the state directory.', facts.disk?.free);
  set('mooring_disk_size_bytes', 'Size of the disk of the state directory.', facts.disk?.total);
  connectionGauges(register, facts.connections.slice(0, most));
  return register;
}

function connectionGauges(register: Registry, connections: readonly Connection[]): void {
  const labelNames = ['connection', 'user'] as const;
  const registers = [register];
  const lost = new Gauge({
    ...{ name: 'mooring_connection_lost', registers, labelNames },
    help: '1 while GitLab no longer accepts a connection and someone must renew it.',
  });
  const expiry = new Gauge({
    ...{ name: 'mooring_connection_token_expiry_timestamp_seconds', registers, labelNames },
    help: 'When an access token expires that only a person can renew.',
  });
  for (const { id, username, health, accessToken } of connections) {
    const labels = { connection: id, user: username };
    lost.set(labels, health === 'reconnect' ? 1 : 0);
    if (accessToken?.expiresAt !== undefined) expiry.set(labels, accessToken.expiresAt / 1_000);
  }
}
