import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { realFs } from '../../src/files/disk.ts';

/**
 * Somebody who edits one file without a pause, each content new: `editor.ts <folder> <file> save|append <times>`, and
 * then until it is told to stop. Sends what it wrote, without what it displaced itself: a save swaps names, so it sees exactly what its own save replaced.
 */
const [folder = '', name = '', style = 'save', times = '100'] = process.argv.slice(2);
const path = join(folder, name);
const fs = realFs();
const root = fs.openRoot(folder);
const written = new Set<string>();
const spare = `.${name}.swp`;
let held: { readonly fd: number; left: number } | undefined;

let stopped = false;
process.on('message', () => (stopped = true));

for (let i = 0; i < Number(times) || !stopped; i += 1) {
  const content = `${name} ${i} ${process.pid}-${Math.random().toString(36).slice(2)}`;
  try {
    if (style === 'append') append(content);
    else save(content);
    written.add(content);
  } catch (error) {
    // Where only link can replace, the name is free for some microseconds.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  if (i % 4 === 0) await new Promise((resolve) => setTimeout(resolve, i % 3));
}
if (held) closeSync(held.fd);
process.send?.([...written], () => process.exit(0));

function save(content: string): void {
  writeFileSync(join(folder, spare), `${content}\n`);
  fs.exchange?.(root, Buffer.from(spare), root, Buffer.from(name));
  for (const line of readFileSync(join(folder, spare), 'utf8').split('\n')) written.delete(line);
  unlinkSync(join(folder, spare));
}

/** Through a descriptor that may be older than the file that has the name now. */
function append(content: string): void {
  if (!held || held.left === 0) {
    if (held) closeSync(held.fd);
    held = undefined;
    held = { fd: openSync(path, 'r+'), left: 5 };
  }
  held.left -= 1;
  writeSync(held.fd, `${content}\n`, end(held.fd));
}

function end(fd: number): number {
  return fs.statOpen(fd).size;
}
