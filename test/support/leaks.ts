import { execFileSync } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** A secret by the name a failure shows, and its value. */
export type Secrets = ReadonlyMap<string, string>;

/** Which secrets a text holds: in clear, URL-encoded, as hex, or inside something written as base64. */
export function leaksIn(text: Buffer | string, secrets: Secrets): string[] {
  const found: string[] = [];
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  for (const [name, value] of secrets) {
    for (const [how, form] of forms(value)) {
      const at = bytes.indexOf(form);
      if (at >= 0) found.push(`${name} (${how}), after “${before(bytes, at)}”`);
    }
  }
  return found;
}

/** Where it was found, without the secret itself. */
function before(bytes: Buffer, at: number): string {
  return bytes
    .subarray(Math.max(0, at - 120), at)
    .toString('latin1')
    .replace(/[^\x20-\x7e]+/g, ' ');
}

function forms(value: string): [string, string][] {
  const hidden: [string, string][] = [
    ['clear', value],
    ['hex', Buffer.from(value).toString('hex')],
  ];
  if (encodeURIComponent(value) !== value) hidden.push(['URL-encoded', encodeURIComponent(value)]);
  // Whatever stands before and after it in the encoded text: what lies wholly inside its bytes is always the same.
  for (const offset of [0, 1, 2]) {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
    const whole = bytes.subarray(0, bytes.length - (bytes.length % 3));
    const [plain, url] = (['base64', 'base64url'] as const).map((a) => whole.toString(a).slice(offset === 0 ? 0 : 4));
    hidden.push([`base64 at ${offset}`, plain ?? '']);
    if (url !== plain) hidden.push([`base64url at ${offset}`, url ?? '']);
  }
  return hidden;
}

/** Every leak in the files below a folder; `leave` names files that may hold what they hold. Links are not followed. */
export async function leaksBelow(folder: string, secrets: Secrets, leave: RegExp = /^$/): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory() && entry.name.endsWith('.git')) found.push(...leaksInObjects(path, secrets));
    if (!entry.isFile() || leave.test(entry.name)) continue;
    // A daemon that runs takes files away while they are listed.
    const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return Buffer.alloc(0);
      throw error;
    });
    found.push(...leaksIn(bytes, secrets).map((leak) => `${path}: ${leak}`));
  }
  return found;
}

/** Objects are compressed: git reads them. */
function leaksInObjects(repository: string, secrets: Secrets): string[] {
  const args = ['-C', repository, 'cat-file', '--batch', '--batch-all-objects', '--buffer'];
  const objects = execFileSync('git', args, { maxBuffer: 256 * 1024 * 1024 });
  return leaksIn(objects, secrets).map((leak) => `objects of ${repository}: ${leak}`);
}
