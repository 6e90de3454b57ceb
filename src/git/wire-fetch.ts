import { asProblem } from '../model/problem.ts';
import type { Progress } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import { Bands, EndlessWords, OddPackets, PacketReader, delimiter, flush, packet } from './packets.ts';
import { type RemoteAddress, factsOf } from './session.ts';
import { type Receiving, type Refused, type Transfer, refusal } from './transfer.ts';
import type { Unreadable } from './wire-push.ts';
import {
  type WirePatience,
  type WirePost,
  endless,
  isResult,
  pageProblem,
  requestTo,
  statusProblem,
} from './wire-request.ts';

const service = 'git-upload-pack';

interface FetchTools {
  readonly post: WirePost;
  readonly transfer: Transfer;
  readonly patience: WirePatience;
}

/**
 * Brings a commit and all that it needs, by one request where GitLab still has what we know, by two where it has not. What
 * comes goes through git's own `index-pack`. `unreadable`: nothing came of it, and git's own fetch may tell why.
 */
export async function fetchOverWire(
  tools: FetchTools,
  address: RemoteAddress,
  tip: Oid,
  signal?: AbortSignal,
  progress?: (progress: Progress) => void,
): Promise<'done' | Unreadable> {
  const { transfer } = tools;
  if (await transfer.has(tip)) return 'done';
  const known = await transfer.known();
  const ask = (rows: readonly string[]): ReturnType<typeof request> =>
    request(tools, address, [`want ${tip}`, ...rows], signal, progress);
  const have = (oids: readonly Oid[]): readonly string[] => oids.map((oid) => `have ${oid}`);
  let answer = await ask(have(known));
  if (answer === 'nothing in common') answer = await ask([...have([...known, ...(await transfer.older())]), 'done']);
  // Whatever came was a sound pack, and need not have held what was asked for.
  return answer === 'done' && (await transfer.holds(tip)) ? 'done' : 'unreadable';
}

async function request(
  { post, transfer, patience }: FetchTools,
  address: RemoteAddress,
  rows: readonly string[],
  signal?: AbortSignal,
  progress?: (progress: Progress) => void,
): Promise<'done' | 'nothing in common' | Unreadable> {
  const answer = new Answer(() => transfer.receive(signal, progress));
  const capabilities = ['agent=mooring\n', 'object-format=sha1\n'].map((row) => packet(row));
  const asked = ['thin-pack', 'ofs-delta', ...(progress ? [] : ['no-progress']), ...rows];
  try {
    const { status, contentType, body } = await post({
      ...requestTo(service, address),
      body: Buffer.concat([
        ...[packet('command=fetch\n'), ...capabilities, delimiter],
        ...[...asked.map((row) => packet(`${row}\n`)), flush],
      ]),
      // Starting a program takes time, and GitLab is thinking.
      onSent: () => void answer.expect(),
      take: async (chunk, headers) => {
        if (isResult(service, headers['content-type'])) await answer.feed(chunk);
      },
      limits: { ...patience.limits, maxBytes: transfer.maxFileBytes() + mostWords },
      signal,
    });
    patience.enough();
    const problem = statusProblem(status, body, address);
    if (problem) throw problem;
    if (status !== 200) return 'unreadable';
    if (!isResult(service, contentType)) throw pageProblem(address);
    return await answer.end();
  } catch (error) {
    if (error instanceof OddPackets) return 'unreadable';
    if (error instanceof EndlessWords) throw endless(address);
    if (error instanceof NotTakenIn) {
      const problem = refusal(error.why, factsOf(address));
      if (problem) throw problem;
      return 'unreadable';
    }
    patience.learn(asProblem(error));
    throw error;
  } finally {
    await answer.abandon();
  }
}

/** What a server may say beside the pack itself. */
const mostWords = 64 * 1024 * 1024;

/** Git refuses what came. */
class NotTakenIn extends Error {
  override readonly name = 'NotTakenIn';
  readonly why: Refused;

  constructor(why: Refused) {
    super('the pack was not taken in');
    this.why = why;
  }
}

/** Reads the sections of an answer to `fetch`; the pack in the last of them is handed on as it comes. */
class Answer {
  readonly #receive: () => Receiving;
  readonly #packets = new PacketReader();
  readonly #bands = new Bands();
  #receiving: Receiving | undefined;
  #isOver = false;
  #section: 'acknowledgments' | 'packfile' | 'other' | undefined;
  #hasEnded = false;

  constructor(receive: () => Receiving) {
    this.#receive = receive;
  }

  /** Starts the program that takes a pack in. */
  expect(): Receiving | undefined {
    if (!this.#isOver) this.#receiving ??= this.#receive();
    return this.#receiving;
  }

  async feed(chunk: Buffer): Promise<void> {
    for (const each of this.#packets.feed(chunk)) {
      if (each.kind === 'data') await this.#line(each.data);
      else if (each.kind === 'delimiter') this.#section = undefined;
      else this.#hasEnded = true;
    }
  }

  async end(): Promise<'done' | 'nothing in common' | Unreadable> {
    if (!this.#hasEnded || !this.#packets.isWhole) return 'unreadable';
    const receiving = this.#receiving;
    if (this.#section !== 'packfile' || !receiving)
      return this.#section === 'acknowledgments' ? 'nothing in common' : 'unreadable';
    const refused = await receiving.finish();
    this.#receiving = undefined;
    if (refused) throw new NotTakenIn(refused);
    return 'done';
  }

  /** What is still coming in is of no use any more. */
  async abandon(): Promise<void> {
    this.#isOver = true;
    await this.#receiving?.abandon();
  }

  async #line(data: Buffer): Promise<void> {
    if (this.#hasEnded) throw new OddPackets('more after its end');
    if (this.#section === 'packfile') return this.#content(data);
    this.#bands.count(data.length);
    const text = data.toString('utf8').trimEnd();
    if (text.startsWith('ERR ')) throw new OddPackets(text.slice(0, 500));
    if (this.#section !== undefined) return;
    if (text === 'packfile' || text === 'acknowledgments') this.#section = text;
    else this.#section = 'other';
    if (text === 'packfile') this.expect();
  }

  async #content(data: Buffer): Promise<void> {
    const content = this.#bands.content(data);
    if (!content || content.length === 0) return;
    const refused = await this.#receiving?.write(content);
    if (refused) throw new NotTakenIn(refused);
  }
}
