import { asProblem } from '../model/problem.ts';
import type { Progress } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Streamed } from '../net/transport.ts';
import type { PushResult } from '../sync/ports.ts';
import { Bands, EndlessWords, OddPackets, PacketReader, flush, packet } from './packets.ts';
import { withoutProgress } from './progress.ts';
import { readPush } from './push-result.ts';
import { type RemoteAddress, type TransportQuirks, factsOf } from './session.ts';
import type { Transfer } from './transfer.ts';
import { type WirePatience, type WirePost, isResult, pageProblem, requestTo, statusProblem } from './wire-request.ts';

export interface WirePush {
  readonly commit: Oid;
  /** The lease: what the branch is at now. */
  readonly expected: Oid;
  readonly pushOptions: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((progress: Progress) => void) | undefined;
}

interface PushTools {
  readonly post: WirePost;
  readonly transfer: Transfer;
  readonly patience: WirePatience;
  readonly quirks: TransportQuirks;
}

/** The answer makes no sense here: git's own command shall ask again. Its lease makes that harmless. */
export type Unreadable = 'unreadable';

const service = 'git-receive-pack';
const capabilities = 'report-status-v2 side-band-64k object-format=sha1 agent=mooring';

/**
 * Moves the branch by one request. The old value in it is the lease: GitLab compares it when it sets the new one, so
 * nothing needs to be asked before, and whatever is at the branch otherwise stays.
 */
export async function pushOverWire(
  { post, transfer, patience, quirks }: PushTools,
  address: RemoteAddress,
  { commit, expected, pushOptions, signal, progress }: WirePush,
): Promise<PushResult | Unreadable> {
  const ref = `refs/heads/${address.branch}`;
  const pack = await transfer.outgoing(commit, expected, progress);
  const options = pushOptions.length === 0 ? [] : [...pushOptions.map((option) => packet(option)), flush];
  const offered = `${capabilities}${pushOptions.length === 0 ? '' : ' push-options'}`;
  const head = Buffer.concat([packet(`${expected} ${commit} ${ref}\0 ${offered}`), flush, ...options]);
  const body = Buffer.isBuffer(pack) ? Buffer.concat([head, pack]) : { open: () => after(head, pack) };
  const send = async (sent: Buffer | Streamed) => {
    const report = new Report();
    const answer = await post({
      ...requestTo(service, address),
      body: sent,
      take: async (chunk, headers) => {
        if (isResult(service, headers['content-type'])) report.feed(chunk);
      },
      limits: { ...patience.limits, maxBytes: mostAnswer },
      signal,
    });
    return { ...answer, report };
  };
  const sendWithLength = async (from: () => AsyncIterable<Buffer>) => {
    const spooled = await transfer.spool(from);
    try {
      return await send({ size: head.length + spooled.size, open: () => after(head, spooled.open) });
    } finally {
      await spooled.remove();
    }
  };
  const sendAsAllowed = async () => {
    if (Buffer.isBuffer(pack)) return send(body);
    if (quirks.needsLength) return sendWithLength(pack);
    const first = await send(body);
    if (first.status !== 411) return first;
    quirks.needsLength = true;
    return sendWithLength(pack);
  };
  const answer = await sendAsAllowed().catch((error: unknown) => {
    patience.learn(asProblem(error));
    throw error;
  });
  patience.enough();
  const { status, contentType, report } = answer;
  if (status === 200 && !isResult(service, contentType)) throw pageProblem(address);
  if (status !== 200) return turnedDown(status, contentType, answer.body, address);
  const result = report.result(`${commit}:${ref}`, ref);
  if (!result) return 'unreadable';
  const read = readPush(result, ref, factsOf(address));
  if ('problem' in read) throw read.problem;
  return read;
}

/** What a server may say about one branch. */
const mostAnswer = 16 * 1024 * 1024;

async function* after(head: Buffer, pack: () => AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  yield* pack();
}

/** Turned down before git saw it, in the words that git's own command would have for it. */
function turnedDown(status: number, contentType: string, body: Buffer, address: RemoteAddress): PushResult {
  const ref = `refs/heads/${address.branch}`;
  const problem = statusProblem(status, body, address);
  if (problem && ['grant-lost', 'git-http-disabled'].includes(problem.code)) throw problem;
  const said = contentType.startsWith('text/plain') ? body.toString('utf8').slice(0, 4_000) : '';
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  const stderr = [...lines.map((line) => `remote: ${line}`), `fatal: the requested URL returned error: ${status}`];
  const read = readPush({ code: 128, stdout: '', stderr: stderr.join('\n') }, ref, factsOf(address));
  if ('problem' in read) throw read.problem;
  return read;
}

/** What the server reports, whether it comes in bands or not. */
class Report {
  readonly #outer = new PacketReader();
  readonly #inner = new PacketReader();
  readonly #bands = new Bands();
  readonly #rows: string[] = [];
  #isOdd = false;

  feed(chunk: Buffer): void {
    if (this.#isOdd) return;
    try {
      for (const outer of this.#outer.feed(chunk)) {
        const content = outer.kind === 'data' ? this.#bands.content(outer.data) : undefined;
        if (!content) continue;
        for (const inner of this.#inner.feed(content))
          if (inner.kind === 'data') this.#rows.push(inner.data.toString('utf8').trimEnd());
      }
    } catch (error) {
      if (!(error instanceof OddPackets || error instanceof EndlessWords)) throw error;
      this.#isOdd = true;
    }
  }

  /** In git's porcelain; undefined where the report does not say what became of the branch. */
  result(what: string, ref: string): { code: number; stdout: string; stderr: string } | undefined {
    if (this.#isOdd || !this.#outer.isWhole || !this.#inner.isWhole) return undefined;
    const unpack = this.#rows.find((row) => row.startsWith('unpack '))?.slice('unpack '.length);
    const row = this.#rows.find((each) => each === `ok ${ref}` || each.startsWith(`ng ${ref} `));
    if (unpack === undefined || row === undefined) return undefined;
    const failed = unpack === 'ok' ? [] : [`error: remote unpack failed: ${unpack}`];
    const stderr = [withoutProgress(this.#bands.lines), ...failed].join('\n');
    if (row.startsWith('ok ')) return { code: 0, stdout: ` \t${what}\tdone`, stderr };
    return { code: 1, stdout: `!\t${what}\t[remote rejected] (${row.slice(`ng ${ref} `.length)})`, stderr };
  }
}
