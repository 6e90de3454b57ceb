import type { Connection, ConnectionId, Instance, ProjectId } from '../model/instance.ts';
import { type Problem, asProblem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import type { Binding, Site, SiteId, Webhook } from '../model/site.ts';
import type { Random } from '../model/world.ts';

/** What GitLab says of a hook. */
interface HookFacts {
  readonly id: number;
  readonly url: string;
  readonly state: 'active' | 'resting' | 'disabled';
  readonly signed: boolean;
}

/** GitLab did not take the hook, in its words; `hookId`: the one of ours that it has all the same. */
interface HookRefusal {
  readonly refused: string;
  readonly hookId?: number;
}

/** What came of a test call; `unknown`: this GitLab has no such call, or no such hook. */
type HookTrial =
  { readonly kind: 'arrived' } | { readonly kind: 'failed'; readonly text: string } | { readonly kind: 'unknown' };

interface WantedHook {
  readonly url: string;
  readonly token: Secret;
  readonly signingToken?: Secret;
  /** The hook we made before: of several of ours it is the one to keep. */
  readonly known?: number;
}

export interface WebhooksDeps {
  readonly config: { readonly publicUrl: string };
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
  readonly client: {
    hooks(token: Secret, id: ProjectId): Promise<readonly HookFacts[]>;
    hook(token: Secret, id: ProjectId, hookId: number): Promise<HookFacts | undefined>;
    setHook(token: Secret, id: ProjectId, hook: WantedHook): Promise<HookFacts | HookRefusal>;
    deleteHook(token: Secret, id: ProjectId, hookId: number): Promise<void>;
    testHook(token: Secret, id: ProjectId, hookId: number): Promise<HookTrial>;
  };
  readonly store: {
    readonly instance: { get(): Instance | undefined; connection(id: ConnectionId): Connection | undefined };
    readonly sites: {
      get(id: string): Site | undefined;
      setWebhook(id: SiteId, webhook: Webhook): Promise<void>;
      hookSecrets(id: string): { token: Secret; signing?: Secret; signed: boolean } | undefined;
      setHookSigning(id: SiteId, to: { signing?: Secret; signed: boolean }): Promise<void>;
    };
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
  /**
   * Looks at what GitLab thinks of the hook: switched off, it is tried and so switched on again; gone, it is made anew;
   * without proof that it works, it is tried.
   */
  check(id: SiteId): Promise<void>;
  /**
   * Whether the hook is gone, also when it never was there. Ours is known by its address, not by its number; `unknown`:
   * GitLab did not answer, and whether it has one was never learned.
   */
  remove(id: SiteId, binding: Binding): Promise<'gone' | 'left' | 'unknown'>;
  /** A genuine call came. */
  delivered(id: SiteId, delivery: { at: number; signed: boolean }): Promise<void>;
  /** A genuine call of the instance's system hook came for this site. */
  deliveredBySystem(id: SiteId, at: number): Promise<void>;
  /** A push was found by looking, and no call had told of it. */
  missed(id: SiteId, at: number): Promise<void>;
}

export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { client } = deps;
  const { sites, instance } = deps.store;
  const { withToken } = deps.tokens;

  const addressOf = (id: SiteId): string =>
    `${instance.get()?.advanced.reachableAt || deps.config.publicUrl}/hooks/gitlab/${id}`;

  async function note(id: SiteId, webhook: Webhook): Promise<void> {
    await sites.setWebhook(id, webhook);
    deps.siteChanged(id);
  }

  const mayMakeHooks = (id: ConnectionId): boolean => {
    const connection = instance.connection(id);
    return !connection || connection.scopes.split(' ').includes('api');
  };

  async function setUp(id: SiteId): Promise<void> {
    const hook = await save(id);
    const binding = sites.get(id)?.binding;
    if (hook && binding) await prove(id, binding, hook.id);
  }

  /** Finds or makes the hook, with both secrets. Undefined: what came instead is noted. */
  async function save(id: SiteId): Promise<HookFacts | undefined> {
    const binding = sites.get(id)?.binding;
    const secrets = sites.hookSecrets(id);
    if (!binding || !secrets) return undefined;
    const { connectionId, projectId } = binding;
    const known = hookIdOf(binding.webhook);
    const failed = async (webhook: NotWorking, hookId = known): Promise<undefined> =>
      void (await note(id, { ...webhook, ...(hookId === undefined ? {} : { hookId }) }));
    if (!mayMakeHooks(connectionId)) return failed({ kind: 'none', reason: noScope });
    const url = addressOf(id);
    const signing = secrets.signing ?? newSigningKey(deps.random);
    const wanted = { url, token: secrets.token, signingToken: signing, ...(known === undefined ? {} : { known }) };
    try {
      // Kept before GitLab can use it: the first delivery may come before the answer.
      if (!secrets.signing) await sites.setHookSigning(id, { signing, signed: false });
      const hook = await withToken(connectionId, (token) => client.setHook(token, projectId, wanted));
      if ('refused' in hook) return await failed(await refusal(url, hook.refused), hook.hookId ?? known);
      // A GitLab that went back below 19 signs no more; demanding signatures would lock it out for good.
      if (secrets.signed && !hook.signed) await sites.setHookSigning(id, { signed: false });
      const before = sites.get(id)?.binding?.webhook;
      const isKnown = (before?.kind === 'working' || before?.kind === 'waiting') && before.hookId === hook.id;
      if (!isKnown) await note(id, { kind: 'waiting', hookId: hook.id });
      return hook;
    } catch (error) {
      return failed({ kind: 'none', reason: hookRefusal(asProblem(error)) });
    }
  }

  /** A test delivery shows within a second what the first push would show, and wakes a hook that GitLab gave up. */
  async function prove(id: SiteId, { connectionId, projectId }: Binding, hookId: number): Promise<void> {
    const test = withToken(connectionId, (token) => client.testHook(token, projectId, hookId));
    const trial = await test.catch(() => undefined);
    if (trial?.kind === 'arrived') return noteTrial(id, hookId);
    if (trial?.kind === 'failed' && isBlock(trial.text)) {
      return note(id, { ...(await refusal(addressOf(id), trial.text)), hookId });
    }
    // It may have arrived and the answer not; what GitLab thinks now counts.
    const hook = await withToken(connectionId, (token) => client.hook(token, projectId, hookId)).catch(() => undefined);
    if (hook?.state === 'active' && trial?.kind === 'failed') return noteTrial(id, hookId, trial.text);
    if (!hook || hook.state === 'active') return;
    if (trial?.kind === 'unknown' && hook.state === 'disabled') {
      // Before 16.11 nothing but a new one takes the place of a hook that is disabled for good.
      const end = withToken(connectionId, (token) => client.deleteHook(token, projectId, hookId));
      const isGone = await end.then(
        () => true,
        () => false,
      );
      if (isGone) return void (await save(id));
    }
    await note(id, { kind: 'disabled', hookId, resting: hook.state === 'resting' });
  }

  /** Shows what GitLab said of the last test call, empty where it was done; a call that came meanwhile says more. */
  async function noteTrial(id: SiteId, hookId: number, said = ''): Promise<void> {
    const known = sites.get(id)?.binding?.webhook;
    if (known?.kind !== 'waiting' || known.hookId !== hookId || (known.said ?? '') === said) return;
    const { said: _before, ...rest } = known;
    await note(id, said === '' ? rest : { ...rest, said });
  }

  /** What GitLab's refusal of an address means, or of anything else about the hook. */
  async function refusal(url: string, text: string): Promise<NotWorking> {
    const { host } = new URL(url);
    if (/cannot be resolved/i.test(text)) return { kind: 'none', reason: `GitLab does not find the name ${host}.` };
    // Where GitLab says no more than this, it may be the network it forbids or a name it does not find.
    const isOdd = /invalid url given/i.test(text);
    if (isBlock(text) || (isOdd && (await deps.isLocal(new URL(url))))) return { kind: 'blocked', address: host };
    const reason = isOdd
      ? `GitLab refuses to call ${host}. It might be unable to resolve the name, or its settings might not allow the address.`
      : `GitLab refuses the webhook: “${text || 'no reason given'}”. Fix this in the repository under Settings / Webhooks, then try again.`;
    return { kind: 'none', reason };
  }

  async function check(id: SiteId): Promise<void> {
    const binding = sites.get(id)?.binding;
    if (!binding || binding.webhook.kind === 'system') return;
    const { connectionId, projectId, webhook } = binding;
    const hookId = hookIdOf(webhook);
    if (hookId === undefined || webhook.kind === 'none' || webhook.kind === 'blocked') return setUp(id);
    try {
      const hook = await withToken(connectionId, (token) => client.hook(token, projectId, hookId));
      const unsigned = sites.hookSecrets(id)?.signed === true && hook?.signed === false;
      if (!hook || hook.url !== addressOf(id) || unsigned) return await setUp(id);
      if (hook.state !== 'active') await note(id, { kind: 'disabled', hookId, resting: hook.state === 'resting' });
      else if (webhook.kind === 'working') return;
      // Where a push sets off no call, a test may arrive all the same: saving it again says whether it is blocked.
      else if (webhook.kind === 'waiting' && webhook.missedAt !== undefined) return void (await save(id));
      else if (webhook.kind === 'disabled') await note(id, { kind: 'waiting', hookId });
      await prove(id, binding, hookId);
    } catch {
      // GitLab does not answer: what is known stays, and the syncs say the rest.
    }
  }

  /** The number of a hook that calls and that we know nothing of: GitLab's answer to its making was lost. */
  async function findHook(id: SiteId, { connectionId, projectId }: Binding): Promise<number | undefined> {
    const hooks = await withToken(connectionId, (token) => client.hooks(token, projectId)).catch(() => []);
    return hooks.find(isOurs(id))?.id;
  }

  return {
    setUp,
    check,

    async remove(id, { connectionId, projectId, webhook }) {
      const hookId = hookIdOf(webhook);
      if (hookId === undefined && !mayMakeHooks(connectionId)) return 'gone';
      try {
        await withToken(connectionId, async (token) => {
          const ours = (await client.hooks(token, projectId)).filter(isOurs(id));
          for (const hook of ours) await client.deleteHook(token, projectId, hook.id);
        });
        return 'gone';
      } catch (error) {
        const { code } = asProblem(error);
        // With the repository its hooks are gone too.
        if (code === 'project-missing') return 'gone';
        if (hookId !== undefined) return 'left';
        // Who may not make one has made none; otherwise the answer to the making may have been lost.
        return code === 'not-allowed' || code === 'scope-too-small' ? 'gone' : 'unknown';
      }
    },

    async delivered(id, { at, signed }) {
      if (signed && sites.hookSecrets(id)?.signed === false) await sites.setHookSigning(id, { signed });
      const binding = sites.get(id)?.binding;
      const hookId = binding && (hookIdOf(binding.webhook) ?? (await findHook(id, binding)));
      if (hookId !== undefined) await note(id, { kind: 'working', hookId, lastDeliveryAt: at });
    },

    async deliveredBySystem(id, at) {
      const known = sites.get(id)?.binding?.webhook;
      // A project hook that calls tells more; only where none does, this one counts.
      if (known?.kind !== 'none' && known?.kind !== 'blocked' && known?.kind !== 'system') return;
      await note(id, { kind: 'system', lastDeliveryAt: at, ...numberOf(known) });
    },

    async missed(id, at) {
      const known = sites.get(id)?.binding?.webhook;
      if (known?.kind === 'system' && at - known.lastDeliveryAt >= graceMs) {
        const reason = 'A push came without a call of the system hook.';
        return note(id, { kind: 'none', reason, ...numberOf(known) });
      }
      // A call on its way may be overtaken by a look; one that comes after all proves the webhook again.
      if (known?.kind !== 'working' || at - known.lastDeliveryAt < graceMs) return;
      await note(id, { kind: 'waiting', hookId: known.hookId, missedAt: at });
    },
  };
}

const graceMs = 60_000;
const noScope = 'The connection has no api scope.';

type NotWorking = Extract<Webhook, { kind: 'none' | 'blocked' }>;

/** The number of the hook that GitLab has for us, as far as we know. */
export function hookIdOf(webhook: Webhook): number | undefined {
  return 'hookId' in webhook ? webhook.hookId : undefined;
}

function numberOf(webhook: Webhook): { hookId?: number } {
  const hookId = hookIdOf(webhook);
  return hookId === undefined ? {} : { hookId };
}

const isOurs =
  (id: SiteId) =>
  ({ url }: HookFacts): boolean =>
    url.endsWith(`/hooks/gitlab/${id}`);

/** The texts of GitLab's own network filter, at saving where it gives them, and at each call. */
const isBlock = (text: string): boolean => /url is blocked|requests to .+ are (not allowed|denied)/i.test(text);

/** `whsec_` and 32 bytes in base64: the only form GitLab takes. */
function newSigningKey(random: Random): Secret {
  return new Secret(`whsec_${random.bytes(32).toString('base64')}`);
}

function hookRefusal({ code, facts }: Problem): string {
  switch (code) {
    case 'not-allowed':
      return 'Only a Maintainer may make webhooks in this repository.';
    case 'scope-too-small':
      return noScope;
    case 'project-missing':
      return 'GitLab does not find the repository: it was deleted, or access to it was withdrawn.';
    case 'grant-lost':
      return 'GitLab accepts the connection’s token no more. It is set up again after a reconnect.';
    case 'user-blocked':
      return 'GitLab has blocked the user of the connection.';
    case 'gitlab-answer-odd':
      return `GitLab gave an answer that is not understood: “${facts['text'] || facts['reason'] || 'nothing'}”.`;
    default:
      return 'GitLab did not answer when the webhook was set up.';
  }
}
