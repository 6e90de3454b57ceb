import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { Pointer } from '../model/lfs.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { escapeControls } from '../model/tree.ts';
import type { Http } from '../net/http.ts';
import { type HttpAnswer, wireLimits } from '../net/transport.ts';
import { readJson } from './answer.ts';

/** Where a repository's large files are asked for, and with which grant. */
export interface LfsPlace {
  /** Clone URL under the instance's own address. */
  readonly url: string;
  /** Basic, as git sends it. */
  readonly authorization: string;
  readonly branch: string;
  readonly signal?: AbortSignal | undefined;
}

/** GitLab's LFS API: the batch question and the basic transfer. Locks are left alone. */
export interface LfsClient {
  /** The content, checked; or why it cannot be had. Throws what says nothing about this one content. */
  download(place: LfsPlace, pointer: Pointer): Promise<Buffer | 'missing' | 'damaged'>;
  /** Uploads what GitLab does not have. Resolves with GitLab's words when it refuses one. */
  upload(
    place: LfsPlace,
    pointers: readonly Pointer[],
    read: (pointer: Pointer) => Promise<Buffer | undefined>,
  ): Promise<string | undefined>;
}

const action = z.object({ href: z.string() });
const batchAnswer = z.object({
  objects: z.array(
    z.object({
      oid: z.string(),
      actions: z
        .object({ download: action.optional(), upload: action.optional(), verify: action.optional() })
        .nullish(),
      error: z.object({ code: z.number(), message: z.string().nullish() }).nullish(),
    }),
  ),
});
const refusal = z.object({ message: z.string() });

type BatchObject = z.infer<typeof batchAnswer>['objects'][number];

/** As many objects as git-lfs asks for at once. */
const batchSize = 100;
const json = 'application/vnd.git-lfs+json';

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

  async function batch(
    place: LfsPlace,
    operation: 'download' | 'upload',
    pointers: readonly Pointer[],
  ): Promise<readonly BatchObject[] | HttpAnswer> {
    const answer = await ask(place, '/info/lfs/objects/batch', {
      ...{ operation, transfers: ['basic'], hash_algo: 'sha256', ref: { name: `refs/heads/${place.branch}` } },
      objects: pointers.map(({ sha, size }) => ({ oid: sha, size })),
    });
    if (answer.status === 401) throw new Problem('grant-lost', {});
    return answer.status === 200 ? readJson(answer, batchAnswer).objects : answer;
  }

  return {
    async download(place, pointer) {
      const found = await batch(place, 'download', [pointer]);
      const object = Array.isArray(found) ? found.find(({ oid }) => oid === pointer.sha) : undefined;
      if (!object?.actions?.download) return 'missing';
      const url = here(place, object.actions.download.href, pointer);
      if (url === undefined) return 'missing';
      const answer = await http
        .request({
          method: 'GET',
          url,
          headers: { ...headersOf(place, 'application/octet-stream'), accept: '*/*' },
          limits: { ...wireLimits, maxBytes: pointer.size + 1 },
          ...(place.signal ? { signal: place.signal } : {}),
        })
        .catch((error: unknown) => {
          place.signal?.throwIfAborted();
          // Longer than its pointer says, or kept where this token must not go: about this content alone.
          const { code, facts } = asProblem(error);
          if (code === 'gitlab-answer-odd') return facts['to'] === undefined ? 'damaged' : 'missing';
          throw error;
        });
      if (typeof answer === 'string') return answer;
      if (answer.status === 401) throw new Problem('grant-lost', {});
      if (answer.status !== 200) return 'missing';
      const sha = createHash('sha256').update(answer.body).digest('hex');
      return sha === pointer.sha && answer.body.length === pointer.size ? answer.body : 'damaged';
    },

    async upload(place, pointers, read) {
      for (let at = 0; at < pointers.length; at += batchSize) {
        const some = pointers.slice(at, at + batchSize);
        const objects = await batch(place, 'upload', some);
        if (!Array.isArray(objects)) return refused(objects as HttpAnswer);
        for (const pointer of some) {
          const object = (objects as readonly BatchObject[]).find(({ oid }) => oid === pointer.sha);
          if (object?.error) return words(object.error.message ?? '', object.error.code);
          const why = object?.actions?.upload && (await send(place, pointer, object.actions, read));
          if (why !== undefined) return why;
        }
      }
      return undefined;
    },
  };

  async function send(
    place: LfsPlace,
    pointer: Pointer,
    actions: NonNullable<BatchObject['actions']>,
    read: (pointer: Pointer) => Promise<Buffer | undefined>,
  ): Promise<string | undefined> {
    const url = here(place, actions.upload?.href ?? '', pointer);
    if (url === undefined) return 'GitLab keeps large files at another address, where its token must not go.';
    const body = await read(pointer);
    // Somebody else's commit, whose content only they have: GitLab says what is missing when it is pushed.
    if (!body) return undefined;
    const answer = await http.request({
      method: 'PUT',
      url,
      headers: headersOf(place, 'application/octet-stream'),
      body,
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
  let text = '';
  try {
    text = refusal.safeParse(JSON.parse(answer.body.toString('utf8'))).data?.message ?? '';
  } catch {
    // Plain text or a page of a proxy: the number says enough.
  }
  return words(text, answer.status);
}

function words(text: string, status: number): string {
  return text === '' ? `GitLab answered ${status} to a large file.` : escapeControls(text).slice(0, 300);
}
