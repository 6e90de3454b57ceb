import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { Readable, Writable } from 'node:stream';
import { gunzipSync, gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type ArchiveFile, type Signing, readArchive, writeArchive } from '../../src/backup/archive.ts';
import { Problem } from '../../src/model/problem.ts';

const test = suite('the archive of a backup');

const signing: Signing = { keyId: 'abc', secret: Buffer.alloc(32, 1) };
const about = {
  ...{ mooring: '1', createdAt: Date.UTC(2027, 0, 1), host: 'h', machine: '', keyId: 'abc', withRepositories: true },
  ...{ sites: [], leftOut: [] },
};
const long = `repositories/a.git/refs/${'x/'.repeat(80)}y`;
const files: readonly ArchiveFile[] = [
  { name: 'state.json', content: Buffer.from('{"a":1}\n') },
  { name: 'empty', content: Buffer.alloc(0) },
  { name: long, content: Buffer.alloc(300_000, 'long ') },
];

async function archive(of = files, by = signing): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const to = new Writable({ write: (chunk: Buffer, _, done) => (chunks.push(chunk), done()) });
  const size = await writeArchive(of, about, by, to, new AbortController().signal);
  const written = Buffer.concat(chunks);
  assert.is(written.length, size);
  return written;
}

const read = (bytes: Buffer, by: Signing | 'no key' = signing) =>
  readArchive(() => Readable.from([bytes]), by === 'no key' ? undefined : by);

async function refused(bytes: Buffer, reason: RegExp, by = signing): Promise<void> {
  const error = await read(bytes, by).then(
    () => assert.unreachable(`it was read, and should not for ${reason}`),
    (failure: unknown) => failure,
  );
  assert.instance(error, Problem);
  const { code, facts } = error as Problem;
  assert.match(`${code} ${facts['reason'] ?? ''}`, reason);
}

test('what goes in comes out, and tar lists it', async () => {
  const bytes = await archive();
  const found = new Map<string, string>();
  const manifest = await readArchive(
    () => Readable.from([bytes]),
    signing,
    async (name, content) => {
      const hash = createHash('sha256');
      for await (const chunk of content) hash.update(chunk);
      found.set(name, hash.digest('hex'));
    },
  );
  assert.equal([...found.keys()], ['state.json', 'empty', long]);
  for (const { name, sha256 } of manifest.entries) assert.is(found.get(name), sha256);
  const listed = spawnSync('tar', ['-tzf', '-'], { input: bytes, encoding: 'utf8' });
  assert.is(listed.status, 0, listed.stderr);
  assert.match(listed.stdout, /^mooring-backup\/state\.json$/m);
});

test('cut short anywhere, it is refused', async () => {
  const bytes = await archive();
  for (let part = 1; part < 24; part += 1)
    await refused(bytes.subarray(0, Math.floor((bytes.length * part) / 24)), /^backup-damaged /);
  await refused(Buffer.alloc(0), /^backup-damaged /);
  // Cut inside of the tar, and closed properly by gzip.
  const tar = gunzipSync(bytes);
  for (const length of [512, 1_024, 100_000, tar.length - 4_096])
    await refused(gzipSync(tar.subarray(0, length)), /^backup-damaged /);
});

test('an altered byte anywhere is noticed', async () => {
  const tar = gunzipSync(await archive());
  for (let at = 0; at < tar.length; at += 4_999) {
    const altered = Buffer.from(tar);
    altered[at] = (altered[at] ?? 0) ^ 0x20;
    if (altered.equals(tar)) continue;
    const seen = await read(gzipSync(altered)).catch((error: unknown) => error);
    // The padding of an entry is nobody's content.
    if (!(seen instanceof Problem)) assert.is(tar[at], 0, `byte ${at}`);
  }
});

test('somebody who recomputes the checksums is noticed by the signature', async () => {
  const forged = await archive([{ name: 'state.json', content: Buffer.from('{"a":2}\n') }], {
    ...signing,
    secret: Buffer.alloc(32, 2),
  });
  await refused(forged, /signature does not match/);
  assert.is((await read(forged, 'no key')).entries.length, 1);
  await refused(await archive(), /^backup-foreign/, { ...signing, keyId: 'other' });
});

test('an entry that leads elsewhere, or is no file, is refused', async () => {
  for (const name of ['../x', '/etc/x', 'a/../../x', 'a//b', '.', 'a\\b', 'nul\0x'])
    await refused(await archive([{ name, content: Buffer.from('x') }]), /^backup-damaged /);
  await refused(await archive([...files, ...files]), /in it twice/);
  for (const type of ['symlink', 'link', 'directory']) {
    const made = spawnSync('sh', ['-c', script(type)], { encoding: 'buffer' });
    assert.is(made.status, 0, made.stderr.toString());
    await refused(made.stdout, /no file of a backup/);
  }
  await refused(Buffer.from('no archive'), /^backup-damaged /);
});

/** An archive with one entry of another kind, as tar makes it. */
const script = (type: string): string => `
  set -e; dir=$(mktemp -d); cd "$dir"; mkdir mooring-backup; cd mooring-backup; echo x > f
  case ${type} in symlink) ln -s /etc l;; link) ln f l; ;; directory) rm f; mkdir l;; esac
  rm -f g; cd ..; tar -czf - --no-recursion ${type === 'link' ? 'mooring-backup/f mooring-backup/l' : 'mooring-backup/l'}; rm -r "$dir"`;

test('a file that shrinks while it is archived is no archive', async () => {
  const path = import.meta.filename;
  const error = await archive([{ name: 'a', path, size: 10_000_000 }]).catch((failure: unknown) => failure);
  assert.instance(error, Error);
});

test.run();
