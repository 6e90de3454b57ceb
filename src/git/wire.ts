import { asProblem } from '../model/problem.ts';
import type { Oid } from '../model/tree.ts';
import type { PushResult, Remote } from '../sync/ports.ts';
import { signInBefore } from '../net/gateway.ts';
import type { Pins } from '../net/pins.ts';
import { delimiter, flush, packet } from './packets.ts';
import type { RemoteAddress, Session, TransportQuirks } from './session.ts';
import type { Transfer } from './transfer.ts';
import { fetchOverWire } from './wire-fetch.ts';
import { pushOverWire } from './wire-push.ts';
import { WirePatience, type WirePost, isResult, pageProblem, requestTo, statusProblem } from './wire-request.ts';

export interface WireRemoteOptions {
  readonly post: WirePost;
  readonly session: Session;
  /** Git's own commands: they do what the wire does not, and answer where the wire's answer makes no sense. */
  readonly fallback: Remote;
  /** Absent: only checks of the branch go over the wire. */
  readonly transfer?: Transfer;
  /** Throws while no requests may be sent to GitLab. Git's own commands do not know that. */
  readonly checkBreaker?: () => void;
  readonly quirks: TransportQuirks;
  /** For every push: what GitLab shall do with it. */
  readonly pushOptions?: readonly string[];
}

/**
 * The branch by single requests on a kept-alive connection. Protocol v2's `ls-refs` needs no request before it, and asking
 * for one ref answers in 230 bytes where `git ls-remote` may send half a megabyte; a fetch and a push are one request each.
 * What it leaves to git's own commands: first fetches, the first push of a branch, and whatever is answered oddly.
 */
export function wireRemote(options: WireRemoteOptions): Remote {
  const { post, session, fallback, transfer } = options;
  const [fetching, pushing] = [new WirePatience(), new WirePatience()];
  /** What the last check found, and where: a fetch that follows it in the same run need not check again. */
  let seen: { readonly url: string; readonly branch: string; readonly tip: Oid; readonly run: AbortSignal } | undefined;

  /** What GitLab says that the branch is at, and the fetch that relied on it. */
  let told: Oid | undefined;
  let early: EarlyFetch | undefined;

  const checkTip = (signal?: AbortSignal): Promise<Oid | 'absent' | 'unreadable'> =>
    session(async (address) => {
      const tip = await lsRefs(post, address, signal);
      const { url, branch } = address;
      seen = tip === 'absent' || tip === 'unreadable' || !signal ? undefined : { url, branch, tip, run: signal };
      return tip;
    }, signal);

  /**
   * A refusal counts while the branch is where the lease says. Where it is not, a server that lacks the lease's commit may
   * have called it a broken pack or a forced push.
   */
  const whileLeased = async (refused: PushResult, expected: Oid, signal?: AbortSignal): Promise<PushResult> => {
    const tip = await checkTip(signal).catch(() => expected);
    return tip === expected || tip === 'unreadable' ? refused : { kind: 'moved', output: refused.output };
  };

  const fetchVia = (via: Transfer, address: RemoteAddress, tip: Oid, ...rest: Parameters<Remote['fetch']>) =>
    fetchOverWire({ post, transfer: via, patience: fetching }, address, tip, ...rest);

  const fetchEarly = (via: Transfer, tip: Oid, run: AbortSignal): EarlyFetch =>
    new EarlyFetch(tip, run, async (signal, progress) => {
      if ((await via.known()).length === 0) return false;
      return (await session((address) => fetchVia(via, address, tip, signal, progress), signal)) === 'done';
    });

  const overWire = async (via: Transfer, ...[signal, progress]: Parameters<Remote['fetch']>) =>
    session(async (address) => {
      const { url, branch } = address;
      const last = seen?.url === url && seen.branch === branch && seen.run === signal ? seen : undefined;
      seen = undefined;
      const tip = last?.tip ?? (await lsRefs(post, address, signal));
      if (tip === 'absent' || tip === 'unreadable') return tip;
      const isHere = last !== undefined && (await early?.brought(tip, progress));
      if (!isHere && (await fetchVia(via, address, tip, signal, progress)) === 'unreadable') return 'unreadable';
      await via.arrived(tip);
      return tip;
    }, signal);

  return {
    expectTip: (tip) => void (told = tip),

    async head(signal) {
      await early?.giveUp();
      early = undefined;
      if (told && transfer && signal) early = fetchEarly(transfer, told, signal);
      told = undefined;
      const tip = await checkTip(signal).catch(async (error: unknown) => {
        await early?.giveUp();
        throw error;
      });
      if (tip !== early?.tip) await early?.giveUp();
      return tip === 'unreadable' ? fallback.head(signal) : tip;
    },

    async fetch(signal, progress) {
      if (transfer && (await transfer.known()).length > 0) {
        const tip = await overWire(transfer, signal, progress);
        if (tip !== 'unreadable') return tip;
      }
      options.checkBreaker?.();
      const tip = await fallback.fetch(signal, progress).catch(throughTheBreaker(options, signal));
      if (tip !== 'absent') return tip;
      // To git an empty page is a repository without branches: whether there is none is asked by our own way.
      const now = await checkTip(signal);
      return now === 'absent' || now === 'unreadable' ? tip : fallback.fetch(signal, progress);
    },

    async push(commit, expected, choices, signal, progress) {
      seen = undefined;
      if (transfer && expected) {
        const pushOptions = [...(choices.skipCi ? ['ci.skip'] : []), ...(options.pushOptions ?? [])];
        const wanted = { commit, expected, pushOptions, signal, progress };
        const tools = { post, transfer, patience: pushing, quirks: options.quirks };
        const result = await session((address) => pushOverWire(tools, address, wanted), signal);
        if (result !== 'unreadable') return result.kind === 'refused' ? whileLeased(result, expected, signal) : result;
      }
      options.checkBreaker?.();
      return fallback.push(commit, expected, choices, signal, progress).catch(throughTheBreaker(options, signal));
    },
  };
}

/**
 * A fetch that begins beside a check of the branch, of a commit that the check is expected to find. Nothing counts of it
 * until the check has found that very commit, so that an untrue word brings nothing but objects that no ref names.
 */
class EarlyFetch {
  readonly tip: Oid;
  readonly #stop = new AbortController();
  readonly #isDone: Promise<boolean>;
  #progress: Parameters<Remote['fetch']>[1] | undefined;

  /** `fetch`: false where it brought nothing. */
  constructor(
    tip: Oid,
    run: AbortSignal,
    fetch: (...given: Required<Parameters<Remote['fetch']>>) => Promise<boolean>,
  ) {
    this.tip = tip;
    const signal = AbortSignal.any([run, this.#stop.signal]);
    // Whatever goes wrong, the fetch after the check meets it too, and tells it.
    this.#isDone = fetch(signal, (told) => this.#progress?.(told)).catch(() => false);
  }

  /** Whether `tip` is what it brings, once it is here. */
  brought(tip: Oid, progress: Parameters<Remote['fetch']>[1]): Promise<boolean> {
    if (tip !== this.tip) return Promise.resolve(false);
    this.#progress = progress;
    return this.#isDone;
  }

  /** Nobody needs it. Resolves when nothing of it is under way. */
  async giveUp(): Promise<void> {
    this.#stop.abort();
    await this.#isDone;
  }
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
    ...requestTo('git-upload-pack', address),
    body: Buffer.concat([
      ...['command=ls-refs\n', 'agent=mooring\n', 'object-format=sha1\n'].map((row) => packet(row)),
      ...[delimiter, packet(`ref-prefix ${ref}\n`), flush],
    ]),
    limits: { maxBytes: refsBytes },
    signal,
  });
  const problem = statusProblem(status, body, address);
  if (problem) throw problem;
  if (status !== 200) return 'unreadable';
  if (!isResult('git-upload-pack', contentType)) throw pageProblem(address);
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
