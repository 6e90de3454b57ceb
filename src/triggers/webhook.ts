import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { BranchNews, DeliveryVerifier } from '../model/delivery-verifier.ts';
import type { BranchName } from '../model/instance.ts';
import type { Secret } from '../model/secret.ts';
import type { SiteId } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';

/** What GitLab and the site share. */
export interface HookSecrets {
  /** Comes back in `X-Gitlab-Token`. */
  readonly token: Secret;
  /** `whsec_` and base64 of 32 bytes; from GitLab 19.0 it signs each delivery. */
  readonly signing?: Secret;
  /** A signed delivery was seen before: from then on, unsigned ones are refused. */
  readonly signed: boolean;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface WebhookDeps {
  /** Undefined: no such site, or it has no webhook. */
  readonly secretsOf: (siteId: string) => { readonly site: SiteId; readonly secrets: HookSecrets } | undefined;
  /** Look now. `news`: what it says of branches. Must not throw and not take long: GitLab waits. */
  readonly onTrigger: (site: SiteId, news: readonly BranchNews[]) => void;
  /** A genuine delivery arrived, a repeat included; `signed`: remember it. Must not throw. */
  readonly onDelivery: (site: SiteId, delivery: { readonly at: number; readonly signed: boolean }) => void;
  readonly clock: Clock;
}

/**
 * GitLab's calls. A delivery says only "look now", so a forged, late or replayed one costs a check at most. What its body
 * says of a branch may start a fetch before the check has ended, and counts for nothing else. Anything genuine is
 * `accepted`, whatever its event, because GitLab disables hooks that answer 4xx.
 */
export function createWebhook(deps: WebhookDeps): (siteId: string, headers: Headers) => DeliveryVerifier {
  const seen = createMemory();

  return (siteId, headers) => {
    const found = deps.secretsOf(siteId);
    // The same work as for a known site, so that the answer's time does not tell which sites exist.
    const trusted = hasToken(headers, found?.secrets.token);
    if (!found) return deaf;
    const { site, secrets } = found;
    const now = deps.clock.now();
    const proof = startVerification(headers, secrets, now);
    const held = new HeldBody();
    return {
      trusted,
      take(chunk) {
        proof.take(chunk);
        held.take(chunk);
      },
      end() {
        const proven = proof.end();
        if (proven === 'none') return 'refused';
        deps.onDelivery(site, { at: now, signed: proven === 'signature' });
        const id = text(headers['webhook-id']) || text(headers['idempotency-key']);
        if (id === '' || seen.isNew(`${site} ${id}`)) deps.onTrigger(site, newsIn(held.read()));
        return 'accepted';
      },
    };
  };
}

export interface SystemHookDeps {
  /** Undefined: none was made; then every call is refused. */
  readonly secret: () => Secret | undefined;
  readonly sitesOf: (projectId: number) => readonly SiteId[];
  /** Those whose repository lies somewhere below this group or user. */
  readonly sitesBelow: (path: string) => readonly SiteId[];
  /** Look now. `news`: what it says of branches. Must not throw and not take long. */
  readonly onTrigger: (site: SiteId, news: readonly BranchNews[]) => void;
  /** The project may have another name or place now. Must not throw. */
  readonly onMoved: (site: SiteId) => void;
  /** A genuine call told of a push: one of another kind does not prove that pushes are told. Must not throw. */
  readonly onDelivery: (site: SiteId, at: number) => void;
  readonly clock: Clock;
}

/**
 * The calls of a system hook: one for all projects of the instance. The body's project number, or the old path of a
 * group, chooses which of our sites to look at. A body that is too long to be held tells nothing: the next check of the
 * branch finds what it was about.
 */
export function createSystemHook(deps: SystemHookDeps): (headers: Headers) => DeliveryVerifier {
  return (headers) => {
    const secret = deps.secret();
    if (!hasToken(headers, secret)) return deaf;
    const held = new HeldBody();
    return {
      trusted: true,
      take: (chunk) => held.take(chunk),
      end() {
        const said = held.read();
        const { projectId, event, below } = readEvent(said);
        for (const site of projectId === undefined ? [] : deps.sitesOf(projectId)) {
          if (/^(push|tag_push|repository_update)$/.test(event)) deps.onDelivery(site, deps.clock.now());
          if (/^project_(rename|transfer|update)$/.test(event)) deps.onMoved(site);
          deps.onTrigger(site, newsIn(said));
        }
        for (const site of below === '' ? [] : deps.sitesBelow(below)) deps.onMoved(site);
        return 'accepted';
      },
    };
  };
}

const mostRead = 1024 * 1024;

type Said = Readonly<Record<string, unknown>>;

/** A body as it comes, held while it is short enough to be read. */
class HeldBody {
  readonly #chunks: Buffer[] = [];
  #size = 0;

  take(chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#size <= mostRead) this.#chunks.push(chunk);
    else this.#chunks.length = 0;
  }

  /** The object that the body is; empty where it is none. */
  read(): Said {
    try {
      const read: unknown = JSON.parse(Buffer.concat(this.#chunks).toString('utf8'));
      return typeof read === 'object' && read !== null ? (read as Said) : {};
    } catch {
      return {};
    }
  }
}

/** A push names one ref; the system hook's `repository_update` lists them. */
function newsIn(said: Said): BranchNews[] {
  const { changes } = said;
  const rows: readonly unknown[] = Array.isArray(changes) ? changes.slice(0, mostNews) : [said];
  return rows.flatMap((row) => {
    const { ref, after } = (typeof row === 'object' && row !== null ? row : {}) as Said;
    const branch = typeof ref === 'string' ? /^refs\/heads\/(.+)$/.exec(ref)?.[1] : undefined;
    const isTip = typeof after === 'string' && /^[0-9a-f]{40}$/.test(after) && !/^0+$/.test(after);
    return branch !== undefined && isTip ? [{ branch: branch as BranchName, tip: after as Oid }] : [];
  });
}

const mostNews = 20;

/** Nothing it says counts. */
const deaf: DeliveryVerifier = { trusted: false, take: () => undefined, end: () => 'refused' };

/** Groups and users have calls without a project; a custom template may send anything. */
function readEvent(facts: Said): { projectId?: number; event: string; below: string } {
  const said = (name: string): string => (typeof facts[name] === 'string' ? facts[name] : '');
  const event = said('event_name');
  // A renamed group or user has one call for all that lies below; no project has one of its own then.
  const below = { group_rename: said('old_full_path'), user_rename: said('old_username') }[event] ?? '';
  const id = facts['project_id'];
  return { event, below, ...(typeof id === 'number' && Number.isSafeInteger(id) ? { projectId: id } : {}) };
}

/**
 * Whether a delivery proves itself, and how, piece by piece. `nowMs`: wall time; a signature is good for five minutes
 * either way. A signature that is there but wrong is not rescued by the token.
 */
function startVerification(
  headers: Headers,
  secrets: HookSecrets,
  nowMs: number,
): { take(chunk: Buffer): void; end(): 'signature' | 'token' | 'none' } {
  if (secrets.signing && text(headers['webhook-signature']) !== '') {
    const signature = startSignature(headers, secrets.signing, nowMs);
    return { take: (chunk) => signature.take(chunk), end: () => (signature.isGood() ? 'signature' : 'none') };
  }
  const proof = !secrets.signed && hasToken(headers, secrets.token) ? 'token' : 'none';
  return { take: () => undefined, end: () => proof };
}

/** The same work whether there is a token to compare with or not. */
function hasToken(headers: Headers, token: Secret | undefined): boolean {
  const given = text(headers['x-gitlab-token']);
  return sameText(given, token?.open() ?? '') && given !== '';
}

/** Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, several values while a key is changed. */
function startSignature(
  headers: Headers,
  key: Secret,
  nowMs: number,
): { take(chunk: Buffer): void; isGood(): boolean } {
  const [id, timestamp] = [text(headers['webhook-id']), text(headers['webhook-timestamp'])];
  const isTimely = /^\d{1,12}$/.test(timestamp) && Math.abs(nowMs - Number(timestamp) * 1_000) <= toleranceMs;
  if (id === '' || !isTimely) return { take: () => undefined, isGood: () => false };
  const bytes = Buffer.from(key.open().replace(/^whsec_/, ''), 'base64');
  const mac = createHmac('sha256', bytes).update(`${id}.${timestamp}.`);
  return {
    take: (chunk) => void mac.update(chunk),
    isGood() {
      const expected = `v1,${mac.digest('base64')}`;
      const given = text(headers['webhook-signature']).split(' ').slice(0, mostSignatures);
      // Every value is compared, also after a hit, so that the time tells nothing.
      return given.filter((value) => sameText(value, expected)).length > 0;
    },
  };
}

const toleranceMs = 5 * 60_000;
const mostSignatures = 10;
const mostRemembered = 2_000;

/** The newest delivery ids; a signature ends after five minutes, so old ones need no memory. */
function createMemory(): { isNew(id: string): boolean } {
  const ids = new Set<string>();
  return {
    isNew(id) {
      const key = digest(id).toString('base64');
      if (ids.has(key)) return false;
      ids.add(key);
      for (const oldest of ids) {
        if (ids.size <= mostRemembered) break;
        ids.delete(oldest);
      }
      return true;
    },
  };
}

/** A header given twice is none of GitLab's. */
const text = (header: string | string[] | undefined): string => (typeof header === 'string' ? header : '');
const digest = (value: string): Buffer => createHash('sha256').update(value).digest();
const sameText = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b));
