import type { Connection, ConnectionId, Instance, ProjectId } from '../model/instance.ts';
import { type Problem, asProblem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId, Webhook } from '../model/site.ts';
import type { Random } from '../model/world.ts';

/** What GitLab says of a hook. */
export interface HookFacts {
  readonly id: number;
  readonly url: string;
  readonly state: 'active' | 'resting' | 'disabled';
  readonly signed: boolean;
}

export interface HookWish {
  readonly url: string;
  readonly token: Secret;
  readonly signingToken?: Secret;
  /** The hook we made before, which may still have another URL. */
  readonly known?: number;
}

export interface WebhooksDeps {
  readonly publicUrl: string;
  readonly instance: () => Instance | undefined;
  readonly connection: (id: ConnectionId) => Connection | undefined;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>) => Promise<T>;
  readonly client: {
    hook(token: Secret, id: ProjectId, hookId: number): Promise<HookFacts | undefined>;
    setHook(token: Secret, id: ProjectId, hook: HookWish): Promise<HookFacts | undefined>;
    deleteHook(token: Secret, id: ProjectId, hookId: number): Promise<void>;
    testHook(token: Secret, id: ProjectId, hookId: number): Promise<boolean>;
  };
  readonly sites: {
    get(id: string): Site | undefined;
    setWebhook(id: SiteId, webhook: Webhook): Promise<void>;
    hookSecrets(id: string): { token: Secret; signing?: Secret; signed: boolean } | undefined;
    setHookSigning(id: SiteId, to: { signing?: Secret; signed: boolean }): Promise<void>;
  };
  /** Whether GitLab's filter refuses this address unless an admin allows it. */
  readonly isLocal: (url: URL) => Promise<boolean>;
  /** The site's schedule follows what is known of its webhook. */
  readonly siteChanged: (id: SiteId) => void;
  readonly random: Random;
}

/** One site's call from GitLab. Nothing depends on it but how fast a push arrives, so none of these throws. */
export interface Webhooks {
  /** Finds or makes the hook, with both secrets, and has GitLab try it. */
  setUp(id: SiteId): Promise<void>;
  /** Looks at what GitLab thinks of the hook: switched off, it is tried and so switched on again; gone, it is made anew. */
  look(id: SiteId): Promise<void>;
  /** Whether the hook is gone, also when it never was there. One of the same number that is not ours stays. */
  remove(id: SiteId, binding: Binding): Promise<'gone' | 'left'>;
  /** A genuine call came. */
  delivered(id: SiteId, delivery: { at: number; signed: boolean }): Promise<void>;
  /** A genuine call of the instance's system hook came for this site. */
  deliveredBySystem(id: SiteId, at: number): Promise<void>;
  /** A push was found by looking, and no call had told of it. */
  missed(id: SiteId, at: number): Promise<void>;
}

export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { sites, client, withToken } = deps;

  async function note(id: SiteId, webhook: Webhook): Promise<void> {
    await sites.setWebhook(id, webhook);
    deps.siteChanged(id);
  }

  async function setUp(id: SiteId): Promise<void> {
    const binding = sites.get(id)?.binding;
    const secrets = sites.hookSecrets(id);
    if (!binding || !secrets) return;
    const { connectionId, projectId } = binding;
    const connection = deps.connection(connectionId);
    if (connection && !connection.scopes.split(' ').includes('api')) {
      return note(id, { kind: 'none', reason: 'The connection has no api scope.' });
    }
    const url = `${deps.instance()?.advanced.reachableAt || deps.publicUrl}/hooks/gitlab/${id}`;
    const signing = secrets.signing ?? newSigningKey(deps.random);
    const known = hookIdOf(binding.webhook);
    const wish = { url, token: secrets.token, signingToken: signing, ...(known === undefined ? {} : { known }) };
    try {
      // Kept before GitLab can use it: the first delivery may come before the answer.
      if (!secrets.signing) await sites.setHookSigning(id, { signing, signed: false });
      const hook = await withToken(connectionId, (token) => client.setHook(token, projectId, wish));
      if (!hook) return await note(id, await refusal(url));
      // A GitLab that went back below 19 signs no more; demanding signatures would lock it out for good.
      if (secrets.signed && !hook.signed) await sites.setHookSigning(id, { signed: false });
      const before = sites.get(id)?.binding?.webhook;
      if (before?.kind !== 'working' || before.hookId !== hook.id) await note(id, { kind: 'waiting', hookId: hook.id });
      await prove(id, binding, hook.id);
    } catch (error) {
      await note(id, { kind: 'none', reason: hookRefusal(asProblem(error)) });
    }
  }

  /** A test delivery shows within a second what the first push would show, and wakes a hook that GitLab gave up. */
  async function prove(id: SiteId, { connectionId, projectId }: Binding, hookId: number): Promise<void> {
    const tried = withToken(connectionId, (token) => client.testHook(token, projectId, hookId));
    if (await tried.catch(() => false)) return;
    // It may have arrived and the answer not; what GitLab thinks now counts.
    const hook = await withToken(connectionId, (token) => client.hook(token, projectId, hookId)).catch(() => undefined);
    if (hook && hook.state !== 'active') {
      await note(id, { kind: 'disabled', hookId, resting: hook.state === 'resting' });
    }
  }

  async function refusal(url: string): Promise<Webhook> {
    const { host } = new URL(url);
    if (await deps.isLocal(new URL(url))) return { kind: 'blocked', address: host };
    return { kind: 'none', reason: `GitLab refuses to call ${host}: it may not find the name, or not be allowed to.` };
  }

  async function look(id: SiteId): Promise<void> {
    const binding = sites.get(id)?.binding;
    if (binding?.webhook.kind === 'system') return;
    const hookId = binding && hookIdOf(binding.webhook);
    if (!binding || hookId === undefined) return setUp(id);
    const { connectionId, projectId } = binding;
    try {
      const hook = await withToken(connectionId, (token) => client.hook(token, projectId, hookId));
      const url = `${deps.instance()?.advanced.reachableAt || deps.publicUrl}/hooks/gitlab/${id}`;
      const unsigned = sites.hookSecrets(id)?.signed === true && hook?.signed === false;
      if (!hook || hook.url !== url || unsigned) return await setUp(id);
      if (hook.state === 'active') {
        if (binding.webhook.kind === 'disabled') await note(id, { kind: 'waiting', hookId });
        return;
      }
      await note(id, { kind: 'disabled', hookId, resting: hook.state === 'resting' });
      await prove(id, binding, hookId);
    } catch {
      // GitLab does not answer: what is known stays, and the syncs say the rest.
    }
  }

  return {
    setUp,
    look,

    async remove(id, { connectionId, projectId, webhook }) {
      const hookId = hookIdOf(webhook);
      if (hookId === undefined) return 'gone';
      const gone = withToken(connectionId, async (token) => {
        const hook = await client.hook(token, projectId, hookId);
        if (hook?.url.endsWith(`/hooks/gitlab/${id}`)) await client.deleteHook(token, projectId, hookId);
      });
      return gone.then(
        () => 'gone',
        () => 'left',
      );
    },

    async delivered(id, { at, signed }) {
      if (signed && sites.hookSecrets(id)?.signed === false) await sites.setHookSigning(id, { signed });
      const known = sites.get(id)?.binding?.webhook;
      const hookId = known && hookIdOf(known);
      if (hookId === undefined) return;
      await note(id, { kind: 'working', hookId, lastDeliveryAt: at });
    },

    async deliveredBySystem(id, at) {
      const known = sites.get(id)?.binding?.webhook;
      // A project hook of our own tells more; only where there is none does this one count.
      if (known && hookIdOf(known) === undefined) await note(id, { kind: 'system', lastDeliveryAt: at });
    },

    async missed(id, at) {
      const known = sites.get(id)?.binding?.webhook;
      if (known?.kind === 'system' && at - known.lastDeliveryAt >= graceMs) {
        return note(id, { kind: 'none', reason: 'A push came without a call of the system hook.' });
      }
      // A call on its way may be overtaken by a look; one that comes after all proves the webhook again.
      if (known?.kind !== 'working' || at - known.lastDeliveryAt < graceMs) return;
      await note(id, { kind: 'waiting', hookId: known.hookId, missedAt: at });
    },
  };
}

const graceMs = 60_000;

/** The number of the hook that GitLab has for us, as far as we know. */
export function hookIdOf(webhook: Webhook): number | undefined {
  return 'hookId' in webhook ? webhook.hookId : undefined;
}

/** `whsec_` and 32 bytes in base64: the only form GitLab takes. */
function newSigningKey(random: Random): Secret {
  return new Secret(`whsec_${random.bytes(32).toString('base64')}`);
}

function hookRefusal({ code }: Problem): string {
  if (code === 'not-allowed') return 'Only a Maintainer may make webhooks in this repository.';
  if (code === 'scope-too-small') return 'The connection has no api scope.';
  return 'GitLab did not answer when the webhook was set up.';
}
