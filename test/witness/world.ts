import { execFileSync } from 'node:child_process';
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { type SavedGitLab, savedSchema } from '../support/gitlab/saved.ts';
import { filesBelow } from './contents.ts';

/** Where the parts of a witness lie, once it is unpacked. */
export interface Places {
  readonly state: string;
  readonly sites: string;
  readonly gitlab: string;
}

export const placesIn = (dir: string): Places => ({
  state: join(dir, 'state'),
  sites: join(dir, 'sites'),
  gitlab: join(dir, 'gitlab'),
});

const identity = z.object({ dev: z.string(), ino: z.string(), ctimeNs: z.string() });

const person = z.object({ name: z.string(), password: z.string() });

/** What only who made a witness can know. */
export const factsSchema = z.object({
  /** Where it was made, and by which addresses. */
  root: z.string(),
  url: z.string(),
  gitlabUrl: z.string(),
  /** ms since 1970. */
  madeAt: z.number(),
  admins: z.tuple([person, person]),
  /** The cookie header of a browser that is signed in. */
  cookie: z.string(),
  apiTokens: z.object({ read: z.string(), sync: z.string() }),
  /** What was sealed, in the clear, by what it is. */
  secrets: z.record(z.string(), z.string()),
  sites: z.object({ quay: z.string(), pier: z.string(), crane: z.string(), kinds: z.string() }),
  projects: z.object({ quay: z.number(), pier: z.number(), crane: z.number() }),
  /** Git's numbers of the contents that existed. */
  contents: z.array(z.string()),
  /** What the kernel called each file and folder below `sites`. */
  identities: z.record(z.string(), identity),
});

export type Facts = z.infer<typeof factsSchema>;

/** Unpacks a release's witness as it is. */
export function unpack(archive: string, to: string): Facts {
  execFileSync('tar', ['-xzpf', archive, '--no-same-owner', '-C', to]);
  return factsSchema.parse(JSON.parse(readFileSync(join(to, 'facts.json'), 'utf8')));
}

/**
 * Makes an unpacked witness believe that it was made here: another folder, other ports, and other numbers of the kernel
 * for its files. Values change and nothing else: no member gets another name and none is added, so what the code of the
 * day then reads has exactly the form in which the release wrote it.
 */
export function moveHere(dir: string, facts: Facts, to: { url: string; gitlabUrl: string }): SavedGitLab {
  const { state, sites, gitlab } = placesIn(dir);
  const texts: readonly [string, string][] = [
    [facts.gitlabUrl, to.gitlabUrl],
    [facts.url, to.url],
    [facts.root, dir],
  ];
  const kernel = new Map<string, Identity>();
  for (const [path, { dev, ino, ctimeNs }] of Object.entries(facts.identities)) {
    const now = lstatSync(join(sites, path), { bigint: true });
    kernel.set(`${dev}:${ino}`, {
      ...{ dev: String(now.dev), ino: String(now.ino) },
      ctimes: { [ctimeNs]: String(now.ctimeNs) },
    });
  }
  const moved = (value: unknown): unknown => movedValue(value, texts, kernel);
  const vault = oldVault(readFileSync(join(state, 'secret.key')));
  for (const path of filesBelow(state)) {
    if (path.includes('/repositories/') || path.includes('/large/')) continue;
    if (/\.json(\.\d)?$/.test(path)) {
      const envelope = parse(readFileSync(path, 'utf8')) as { checksum?: string; data: unknown };
      const data = moved(envelope.data);
      if (/\/instance\.json/.test(path)) sealAnew(data, vault, facts.gitlabUrl, to.gitlabUrl);
      const checksum = createHash('sha256').update(JSON.stringify(data)).digest('hex');
      writeFileSync(path, `${JSON.stringify({ ...envelope, checksum, data })}\n`);
    } else if (path.includes('/history/') || path.includes('/manifests/')) {
      const rows = readFileSync(path, 'utf8').split('\n');
      writeFileSync(path, rows.map((row) => (row === '' ? '' : JSON.stringify(moved(parse(row))))).join('\n'));
    }
  }
  return savedSchema.parse(moved(parse(readFileSync(join(gitlab, 'saved.json'), 'utf8'))));
}

const parse = (text: string): unknown => JSON.parse(text) as unknown;

interface Identity {
  readonly dev: string;
  readonly ino: string;
  /** Then and now: a file whose content changed after the release looked at it has to look changed. */
  readonly ctimes: Readonly<Record<string, string>>;
}

function movedValue(
  value: unknown,
  texts: readonly [string, string][],
  kernel: ReadonlyMap<string, Identity>,
): unknown {
  const inner = (one: unknown): unknown => movedValue(one, texts, kernel);
  if (typeof value === 'string') return texts.reduce((text, [from, to]) => text.replaceAll(from, to), value);
  if (Array.isArray(value)) return value.map(inner);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([name, one]) => [name, inner(one)] as const);
  const object = Object.fromEntries(members) as Record<string, unknown>;
  const known = kernel.get(`${String(object['dev'])}:${String(object['ino'])}`);
  if (!known) return object;
  const ctime = object['ctimeNs'];
  const { dev, ino, ctimes } = known;
  return { ...object, dev, ino, ...(typeof ctime === 'string' ? { ctimeNs: ctimes[ctime] ?? ctime } : {}) };
}

/**
 * How 0.1.0 seals. It stands here once more, because GitLab's address is part of what its secrets are bound to, and the
 * practice GitLab cannot have the same port for ever. That today's code opens what 0.1.0 itself sealed is tested on
 * an archive that nobody moved.
 */
interface Sealed {
  v: number;
  keyId: string;
  nonce: string;
  data: string;
  tag: string;
}

function oldVault(key: Buffer) {
  const bound = (keyId: string, record: string): Buffer => Buffer.from(`mooring/1/${keyId}/${record}`);
  return {
    open({ keyId, nonce, data, tag }: Sealed, record: string): string {
      const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64'), { authTagLength: 16 })
        .setAAD(bound(keyId, record))
        .setAuthTag(Buffer.from(tag, 'base64'));
      return Buffer.concat([decipher.update(Buffer.from(data, 'base64')), decipher.final()]).toString('utf8');
    },
    seal(text: string, record: string, { v, keyId }: Sealed): Sealed {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(bound(keyId, record));
      const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]).toString('base64');
      return { v, keyId, nonce: nonce.toString('base64'), data, tag: cipher.getAuthTag().toString('base64') };
    },
  };
}

interface OldInstance {
  instance?: { secret: Sealed; hidden: Sealed };
  connections: { connection: { id: string }; tokens: { access: Sealed; refresh: Sealed } }[];
  systemHook?: Sealed;
}

function sealAnew(data: unknown, vault: ReturnType<typeof oldVault>, from: string, to: string): void {
  const { instance, connections, ...rest } = data as OldInstance;
  const again = <K extends string>(holder: Record<K, Sealed>, name: K, record: (url: string) => string): void => {
    holder[name] = vault.seal(vault.open(holder[name], record(from)), record(to), holder[name]);
  };
  if (instance) {
    again(instance, 'secret', (url) => `instance secret of ${url}`);
    again(instance, 'hidden', (url) => `instance settings of ${url}`);
  }
  for (const { connection, tokens } of connections) {
    again(tokens, 'access', (url) => `access token ${connection.id} for ${url}`);
    again(tokens, 'refresh', (url) => `refresh token ${connection.id} for ${url}`);
  }
  if (rest.systemHook) again(data as { systemHook: Sealed }, 'systemHook', (url) => `system hook secret of ${url}`);
}

/** The releases there are witnesses of. */
export function releases(): readonly { readonly version: string; readonly archive: string }[] {
  const here = new URL('.', import.meta.url).pathname;
  return readdirSync(here)
    .filter((name) => /^\d+\.\d+\.\d+$/.test(name))
    .sort()
    .map((version) => ({ version, archive: join(here, version, 'witness.tar.gz') }))
    .filter(({ archive }) => existsSync(archive));
}
