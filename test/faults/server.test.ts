import { spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createDeflate, deflateSync, gunzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { basicAuthorization } from '../../src/git/environment.ts';
import { cliRemote } from '../../src/git/remote.ts';
import type { RemoteAddress } from '../../src/git/session.ts';
import { openRepository } from '../../src/git/repository.ts';
import { wireRemote } from '../../src/git/wire.ts';
import { Problem } from '../../src/model/problem.ts';
import { createHttp } from '../../src/net/http.ts';
import type { Remote, Repository } from '../../src/sync/ports.ts';
import { systemClock, systemRandom } from '../../src/world.ts';
import { git, scratch } from '../support/plain-git.ts';
import { transferOf } from '../support/transfer.ts';

/** A server that speaks git's protocol and means harm. */
const hostile = suite('hostile server');

interface Script {
  /** Lines of the ls-refs answer, without their length. */
  refs(tip: string): Iterable<string>;
  /** The bytes of the pack; absent: an honest one. */
  pack?: () => AsyncIterable<Buffer> | undefined;
  readonly capabilities?: readonly string[];
}

interface Asked {
  readonly remote: Remote;
  readonly wire: Remote;
  readonly repository: Repository;
  readonly gitDir: string;
  readonly dir: string;
  readonly tip: string;
  /** The commands and addresses the server was asked for. */
  readonly commands: readonly string[];
  readonly served: () => number;
}

const packet = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, '0')), bytes]);
};

async function against(script: Script, test: (asked: Asked) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  const source = join(dir, 'source');
  git(dir, 'init', '-q', '--initial-branch=main', source);
  writeFileSync(join(source, 'index.html'), 'home\n');
  git(source, 'add', '-A');
  git(source, 'commit', '-q', '-m', 'Begin');
  const tip = git(source, 'rev-parse', 'HEAD');
  const commands: string[] = [];
  let served = 0;
  const server = createServer((request, response) => {
    void answer(request, response, { script, source, tip, commands, count: (bytes) => (served += bytes) });
  });
  const baseUrl = await listening(server);
  const address = async <T>(use: (at: RemoteAddress) => Promise<T>): Promise<T> =>
    use({
      ...{ url: `${baseUrl}/harbour/site.git`, project: 'harbour/site', branch: 'main' },
      network: { baseUrl, authorization: basicAuthorization('token'), headers: {}, caFile: '', proxy: '' },
    });
  const author = () => ({ name: 'Ana', email: 'ana@harbour.example' });
  const paths = { dir: join(dir, 'state', 'repo.git'), home: join(dir, 'state', 'home') };
  const repository = openRepository({ ...paths, author, driver: createDriver('/usr/bin/git'), clock: systemClock });
  await repository.prepare();
  const remote = cliRemote({
    quirks: { needsLength: false },
    ...{ ...paths, git: '/usr/bin/git', author, session: address, maxFileBytes: () => 4 * 1024 * 1024 },
    limited: new URL('../../config/git-limited.sh', import.meta.url).pathname,
  });
  const advanced = { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 };
  const http = createHttp({
    instance: () => ({ url: baseUrl, apiUrl: `${baseUrl}/api/v4`, tokenUrl: `${baseUrl}/oauth/token`, advanced }),
    clock: systemClock,
    random: systemRandom,
  });
  const transfer = transferOf(repository, paths, 4 * 1024 * 1024);
  const wire = wireRemote({
    quirks: { needsLength: false },
    post: (request) => http.post(request),
    session: address,
    fallback: remote,
    transfer,
  });
  try {
    await test({ remote, wire, repository, gitDir: paths.dir, dir, tip, commands, served: () => served });
  } finally {
    http.close();
    server.closeAllConnections();
    server.close();
    remove();
  }
}

async function listening(server: Server): Promise<string> {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Serving {
  readonly script: Script;
  readonly source: string;
  readonly tip: string;
  readonly commands: string[];
  readonly count: (bytes: number) => void;
}

async function answer(request: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const { script, source, tip, commands, count } = serving;
  const send = async (bytes: Buffer): Promise<boolean> => {
    count(bytes.length);
    if (response.destroyed) return false;
    if (!response.write(bytes)) await new Promise((resolve) => setTimeout(resolve, 1));
    return !response.destroyed;
  };
  if (request.method === 'GET') {
    commands.push(request.url ?? '');
    response.setHeader('content-type', 'application/x-git-upload-pack-advertisement');
    const lines = ['version 2', 'agent=git/9.9', 'ls-refs=unborn', 'fetch=shallow wait-for-done', 'object-format=sha1'];
    const all = [...lines, ...(script.capabilities ?? [])].map((line) => packet(`${line}\n`));
    response.end(Buffer.concat([packet('# service=git-upload-pack\n'), flush, ...all, flush]));
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const raw = Buffer.concat(chunks);
  const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
  const command = /^....command=([\w-]+?)(?:\n|[\da-f]{4})/.exec(body.toString('latin1'))?.[1] ?? '';
  commands.push(command);
  response.setHeader('content-type', 'application/x-git-upload-pack-result');
  if (command === 'ls-refs') {
    let part: Buffer[] = [];
    for (const line of script.refs(tip)) {
      part.push(packet(`${line}\n`));
      if (part.length < 5_000) continue;
      if (!(await send(Buffer.concat(part)))) return;
      part = [];
    }
    await send(Buffer.concat(part));
    response.end(flush);
    return;
  }
  await send(packet('packfile\n'));
  for await (const chunk of script.pack?.() ?? honest(source)) {
    for (let at = 0; at < chunk.length; at += 60_000) {
      const piece = Buffer.concat([Buffer.from([1]), chunk.subarray(at, at + 60_000)]);
      if (!(await send(packet(piece)))) return;
    }
  }
  response.end(flush);
}

const flush = Buffer.from('0000');

async function* honest(source: string): AsyncGenerator<Buffer> {
  yield spawnSync('git', ['-C', source, 'pack-objects', '--stdout', '--all', '-q'], { input: '' }).stdout;
}

/** One object whose content never ends, and cannot be squeezed. */
async function* endless(): AsyncGenerator<Buffer> {
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(1_000_000, 8);
  // A blob of 2^39 bytes, as packs write numbers: four bits, then seven at a time.
  yield Buffer.concat([head, Buffer.from([0xb0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01])]);
  const deflate = createDeflate({ level: 0 });
  const random = randomBytes(1 << 20);
  const feed = (): void => {
    while (!deflate.destroyed && deflate.write(random));
  };
  deflate.on('drain', feed);
  setImmediate(feed);
  try {
    yield* deflate as AsyncIterable<Buffer>;
  } finally {
    deflate.destroy();
  }
}

/** A blob of 64 KiB, and a delta that copies it four thousand times. */
async function* deltaBomb(): AsyncGenerator<Buffer> {
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(2, 8);
  const sized = (type: number, size: number): Buffer => {
    const bytes = [(type << 4) | (size & 15)];
    for (let left = size >> 4; left > 0; left >>= 7) {
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
      bytes.push(left & 0x7f);
    }
    return Buffer.from(bytes);
  };
  const number = (value: number): number[] =>
    value < 128 ? [value] : [(value & 0x7f) | 0x80, ...number(Math.floor(value / 128))];
  const base = Buffer.concat([sized(3, 65_536), deflateSync(Buffer.alloc(65_536, 'x'))]);
  // A copy without offset and size: from the beginning, 64 KiB.
  const copies = 4_096;
  const delta = Buffer.from([...number(65_536), ...number(65_536 * copies), ...Array<number>(copies).fill(0x80)]);
  const back = base.length;
  const offset = back < 128 ? [back] : [((back >> 7) - 1) | 0x80, back & 0x7f];
  const body = Buffer.concat([head, base, sized(6, delta.length), Buffer.from(offset), deflateSync(delta)]);
  yield Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

async function problemOf(work: Promise<unknown>): Promise<Problem> {
  const found = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.instance(found, Problem);
  return found as Problem;
}

const plain = function* (tip: string): Generator<string> {
  yield `${tip} refs/heads/main`;
};

hostile('S12: the server of these tests is understood when it is honest', () =>
  against({ refs: plain }, async ({ remote, wire, tip, repository }) => {
    assert.is(await wire.head(), tip);
    assert.is(await remote.head(), tip);
    assert.is(await remote.fetch(), tip);
    assert.is((await repository.files(tip as never, 10)).length, 1);
  }),
);

hostile('S12: a pack that never ends is cut at the limit, and nothing of it stays', () =>
  against({ refs: plain, pack: endless }, async ({ remote, repository, gitDir, served }) => {
    const { code, facts } = await problemOf(remote.fetch());
    assert.is(code, 'repository-too-large', JSON.stringify(facts));
    assert.ok(served() < 64 * 1024 * 1024, `${served()} bytes were taken`);
    await repository.prepare();
    const left = (readdirSync(join(gitDir, 'objects'), { recursive: true }) as string[]).filter((name) =>
      /pack|tmp/.test(name.replace(/^pack$/, '')),
    );
    assert.equal(left, []);
    assert.equal(await repository.ledger(), {});
  }),
);

for (const [what, bomb] of [
  ['a pack that never ends', endless],
  ['a delta of a few kilobytes that unpacks to a quarter of a gigabyte', deltaBomb],
] as const) {
  hostile(`S12: ${what} comes over the wire: held within limits, nothing stays, and an honest server heals it`, () => {
    let tipNow: string | undefined;
    let pack: (() => AsyncIterable<Buffer>) | undefined;
    const refs = (tip: string): Iterable<string> => plain(tipNow ?? tip);
    return against(
      { refs, pack: () => pack?.() },
      async ({ wire, remote, repository, gitDir, served, tip, commands }) => {
        assert.is(await remote.fetch(), tip);
        const [before, carried] = [process.memoryUsage().rss, served()];
        tipNow = 'f'.repeat(40);
        pack = bomb;
        const { code } = await problemOf(wire.fetch());
        assert.match(code, /^repository-too-large$|^git-|^gitlab-|^fetch-refused$/);
        assert.ok(served() - carried < 64 * 1024 * 1024, `${served()} bytes were taken`);
        assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024, 'it was held in our own memory');
        assert.ok(commands.filter((command) => command === 'fetch').length >= 2, commands.join());
        await repository.prepare();
        assert.is(git(gitDir, 'for-each-ref', '--format=%(objectname) %(refname)'), `${tip} refs/scratch/incoming`);
        const left = (readdirSync(join(gitDir, 'objects'), { recursive: true }) as string[]).filter((name) =>
          /tmp/.test(name),
        );
        assert.equal(left, []);
        [tipNow, pack] = [undefined, undefined];
        assert.is(await wire.fetch(), tip);
        git(gitDir, 'fsck', '--strict', '--no-dangling');
      },
    );
  });
}

hostile('S12: half a million refs: the one that was asked for is found, and no other is made', () => {
  const many = function* (tip: string): Generator<string> {
    for (let i = 0; i < 500_000; i += 1) yield `${tip} refs/heads/aaa-${i}`;
    yield `${tip} refs/heads/main`;
  };
  return against({ refs: many }, async ({ remote, wire, tip, gitDir }) => {
    assert.is(await wire.head(), tip);
    assert.is(await remote.fetch(), tip);
    assert.is(git(gitDir, 'for-each-ref', '--format=%(refname)'), 'refs/scratch/incoming');
  });
});

hostile('S12: refs without end are not gathered in memory', () => {
  const endlessRefs = function* (tip: string): Generator<string> {
    for (let i = 0; ; i += 1) yield `${tip} refs/heads/main-${i}-${'x'.repeat(200)}`;
  };
  return against({ refs: endlessRefs }, async ({ wire, served }) => {
    const { code } = await problemOf(wire.head());
    assert.match(code, /^gitlab-/);
    assert.ok(served() < 128 * 1024 * 1024, `${served()} bytes were taken`);
  });
});

hostile('S12: refs that lead out, an unborn HEAD elsewhere, bundles on offer: nothing outside the repository', () => {
  const outside = function* (tip: string): Generator<string> {
    yield `unborn HEAD symref-target:refs/heads/../../../X`;
    yield `${tip} HEAD symref-target:refs/heads/../../../X`;
    yield `${tip} refs/heads/../../../escape`;
    yield `${tip} refs/heads/main`;
    yield `${tip} refs/../../../../escape`;
  };
  return against({ refs: outside, capabilities: ['bundle-uri', 'server-option'] }, async (asked) => {
    const { remote, wire, tip, dir, gitDir, commands } = asked;
    const before = readdirSync(dir, { recursive: true }).length - readdirSync(gitDir, { recursive: true }).length;
    const [byWire, byGit] = [await wire.head(), await remote.fetch().catch((error: unknown) => error)];
    assert.is(byWire, tip);
    assert.ok(byGit === tip || byGit instanceof Problem);
    const after = readdirSync(dir, { recursive: true }).length - readdirSync(gitDir, { recursive: true }).length;
    assert.is(after, before, 'something was written beside the repository');
    for (const name of ['X', 'escape'])
      for (const at of [dir, join(dir, '..'), gitDir, join(gitDir, '..')]) assert.not(existsSync(join(at, name)));
    const refs = git(gitDir, 'for-each-ref', '--format=%(refname)').split('\n').filter(Boolean);
    assert.ok(
      refs.every((name) => name === 'refs/scratch/incoming'),
      refs.join(),
    );
    assert.is(git(gitDir, 'symbolic-ref', 'HEAD'), 'refs/heads/mooring');
    const wanted = ['/harbour/site.git/info/refs?service=git-upload-pack', 'ls-refs', 'fetch'];
    assert.equal(
      commands.filter((command) => !wanted.includes(command)),
      [],
    );
  });
});

hostile.run();
