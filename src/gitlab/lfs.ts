import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Copied, Pointer } from '../model/lfs.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { escapeControls } from '../model/tree.ts';
import type { ElsewhereRequest, Http } from '../net/http.ts';
import { LimitReached } from '../net/failure.ts';
import { type HttpAnswer, wireLimits } from '../net/transport.ts';

/** Where a repository's large files are requested, and with which connection. */
export interface LfsPlace {
  /** Clone URL under the instance's own address. */
  readonly url: string;
  /** Basic, as git sends it. */
  readonly authorization: string;
  readonly branch: string;
  readonly signal?: AbortSignal | undefined;
}

/** Does something at the place as it is now: projects move, tokens are renewed. */
export type AtPlace = <T>(use: (place: LfsPlace) => Promise<T>) => Promise<T>;

/** Takes a content piece by piece. */
type Write = (chunk: Buffer) => Promise<void>;

/** GitLab's LFS API: the batch question and the basic transfer. Locks are left alone. */
export interface LfsClient {
  /**
   * Copies contents one after another; they are asked for together, in the order of `pointers`. What was written counts
   * only when a copy is `done`. Throws what says nothing about this one content.
   */
  downloads(at: AtPlace, pointers: readonly Pointer[]): (pointer: Pointer, write: Write) => Promise<Copied>;
  /** Uploads what GitLab does not have. Resolves with why, in GitLab's words, where it refuses or nobody has one. */
  upload(
    place: LfsPlace,
    pointers: readonly Pointer[],
    read: (pointer: Pointer) => Promise<(() => AsyncIterable<Buffer>) | undefined>,
  ): Promise<string | undefined>;
  /** Those that GitLab gives. */
  present(place: LfsPlace, pointers: readonly Pointer[]): Promise<readonly Pointer[]>;
}

const action = z.object({ href: z.string() });
const batchObject = z.object({
  oid: z.string(),
  actions: z.object({ download: action.optional(), upload: action.optional(), verify: action.optional() }).nullish(),
  error: z.object({ code: z.number(), message: z.string().nullish() }).nullish(),
});
const batchAnswer = z.object({ objects: z.array(z.unknown()) });
const refusal = z.object({ message: z.string() });

/** How an answer's body is taken. */
type TransferOptions = Required<Pick<ElsewhereRequest, 'take' | 'limits'>> & Pick<ElsewhereRequest, 'signal'>;
type Answered = HttpAnswer | Tried;

type BatchObject = z.infer<typeof batchObject>;
/** `over`: what GitLab said of the content before may be true no more. */
interface Tried {
  readonly copied: Copied;
  readonly over: boolean;
}
/** GitLab's answer to a question as a whole. */
interface Refused {
  readonly status: number;
  readonly text: string;
}

/** By the SHA-256 of their contents. */
type Objects = ReadonlyMap<string, BatchObject>;

/** As many objects as git-lfs asks for at once. */
const batchSize = 100;
const json = 'application/vnd.git-lfs+json';
/** What an address is answered with that was good for a while only. */
const mayBeOver: ReadonlySet<number> = new Set([403, 404, 410]);
/** What is said of a project, whichever contents are asked for: no LFS there, or not for this token. */
const ofProject: ReadonlySet<number> = new Set([403, 404, 501]);

export function createLfsClient({ http }: { http: Http }): LfsClient {
  const headersOf = (place: LfsPlace, type: string): Record<string, string> => ({
    ...{ accept: json, 'content-type': type, authorization: place.authorization },
  });
  const ask = (place: LfsPlace, path: string, body: unknown): Promise<HttpAnswer> =>
    http.request({
      method: 'POST',
      url: `${place.url}${path}`,
      headers: headersOf(place, json),
      body: Buffer.from(JSON.stringify(body)),
      onStale: 'again',
      ...(place.signal ? { signal: place.signal } : {}),
    });

  /** What GitLab says of each; or its refusal of the question as a whole. */
  async function batch(
    place: LfsPlace,
    operation: 'download' | 'upload',
    pointers: readonly Pointer[],
  ): Promise<Objects | Refused> {
    const answer = await ask(place, '/info/lfs/objects/batch', {
      ...{ operation, transfers: ['basic'], hash_algo: 'sha256', ref: { name: `refs/heads/${place.branch}` } },
      objects: pointers.map(({ sha, size }) => ({ oid: sha, size })),
    }).catch((error: unknown) => withoutLfs(error));
    if ('text' in answer) return answer;
    if (answer.status === 401) throw new Problem('grant-lost', {});
    return answer.status === 200 ? objectsIn(answer, place) : { status: answer.status, text: refused(answer) };
  }

  function downloads(at: AtPlace, pointers: readonly Pointer[]): ReturnType<LfsClient['downloads']> {
    const said = new Map<string, BatchObject | string>();
    let atOnce = batchSize;
    const askFor = async (pointer: Pointer): Promise<void> => {
      const from = pointers.findIndex(({ sha }) => sha === pointer.sha);
      const some = from < 0 ? [pointer] : pointers.slice(from, from + atOnce);
      const found = await at((place) => batch(place, 'download', some));
      if (!('text' in found)) {
        for (const { sha } of some) said.set(sha, found.get(sha) ?? '');
      } else if (ofProject.has(found.status)) {
        for (const { sha } of [...some, ...pointers]) said.set(sha, found.text);
      } else if (some.length > 1) {
        // One of them may be what it does not like: from here on each is asked for by itself.
        atOnce = 1;
        return askFor(pointer);
      } else said.set(pointer.sha, found.text);
    };
    const copy = async (pointer: Pointer, write: Write): Promise<Tried> => {
      const object = said.get(pointer.sha) ?? '';
      if (typeof object === 'string') return tried({ missing: object });
      if (object.error) return tried({ missing: words(object.error.message ?? '', object.error.code) });
      const href = object.actions?.download?.href ?? '';
      return at((place) => fetchOne(place, href, pointer, write));
    };
    return async (pointer, write) => {
      const isFresh = !said.has(pointer.sha);
      if (isFresh) await askFor(pointer);
      const first = await copy(pointer, write);
      if (isFresh || !first.over) return first.copied;
      await askFor(pointer);
      return (await copy(pointer, write)).copied;
    };
  }

  async function fetchOne(place: LfsPlace, href: string, pointer: Pointer, write: Write): Promise<Tried> {
    const hash = createHash('sha256');
    let size = 0;
    const options: TransferOptions = {
      limits: { ...wireLimits, maxBytes: pointer.size + 1 },
      async take(chunk) {
        hash.update(chunk);
        size += chunk.length;
        await write(chunk);
      },
      ...(place.signal ? { signal: place.signal } : {}),
    };
    const answer = await askGitlab(place, href, pointer, options);
    if (!('status' in answer)) return answer;
    if (answer.status !== 200) return tried({ missing: refused(answer) }, mayBeOver.has(answer.status));
    return tried(hash.digest('hex') === pointer.sha && size === pointer.size ? 'done' : 'damaged');
  }

  /** GitLab gives a content itself, or says where it lies: at once, or when it is asked for it. */
  async function askGitlab(
    place: LfsPlace,
    href: string,
    pointer: Pointer,
    options: TransferOptions,
  ): Promise<Answered> {
    const url = here(place, href, pointer);
    if (url === undefined) return askStorage(href, place.url, options);
    const headers = { ...headersOf(place, 'application/octet-stream'), accept: '*/*' };
    const answer = await http
      .request({ method: 'GET', url, headers, redirect: 'tell', ...options })
      .catch((error: unknown) => ofOne(error));
    if (!('status' in answer)) return answer;
    if (answer.status === 401) throw new Problem('grant-lost', {});
    if (answer.status < 300 || answer.status >= 400) return answer;
    return askStorage(answer.headers.location ?? '', url, options);
  }

  /** An object storage takes no token of ours: its address holds a signature. That it fails concerns this content alone. */
  async function askStorage(address: string, base: string, options: TransferOptions): Promise<Answered> {
    if (address === '' || !URL.canParse(address, base)) return tried({ missing: '' });
    const { href, host } = new URL(address, base);
    try {
      const answer = await http.elsewhere({ url: href, ...options });
      if (answer.status === 200) return answer;
      return tried(
        { missing: `${host}, where GitLab keeps it, answered ${answer.status}.` },
        mayBeOver.has(answer.status),
      );
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (error.cause instanceof LimitReached && error.cause.limit === 'size') return tried('damaged');
      const reason = error.facts['reason'] ?? describe(error).title;
      return tried({ missing: `It cannot be had from ${host}, where GitLab keeps it: ${reason}.` });
    }
  }

  return {
    downloads,

    async upload(place, pointers, read) {
      for (const some of portions(pointers)) {
        const objects = await batch(place, 'upload', some);
        if ('text' in objects) return objects.text;
        for (const pointer of some) {
          const object = objects.get(pointer.sha);
          if (object?.error) return words(object.error.message ?? '', object.error.code);
          const why = object?.actions?.upload && (await send(place, pointer, object.actions, read));
          if (why !== undefined) return why;
        }
      }
      return undefined;
    },

    async present(place, pointers) {
      const found: Pointer[] = [];
      for (const some of portions(pointers)) {
        const objects = await batch(place, 'download', some);
        if ('text' in objects) continue;
        found.push(...some.filter(({ sha }) => objects.get(sha)?.actions?.download && !objects.get(sha)?.error));
      }
      return found;
    },
  };

  async function send(
    place: LfsPlace,
    pointer: Pointer,
    actions: NonNullable<BatchObject['actions']>,
    read: Parameters<LfsClient['upload']>[2],
  ): Promise<string | undefined> {
    const url = here(place, actions.upload?.href ?? '', pointer);
    if (url === undefined) return 'GitLab keeps large files at another address, where its token must not go.';
    const open = await read(pointer);
    if (!open)
      return `The content of a large file is neither here nor on GitLab: ${pointer.sha}, ${pointer.size} bytes.`;
    const answer = await http.request({
      method: 'PUT',
      url,
      headers: headersOf(place, 'application/octet-stream'),
      body: { size: pointer.size, open },
      limits: wireLimits,
      onStale: 'again',
      ...(place.signal ? { signal: place.signal } : {}),
    });
    if (answer.status === 401) throw new Problem('grant-lost', {});
    if (answer.status >= 400) return refused(answer);
    if (!actions.verify) return undefined;
    const verified = await ask(place, '/info/lfs/objects/verify', { oid: pointer.sha, size: pointer.size });
    return verified.status >= 400 ? refused(verified) : undefined;
  }
}

/** One that cannot be read is none: only its content cannot be had. */
function objectsIn(answer: HttpAnswer, { url }: LfsPlace): Objects {
  const parsed = batchAnswer.safeParse(parse(answer));
  if (!parsed.success) {
    // A page of something between us and GitLab: nobody has to do anything, and nothing is known of any content.
    throw new Problem('gitlab-answer-odd', {
      ...{ host: new URL(url).host, status: String(answer.status) },
      reason: 'the answer about large files is not in the form of LFS',
    });
  }
  const objects = parsed.data.objects.flatMap((object) => batchObject.safeParse(object).data ?? []);
  return new Map(objects.map((object) => [object.oid, object]));
}

/** An instance without LFS answers as if it were broken; throws what is no such answer. */
function withoutLfs(error: unknown): Refused {
  const { code, facts } = asProblem(error);
  if (code === 'gitlab-error' && facts['status'] === '501') return { status: 501, text: words('', 501) };
  throw error;
}

/** What a failure says about the one content that was asked for; throws what is about more than that. */
function ofOne(error: unknown): Tried {
  const { code, facts, retryAfterMs } = asProblem(error);
  // Longer than its pointer says. A sign-in that something before GitLab asks for is about more.
  if (code === 'gitlab-answer-odd' && facts['status'] !== '401') return tried('damaged');
  // GitLab answered the question before: it is up. Whoever is down for all has the breaker tell, with a time.
  if (code === 'gitlab-error' && retryAfterMs === undefined)
    return tried({ missing: words('', Number(facts['status'])) });
  throw error;
}

function tried(copied: Copied, over = false): Tried {
  return { copied, over };
}

function* portions(pointers: readonly Pointer[]): Generator<readonly Pointer[]> {
  for (let at = 0; at < pointers.length; at += batchSize) yield pointers.slice(at, at + batchSize);
}

/**
 * The address of a content under the repository's own: GitLab writes its configured address into the answer, which may
 * not be the one it is reached by, and nothing in an answer decides where a token goes.
 */
function here({ url }: LfsPlace, href: string, { sha, size }: Pointer): string | undefined {
  const suffix = /\/gitlab-lfs\/objects\/([0-9a-f]{64})(\/\d+)?$/.exec(href);
  if (suffix?.[1] !== sha || (suffix[2] ?? `/${size}`) !== `/${size}`) return undefined;
  return `${url}${suffix[0]}`;
}

function refused(answer: HttpAnswer): string {
  return words(refusal.safeParse(parse(answer)).data?.message ?? '', answer.status);
}

/** Undefined where it is no JSON: plain text, or a page of a proxy. */
function parse({ body }: HttpAnswer): unknown {
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}

function words(text: string, status: number): string {
  return text === '' ? `GitLab answered ${status} to a large file.` : escapeControls(text).slice(0, 300);
}
