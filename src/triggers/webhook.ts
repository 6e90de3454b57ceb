import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../model/secret.ts';
import type { SiteId } from '../model/site.ts';
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
  /** Look now. Must not throw and not take long: GitLab waits. */
  readonly onRing: (site: SiteId) => void;
  /** A genuine delivery arrived, a repeat included; `signed`: remember it. Must not throw. */
  readonly onDelivery: (site: SiteId, delivery: { readonly at: number; readonly signed: boolean }) => void;
  readonly clock: Clock;
}

/**
 * GitLab's calls. A delivery says only "look now": nothing in its body is read, so a forged, late or replayed one costs
 * a look at most. Anything genuine is `accepted`, whatever its event, because GitLab disables hooks that answer 4xx.
 */
export function createWebhook(
  deps: WebhookDeps,
): (siteId: string, headers: Headers, body: Buffer) => 'accepted' | 'refused' {
  const seen = createMemory();
  const signedNow = new Set<SiteId>();

  return (siteId, headers, body) => {
    const found = deps.secretsOf(siteId);
    if (!found) {
      // The same work as for a known site, so that the answer's time does not tell which sites exist.
      sameText(text(headers['x-gitlab-token']), siteId);
      return 'refused';
    }
    const { site, secrets } = found;
    const now = deps.clock.now();
    const proof = verify(headers, body, { ...secrets, signed: secrets.signed || signedNow.has(site) }, now);
    if (proof === 'none') return 'refused';
    if (proof === 'signature') signedNow.add(site);
    deps.onDelivery(site, { at: now, signed: proof === 'signature' });
    const id = text(headers['webhook-id']) || text(headers['idempotency-key']);
    if (id === '' || seen.isNew(`${site} ${id}`)) deps.onRing(site);
    return 'accepted';
  };
}

export interface SystemHookDeps {
  /** Undefined: none was made; then every call is refused. */
  readonly secret: () => Secret | undefined;
  readonly sitesOf: (projectId: number) => readonly SiteId[];
  /** Look now. Must not throw and not take long. */
  readonly onRing: (site: SiteId) => void;
  /** The project may have another name or place now. Must not throw. */
  readonly onMoved: (site: SiteId) => void;
  /** A genuine call that concerns this site. Must not throw. */
  readonly onDelivery: (site: SiteId, at: number) => void;
  readonly clock: Clock;
}

/**
 * The calls of a system hook: one for all projects of the instance. Of the body only the project's number is read, and
 * only to choose which of our sites to look at.
 */
export function createSystemHook(deps: SystemHookDeps): (headers: Headers, body: Buffer) => 'accepted' | 'refused' {
  return (headers, body) => {
    const secret = deps.secret();
    const given = text(headers['x-gitlab-token']);
    if (!sameText(given, secret?.open() ?? '') || !secret || given === '') return 'refused';
    const { projectId, event } = readEvent(body);
    for (const site of projectId === undefined ? [] : deps.sitesOf(projectId)) {
      deps.onDelivery(site, deps.clock.now());
      if (/^project_(rename|transfer|update)$/.test(event)) deps.onMoved(site);
      deps.onRing(site);
    }
    return 'accepted';
  };
}

/** Groups and users have calls without a project; a custom template may send anything. */
function readEvent(body: Buffer): { projectId?: number; event: string } {
  try {
    const read: unknown = JSON.parse(body.toString('utf8'));
    if (typeof read !== 'object' || read === null) return { event: '' };
    const id = 'project_id' in read ? read.project_id : undefined;
    const event = 'event_name' in read && typeof read.event_name === 'string' ? read.event_name : '';
    return { event, ...(typeof id === 'number' && Number.isSafeInteger(id) ? { projectId: id } : {}) };
  } catch {
    return { event: '' };
  }
}

/**
 * Whether a delivery proves itself, and how. `nowMs`: wall time; a signature is good for five minutes either way. A
 * signature that is there but wrong is not rescued by the token.
 */
export function verify(
  headers: Headers,
  body: Buffer,
  secrets: HookSecrets,
  nowMs: number,
): 'signature' | 'token' | 'none' {
  const signature = text(headers['webhook-signature']);
  if (secrets.signing && signature !== '') {
    return isSigned(headers, body, secrets.signing, nowMs) ? 'signature' : 'none';
  }
  if (secrets.signed) return 'none';
  const token = text(headers['x-gitlab-token']);
  return token !== '' && sameText(token, secrets.token.open()) ? 'token' : 'none';
}

/** Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`, several values while a key is changed. */
function isSigned(headers: Headers, body: Buffer, key: Secret, nowMs: number): boolean {
  const [id, timestamp] = [text(headers['webhook-id']), text(headers['webhook-timestamp'])];
  if (id === '' || !/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(nowMs - Number(timestamp) * 1_000) > toleranceMs) return false;
  const bytes = Buffer.from(key.open().replace(/^whsec_/, ''), 'base64');
  const expected = createHmac('sha256', bytes).update(`${id}.${timestamp}.`).update(body).digest('base64');
  const given = text(headers['webhook-signature']).split(' ').slice(0, mostSignatures);
  // Every value is compared, also after a hit, so that the time tells nothing.
  return given.filter((value) => sameText(value, `v1,${expected}`)).length > 0;
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
