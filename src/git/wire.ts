import { Problem, asProblem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import type { Remote } from '../sync/ports.ts';
import { signInBefore } from '../net/gateway.ts';
import type { Pins } from '../net/pins.ts';
import { type RemoteAddress, type Session, factsOf } from './session.ts';

/**
 * One POST on a kept-alive connection. Throws the Problems of the `net` module, for a 401 that is not GitLab's too; the status is
 * the caller's to read.
 */
export type WirePost = (request: {
  url: string;
  headers: Record<string, string>;
  body: Buffer;
  signal?: AbortSignal | undefined;
  limits?: { readonly maxBytes: number };
}) => Promise<{ status: number; contentType: string; body: Buffer }>;

export interface WireRemoteOptions {
  readonly post: WirePost;
  readonly session: Session;
  /** The reference: does what the wire does not, and answers where the wire's answer makes no sense. */
  readonly fallback: Remote;
  /** Throws while GitLab asks to be left alone: git of its own would ask all the same. */
  readonly checkBreaker?: () => void;
}

/**
 * Looks at the branch without starting a process: protocol v2's `ls-refs` needs no request before it, and asking for
 * one ref answers in 230 bytes where `git ls-remote` may send half a megabyte.
 */
export function wireRemote(options: WireRemoteOptions): Remote {
  return {
    async head(signal) {
      const tip = await options.session((address) => lsRefs(options.post, address, signal), signal);
      return tip === 'unreadable' ? options.fallback.head(signal) : tip;
    },
    async fetch(signal, progress) {
      options.checkBreaker?.();
      const tip = await options.fallback.fetch(signal, progress).catch(throughTheBreaker(options, signal));
      if (tip !== 'absent') return tip;
      // To git an empty page is a repository without branches: whether there is none is asked by our own way.
      const seen = await options.session((address) => lsRefs(options.post, address, signal), signal);
      return seen === 'absent' || seen === 'unreadable' ? tip : options.fallback.fetch(signal, progress);
    },
    async push(commit, expected, choices, signal, progress) {
      options.checkBreaker?.();
      return options.fallback
        .push(commit, expected, choices, signal, progress)
        .catch(throughTheBreaker(options, signal));
    },
  };
}

/**
 * The session for git's own commands. Git tells that it was asked for a password, not by whom: one small question by our
 * own way out shows whether GitLab refuses the token, or something before GitLab that wants a sign-in of its own.
 */
export function withAuthDiagnosis(post: WirePost, session: Session): Session {
  return (use, signal) =>
    session(async (where) => {
      try {
        return await use(where);
      } catch (error) {
        if (asProblem(error).code !== 'grant-lost') throw error;
        await lsRefs(post, where, signal);
        throw signInBefore(new URL(where.url));
      }
    }, signal);
}

/**
 * The session for git's own commands, with where its name leads: looked up here, where what is never called is refused,
 * and handed to git, which would look again and might find another. Behind a proxy it is the proxy that looks.
 */
export function withPinnedAddress(session: Session, pins: Pins): Session {
  return (use, signal) =>
    session(async (where) => {
      const { proxy, baseUrl } = where.network;
      const addresses = await pins.of(new URL(proxy || baseUrl));
      return use(proxy ? where : { ...where, network: { ...where.network, addresses } });
    }, signal);
}

/**
 * Git tells that it was sent away, not for how long. One small question by our own way out is answered with GitLab's
 * Retry-After, and so every site of the instance waits for it.
 */
function throughTheBreaker(
  { post, session }: WireRemoteOptions,
  signal?: AbortSignal,
): (error: unknown) => Promise<never> {
  return async (error) => {
    if (asProblem(error).code === 'gitlab-busy') await session((where) => lsRefs(post, where, signal), signal);
    throw error;
  };
}

async function lsRefs(
  post: WirePost,
  address: RemoteAddress,
  signal?: AbortSignal,
): Promise<Oid | 'absent' | 'unreadable'> {
  const ref = `refs/heads/${address.branch}`;
  const { status, contentType, body } = await post({
    url: `${address.url}/git-upload-pack`,
    headers: {
      authorization: address.network.authorization,
      'content-type': 'application/x-git-upload-pack-request',
      accept: 'application/x-git-upload-pack-result',
      'git-protocol': 'version=2',
    },
    body: Buffer.concat([
      packet('command=ls-refs\n'),
      packet('agent=mooring\n'),
      packet('object-format=sha1\n'),
      delimiter,
      packet(`ref-prefix ${ref}\n`),
      flush,
    ]),
    limits: { maxBytes: refsBytes },
    signal,
  });
  const facts = factsOf(address);
  if (status === 401) throw new Problem('grant-lost', facts);
  if (status === 403) throw new Problem('project-not-yours', { ...facts, text: body.toString('utf8').slice(0, 300) });
  if (status === 404 || status === 410) throw new Problem('project-missing', facts);
  if (status === 200 && !contentType.startsWith('application/x-git-upload-pack-result')) {
    // Git itself would take a page for a repository of the old, dumb kind, which has no branches.
    const host = new URL(address.url).host;
    throw new Problem('gitlab-answer-odd', { host, status: '200', reason: 'a page came in place of an answer to git' });
  }
  if (status !== 200) return 'unreadable';
  return readRefs(body, ref);
}

/** The exact ref only: the prefix also matches `main2`. No line at all: the branch is gone. */
function readRefs(body: Buffer, ref: string): Oid | 'absent' | 'unreadable' {
  for (let at = 0; at + 4 <= body.length;) {
    const length = Number.parseInt(body.toString('latin1', at, at + 4), 16);
    if (Number.isNaN(length)) return 'unreadable';
    if (length === 0) return 'absent';
    if (length < 4 || at + length > body.length) return 'unreadable';
    const [oid = '', name = ''] = body
      .toString('utf8', at + 4, at + length)
      .trimEnd()
      .split(' ');
    if (oid === 'ERR') return 'unreadable';
    if (name === ref && /^[0-9a-f]{40,64}$/.test(oid)) return oid as Oid;
    at += length;
  }
  return 'unreadable';
}

/** An answer about one ref has some hundred bytes; a server that ignores the prefix may send half a million refs. */
const refsBytes = 64 * 1024 * 1024;

const flush = Buffer.from('0000');
const delimiter = Buffer.from('0001');

function packet(text: string): Buffer {
  const bytes = Buffer.from(text, 'utf8');
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
}
