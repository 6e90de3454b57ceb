import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { flush, packet } from '../../src/git/packets.ts';
import { openRepository } from '../../src/git/repository.ts';
import type { RemoteAddress } from '../../src/git/session.ts';
import { wireRemote } from '../../src/git/wire.ts';
import type { WirePost } from '../../src/git/wire-request.ts';
import { Problem } from '../../src/model/problem.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { systemClock } from '../../src/world.ts';
import { problemOf } from '../net/support.ts';
import { environment, git, scratch } from '../support/plain-git.ts';
import { transferOf } from '../support/transfer.ts';

/** Real answers of git's own server side, spoiled on their way here. */
const answers = suite('answers over the wire');
const isLong = process.env['MOORING_TEST_LONG'] === 'yes';

class FellBack extends Error {
  override readonly name = 'FellBack';
}

interface Place {
  readonly bare: string;
  readonly gitDir: string;
  readonly remote: Remote;
  /** What git's server side answers from now on is changed by this. */
  spoil(change: ((answer: Buffer) => Buffer) | undefined): void;
  /** The commits that were asked for since this was last called. */
  wants(): string[];
  /** As long as the last answer was before it was spoiled. */
  length(): number;
  /** A commit on the branch by somebody else. */
  push(name: string): Oid;
  commitOn(parent: Oid, name: string): Promise<Oid>;
}

async function place(test: (place: Place) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const bare = join(dir, 'server.git');
  git(dir, 'init', '-q', '--bare', '--initial-branch=main', bare);
  git(bare, 'config', 'http.receivepack', 'true');
  const paths = { dir: join(dir, 'repo.git'), home: join(dir, 'home') };
  const repository = openRepository({
    ...{ ...paths, driver: createDriver('/usr/bin/git'), clock: systemClock },
    author: () => ({ name: 'Ana', email: 'ana@harbour.example' }),
  });
  let change: ((answer: Buffer) => Buffer) | undefined;
  let length = 0;
  const wants: string[] = [];
  const post: WirePost = async ({ url, body, take }) => {
    const service = url.split('/').at(-1) ?? '';
    const input = Buffer.isBuffer(body) ? body : await gathered(body.open());
    const isFetch = input.includes('command=fetch');
    wants.push(...[...input.toString('latin1').matchAll(/want (\w+)/g)].map(([, oid]) => oid as string));
    const { stdout } = spawnSync('git', [service.slice(4), '--stateless-rpc', bare], {
      ...{ input, maxBuffer: 1 << 28 },
      env: { ...environment, ...(service === 'git-upload-pack' ? { GIT_PROTOCOL: 'version=2' } : {}) },
    });
    const isSpoiled = change && (isFetch || service === 'git-receive-pack');
    if (isFetch || service === 'git-receive-pack') length = stdout.length;
    const answer = isSpoiled ? (change?.(stdout) ?? stdout) : stdout;
    const type = `application/x-${service}-result`;
    // In pieces that no packet knows of.
    if (take)
      for (let at = 0; at < answer.length; at += 777)
        await take(answer.subarray(at, at + 777), { 'content-type': type });
    return { status: 200, contentType: type, body: take ? Buffer.alloc(0) : answer };
  };
  const fellBack = async (): Promise<never> => {
    throw new FellBack('git’s own command is asked');
  };
  const network = { baseUrl: 'https://x.example', authorization: 'Basic x', headers: {}, caFile: '', proxy: '' };
  const address: RemoteAddress = { url: 'https://x.example/s.git', project: 's', branch: 'main', network };
  const remote = wireRemote({
    quirks: { needsLength: false },
    ...{ post, session: (use) => use(address), transfer: transferOf(repository, paths) },
    fallback: { head: fellBack, fetch: fellBack, push: fellBack },
  });
  const push = (name: string): Oid => {
    const tip = spawnSync('git', ['rev-parse', '-q', '--verify', 'refs/heads/main'], { cwd: bare, env: environment });
    const rows = ['commit refs/heads/main', 'committer A <a@x.example> 1700000000 +0000', 'data 1', 'm'];
    if (tip.status === 0) rows.push('from refs/heads/main^0');
    rows.push(`M 100644 inline ${name}`, `data ${name.length}`, name, '');
    spawnSync('git', ['fast-import', '--quiet'], { cwd: bare, env: environment, input: rows.join('\n') });
    return git(bare, 'rev-parse', 'main') as Oid;
  };
  try {
    await repository.prepare();
    const first = push('first.txt');
    git(paths.dir, 'fetch', '-q', bare, `+${first}:refs/sync/remote`);
    await test({
      ...{ bare, gitDir: paths.dir, remote, push },
      spoil: (next) => (change = next),
      wants: () => wants.splice(0),
      length: () => length,
      async commitOn(parent, name) {
        const bytes = Buffer.from(name);
        const open = async () => ({ size: bytes.length, chunks: [bytes] as never, finish: () => true });
        const file = { path: name as SitePath, file: { mode: '100644' as const, open } };
        return (await repository.commitFiles(parent, [file], () => 'Ours\n')).commit;
      },
    });
  } finally {
    await repository.rest();
    remove();
  }
}

async function gathered(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

const ends = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

answers('a commit that is expected is fetched beside the look, and counts once the look has found it', () =>
  place(async ({ remote, gitDir, spoil, wants, push }) => {
    const run = (): AbortSignal => new AbortController().signal;
    const look = async (signal: AbortSignal, expected: Oid) => (remote.expectTip?.(expected), remote.head(signal));
    const second = push('second.txt');
    let signal = run();
    assert.is(await look(signal, second), second);
    assert.not(git(gitDir, 'for-each-ref').includes('incoming'), 'nothing counts before the fetch is asked for');
    assert.is(await remote.fetch(signal), second);
    assert.equal(wants(), [second], 'it is asked for once');
    assert.is(git(gitDir, 'rev-parse', 'refs/scratch/incoming'), second);
    // Known already: nothing is asked for.
    signal = run();
    await look(signal, second);
    assert.is(await remote.fetch(signal), second);
    assert.equal(wants(), []);
    // The branch has gone on, the word is untrue, or the answer breaks off: what the look found is fetched.
    const third = push('third.txt');
    const fourth = push('fourth.txt');
    for (const expected of [third, 'f'.repeat(40) as Oid]) {
      const tip = expected === third ? fourth : push('fifth.txt');
      signal = run();
      assert.is(await look(signal, expected), tip);
      assert.is(await remote.fetch(signal), tip);
      assert.is(git(gitDir, 'rev-parse', 'refs/scratch/incoming'), tip);
    }
    const sixth = push('sixth.txt');
    let cut = 1;
    spoil((answer) => (cut-- > 0 ? answer.subarray(0, answer.length / 2) : answer));
    signal = run();
    wants();
    await look(signal, sixth);
    assert.is(await remote.fetch(signal), sixth);
    assert.equal(wants(), [sixth, sixth]);
    // A word of one run is forgotten in the next.
    const seventh = push('seventh.txt');
    await look(run(), seventh);
    signal = run();
    assert.is(await remote.head(signal), seventh);
    assert.is(await remote.fetch(signal), seventh);
    git(gitDir, 'fsck', '--strict');
  }),
);

answers('a fetch whose answer is cut at any byte brings nothing, and the next one brings all of it', () =>
  place(async ({ remote, gitDir, spoil, length, push }) => {
    const tip = push('second.txt');
    spoil((answer) => answer.subarray(0, 0));
    await ends(remote.fetch());
    const step = isLong ? 1 : 7;
    for (let cut = 0; cut < length(); cut += step) {
      spoil((answer) => answer.subarray(0, cut));
      const end = await ends(remote.fetch());
      assert.instance(end, FellBack, `cut at ${cut}`);
      assert.not(git(gitDir, 'for-each-ref').includes('incoming'), `cut at ${cut}`);
    }
    process.stdout.write(`note: a fetch cut at every ${step}. of ${length()} bytes\n`);
    spoil(undefined);
    assert.is(await remote.fetch(), tip);
    git(gitDir, 'fsck', '--strict');
  }),
);

answers('a fetch whose answer is changed at any byte brings the very commit or nothing', () =>
  place(async ({ remote, gitDir, spoil, length, push }) => {
    let tip = push('second.txt');
    spoil((answer) => answer.subarray(0, 0));
    await ends(remote.fetch());
    const step = isLong ? 1 : 7;
    let came = 0;
    for (let at = 0; at < length(); at += step) {
      spoil((answer) => {
        const changed = Buffer.from(answer);
        changed[at] = (changed[at] ?? 0) ^ 0x15;
        return changed;
      });
      const end = await ends(remote.fetch());
      if (end === tip) {
        // What the server says to people may say anything.
        git(gitDir, 'rev-list', '--objects', '--quiet', tip);
        came += 1;
        tip = push(`more-${at}.txt`);
      } else assert.ok(end instanceof FellBack || end instanceof Problem, `changed at ${at}: ${String(end)}`);
    }
    process.stdout.write(`note: ${came} of ${Math.ceil(length() / step)} came all the same\n`);
    spoil(undefined);
    assert.is(await remote.fetch(), tip);
    git(gitDir, 'fsck', '--strict');
  }),
);

answers('a push whose answer is cut at any byte is done only where the server said so', () =>
  place(async ({ remote, bare, spoil, length, commitOn }) => {
    let tip = git(bare, 'rev-parse', 'main') as Oid;
    const offer = async (name: string): Promise<unknown> => {
      const next = await commitOn(tip, name);
      const end = await ends(remote.push(next, tip, { skipCi: false }));
      tip = git(bare, 'rev-parse', 'main') as Oid;
      assert.is(tip, next, 'the server took it, whatever became of its answer');
      return end;
    };
    spoil((answer) => answer);
    await offer('whole.txt');
    const most = length();
    for (let cut = 0; cut < most; cut += 1) {
      let isTold = false;
      spoil((answer) => {
        isTold = answer.subarray(0, cut).includes('ok refs/heads/main\n');
        return answer.subarray(0, cut);
      });
      const end = await offer(`cut-${cut}.txt`);
      if (isTold && !(end instanceof Error)) assert.is((end as { kind: string }).kind, 'done');
      else assert.instance(end, FellBack, `cut at ${cut}`);
    }
    process.stdout.write(`note: a push cut at each of ${most} bytes\n`);
  }),
);

answers('a report about another branch, half a report and no report are none', () =>
  place(async ({ remote, bare, spoil, commitOn }) => {
    const tip = git(bare, 'rev-parse', 'main') as Oid;
    const next = await commitOn(tip, 'ours.txt');
    const band = (...rows: readonly string[]): Buffer =>
      Buffer.concat([
        packet(Buffer.concat([Buffer.from([1]), ...rows.map((row) => packet(`${row}\n`)), flush])),
        flush,
      ]);
    for (const answer of [
      Buffer.alloc(0),
      flush,
      Buffer.from('rubbish'),
      band('unpack ok'),
      band('ok refs/heads/main'),
      band('unpack ok', 'ok refs/heads/main2'),
      band('unpack ok', 'ok refs/heads/mai'),
      Buffer.concat([band('unpack ok', 'ok refs/heads/main'), Buffer.from('00')]),
      packet(Buffer.from([3, ...Buffer.from('gone')])),
      packet(Buffer.from([9, ...Buffer.from('what')])),
    ]) {
      spoil(() => answer);
      const end = await ends(remote.push(next, tip, { skipCi: false }));
      assert.instance(end, FellBack, JSON.stringify(answer.toString('latin1')));
      git(bare, 'update-ref', 'refs/heads/main', tip);
    }
    spoil(() => band('unpack ok', 'ng refs/heads/main failed to update ref'));
    const moved = await remote.push(next, tip, { skipCi: false });
    assert.is(moved.kind, 'moved');
  }),
);

answers('a sound pack without the commit that was asked for brings nothing', () =>
  place(async ({ remote, gitDir, spoil, push }) => {
    const [before, tip] = [git(gitDir, 'rev-parse', 'refs/sync/remote'), push('second.txt')];
    const pack = spawnSync('git', ['pack-objects', '--stdout', '-q', '--revs'], {
      ...{ cwd: gitDir, env: environment, input: `${before}\n` },
    }).stdout;
    const empty = Buffer.concat([Buffer.from('PACK\0\0\0\x02\0\0\0\0', 'latin1'), Buffer.alloc(20)]);
    for (const bytes of [pack, empty]) {
      spoil(() => Buffer.concat([packet('packfile\n'), packet(Buffer.concat([Buffer.from([1]), bytes])), flush]));
      const end = await ends(remote.fetch());
      assert.instance(end, FellBack);
      assert.not(git(gitDir, 'for-each-ref').includes('incoming'));
    }
    spoil(undefined);
    assert.is(await remote.fetch(), tip);
  }),
);

answers('words without end are not read on, in a fetch and in a push', () =>
  place(async ({ remote, bare, spoil, push, commitOn }) => {
    const tip = push('second.txt');
    const said = packet(Buffer.concat([Buffer.from([2]), Buffer.alloc(60_000, 'x')]));
    for (const rows of [said, packet('x'.repeat(60_000))]) {
      const head = rows === said ? packet('packfile\n') : packet('acknowledgments\n');
      spoil(() => Buffer.concat([head, ...Array.from({ length: 120 }, () => rows)]));
      assert.is((await problemOf(remote.fetch())).code, 'gitlab-answer-odd');
    }
    spoil(undefined);
    assert.is(await remote.fetch(), tip);
    const next = await commitOn(tip, 'ours.txt');
    spoil(() => Buffer.concat(Array.from({ length: 120 }, () => said)));
    assert.instance(await ends(remote.push(next, tip, { skipCi: false })), FellBack);
    assert.is(git(bare, 'rev-parse', 'main'), next);
  }),
);

answers.run();
