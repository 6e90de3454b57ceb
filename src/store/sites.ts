import { z } from 'zod';
import type { MaintenanceWindow, PauseAll } from '../model/maintenance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import { defaultSettings, type Binding, type Site, type SiteId, type Webhook } from '../model/site.ts';
import type { Random } from '../model/world.ts';
import type { Database } from './database.ts';
import { binding, settings, siteId } from './shapes.ts';
import { sealedSchema, type Sealed, type Vault } from './vault.ts';

export interface SitesStore {
  all(): readonly Site[];
  get(id: string): Site | undefined;
  /** Whether name and folder are good is for the caller to know. */
  add(site: Pick<Site, 'name' | 'folder'> & Partial<Pick<Site, 'root' | 'settings'>>): Promise<Site>;
  /** Only the members given change. Throws `not-found`. */
  change(id: SiteId, to: Partial<Pick<Site, 'name' | 'paused' | 'root' | 'settings'>>): Promise<Site>;
  pauseAll(): PauseAll | undefined;
  /** Pauses every connected site that is not paused, in one write; gives those. */
  pauseTogether(pause: PauseAll): Promise<readonly Site[]>;
  /** Resumes what was paused together and is paused yet, in one write; gives those. */
  resumeTogether(): Promise<readonly Site[]>;
  maintenanceWindow(): MaintenanceWindow | undefined;
  setMaintenanceWindow(window: MaintenanceWindow | undefined): Promise<void>;
  /** Ties the site to a branch; `hookToken` is what GitLab must show when it calls. */
  bind(id: SiteId, to: Binding, hookToken: Secret): Promise<Site>;
  /** The site stays, unconnected. */
  unbind(id: SiteId): Promise<Site>;
  /**
   * No effect on a site that is not connected. That a webhook called once more is on disk some minutes later: a call that
   * brings nothing new writes no file.
   */
  setWebhook(id: SiteId, webhook: Webhook): Promise<void>;
  /** Where the repository is now; its number stays. No effect on a site that is not connected. */
  setProject(
    id: SiteId,
    at: Partial<
      Pick<Binding, 'projectPath' | 'webUrl' | 'cloneUrl' | 'projectCreatedAt' | 'defaultBranch' | 'defaultThen'>
    >,
  ): Promise<void>;
  /** The connection that the site uses from now on. No effect on a site that is not connected. */
  setConnection(id: SiteId, connectionId: Binding['connectionId']): Promise<void>;
  /** Ends a switch under way too. No effect on a site that is not connected. */
  setBranch(id: SiteId, branch: Binding['branch']): Promise<void>;
  /** A switch to another branch begins. No effect on a site that is not connected. */
  setSwitching(id: SiteId, switching: NonNullable<Binding['switching']>): Promise<void>;
  /** The key GitLab signs deliveries with, and whether one came signed: then unsigned ones are refused. */
  setHookSigning(id: SiteId, to: { signing?: Secret; signed: boolean }): Promise<void>;
  /** Undefined where there is no such site or no binding. Throws `store-damaged` when it was altered. */
  hookToken(id: string): Secret | undefined;
  /** The same, with what belongs to signatures. */
  hookSecrets(id: string): HookSecrets | undefined;
  /** Forgets the site; may be called for one that is gone. Its history and its own file are the caller's. */
  remove(id: SiteId): Promise<void>;
}

interface HookSecrets {
  readonly token: Secret;
  readonly signing?: Secret;
  readonly signed: boolean;
}

type Draft<T> = { -readonly [K in keyof T]: T[K] };

interface StoredSite {
  site: Draft<Site>;
  hookToken?: Sealed;
  hookSigning?: Sealed;
  hookSigned?: boolean;
}

export interface SitesData {
  sites: StoredSite[];
  pauseAll?: PauseAll;
  maintenanceWindow?: MaintenanceWindow;
}

export const sitesSchema: z.ZodType<SitesData> = z.strictObject({
  sites: z.array(
    z.strictObject({
      site: z.strictObject({
        id: siteId,
        name: z.string(),
        folder: z.string(),
        createdAt: z.number(),
        paused: z.boolean(),
        pausedWithAll: z.literal(true).exactOptional(),
        binding: binding.exactOptional(),
        root: z.strictObject({ dev: z.string(), ino: z.string() }).exactOptional(),
        settings,
      }),
      hookToken: sealedSchema.exactOptional(),
      hookSigning: sealedSchema.exactOptional(),
      hookSigned: z.boolean().exactOptional(),
    }),
  ),
  pauseAll: z
    .strictObject({ by: z.string().exactOptional(), since: z.number(), until: z.number().exactOptional() })
    .exactOptional(),
  maintenanceWindow: z
    .strictObject({
      ...{ from: z.number(), until: z.number(), skipped: z.number().exactOptional() },
      every: z.enum(['day', 'week']).exactOptional(),
    })
    .exactOptional(),
});

const callsLateMs = 10 * 60_000;

/** By how much a webhook called later, in ms; undefined where it is another one, or something else is told of it. */
function laterBy(known: Webhook, now: Webhook): number | undefined {
  if (!('lastDeliveryAt' in known && 'lastDeliveryAt' in now)) return undefined;
  if (known.kind !== now.kind || known.hookId !== now.hookId) return undefined;
  return now.lastDeliveryAt - known.lastDeliveryAt;
}

const recordOf = (id: string): string => `webhook token of ${id}`;
const signingRecordOf = (id: string): string => `webhook signing key of ${id}`;

export function createSitesStore(deps: {
  db: Database<SitesData>;
  vault: Vault;
  random: Random;
  now: () => number;
}): SitesStore {
  const { db, vault, random, now } = deps;
  const find = (id: string): StoredSite | undefined => db.data.sites.find((each) => each.site.id === id);
  /** Calls that came since those on disk. */
  const calls = new Map<SiteId, Webhook>();

  function withCall(site: Site): Site {
    const call = calls.get(site.id);
    if (!call || !site.binding || (laterBy(site.binding.webhook, call) ?? 0) <= 0) return site;
    return { ...site, binding: { ...site.binding, webhook: call } };
  }

  function alter(id: SiteId, apply: (stored: StoredSite) => void): Promise<Site> {
    return db.update((draft) => {
      const stored = draft.sites.find((each) => each.site.id === id);
      if (!stored) throw new Problem('not-found', { site: id });
      apply(stored);
      return stored.site;
    });
  }

  return {
    all: () => db.data.sites.map((each) => withCall(each.site)),
    get(id) {
      const site = find(id)?.site;
      return site && withCall(site);
    },
    async add(made) {
      const id = random.bytes(5).toString('hex') as SiteId;
      const site: Site = { settings: defaultSettings, ...made, id, createdAt: now(), paused: false };
      await db.update((draft) => {
        draft.sites.push({ site });
      });
      return site;
    },
    change: (id, to) =>
      alter(id, (stored) => {
        Object.assign(stored.site, to);
        // Somebody decided about this one site.
        if (to.paused !== undefined) delete stored.site.pausedWithAll;
      }),
    pauseAll: () => db.data.pauseAll,
    pauseTogether: (pause) =>
      db.update((draft) => {
        draft.pauseAll = pause;
        const sites = draft.sites.map(({ site }) => site).filter(({ binding, paused }) => binding && !paused);
        for (const site of sites) Object.assign(site, { paused: true, pausedWithAll: true });
        return sites;
      }),
    resumeTogether: () =>
      db.update((draft) => {
        delete draft.pauseAll;
        const sites = draft.sites.map(({ site }) => site).filter(({ pausedWithAll }) => pausedWithAll);
        for (const site of sites) {
          site.paused = false;
          delete site.pausedWithAll;
        }
        return sites;
      }),
    maintenanceWindow: () => db.data.maintenanceWindow,
    async setMaintenanceWindow(window) {
      await db.update((draft) => {
        if (window) draft.maintenanceWindow = window;
        else delete draft.maintenanceWindow;
      });
    },
    bind: (id, to, hookToken) =>
      alter(id, (stored) => {
        stored.site.binding = to;
        stored.hookToken = vault.seal(hookToken, recordOf(id));
        delete stored.hookSigning;
        delete stored.hookSigned;
      }),
    unbind: (id) =>
      alter(id, (stored) => {
        delete stored.site.binding;
        delete stored.hookToken;
        delete stored.hookSigning;
        delete stored.hookSigned;
      }),
    async setWebhook(id, webhook) {
      const known = find(id)?.site.binding?.webhook;
      const laterMs = known && laterBy(known, webhook);
      if (laterMs !== undefined && laterMs >= 0 && laterMs < callsLateMs) return void calls.set(id, webhook);
      calls.delete(id);
      await alter(id, ({ site }) => {
        if (site.binding) site.binding = { ...site.binding, webhook };
      });
    },
    async setProject(id, at) {
      await alter(id, ({ site }) => {
        if (site.binding) site.binding = { ...site.binding, ...at };
      });
    },
    async setConnection(id, connectionId) {
      await alter(id, ({ site }) => {
        if (site.binding) site.binding = { ...site.binding, connectionId };
      });
    },
    async setBranch(id, branch) {
      await alter(id, ({ site }) => {
        if (!site.binding) return;
        const { switching: _, ...rest } = site.binding;
        site.binding = { ...rest, branch };
      });
    },
    async setSwitching(id, switching) {
      await alter(id, ({ site }) => {
        if (site.binding) site.binding = { ...site.binding, switching };
      });
    },
    async setHookSigning(id, { signing, signed }) {
      await alter(id, (stored) => {
        if (!stored.site.binding) return;
        if (signing) stored.hookSigning = vault.seal(signing, signingRecordOf(id));
        stored.hookSigned = signed;
      });
    },
    hookToken(id) {
      const sealed = find(id)?.hookToken;
      return sealed && vault.open(sealed, recordOf(id));
    },
    hookSecrets(id) {
      const stored = find(id);
      if (!stored?.hookToken) return undefined;
      return {
        token: vault.open(stored.hookToken, recordOf(id)),
        ...(stored.hookSigning ? { signing: vault.open(stored.hookSigning, signingRecordOf(id)) } : {}),
        signed: stored.hookSigned ?? false,
      };
    },
    async remove(id) {
      await db.update((draft) => {
        draft.sites = draft.sites.filter((each) => each.site.id !== id);
      });
    },
  };
}

/** Seals anew whatever an older key sealed. */
export async function renewSites(db: Database<SitesData>, vault: Vault): Promise<void> {
  await db.update((draft) => {
    for (const stored of draft.sites) {
      if (stored.hookToken) stored.hookToken = vault.renew(stored.hookToken, recordOf(stored.site.id));
      if (stored.hookSigning) stored.hookSigning = vault.renew(stored.hookSigning, signingRecordOf(stored.site.id));
    }
  });
}
