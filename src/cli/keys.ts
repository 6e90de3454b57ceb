import { isAnswered, socketPath } from '../socket.ts';
import { rotateKey } from '../store/rotation.ts';
import { systemClock, systemRandom } from '../world.ts';
import { Problem } from '../model/problem.ts';
import { version } from '../version.ts';
import type { Cli } from './cli.ts';
import { inUse, storePlace } from './stopped.ts';

/**
 * Replaces the key and encrypts everything anew. A running daemon does it itself, since it would not see what another
 * process writes; while it is stopped, this process does.
 */
export async function rotate(cli: Cli): Promise<void> {
  const { stateDir, json, out, client } = cli;
  const { key } = (await isAnswered(socketPath(stateDir)))
    ? await client.send<{ key: string }>('/operator/v1/rotate-key')
    : await rotateStopped(cli);
  if (json) return out.json({ key });
  out.line(`The key ${key} is new, and every stored secret is encrypted with it. Back it up.`);
}

async function rotateStopped(cli: Cli): Promise<{ key: string }> {
  process.umask(0o077);
  const place = storePlace(cli);
  await rotateKey({
    ...{ ...place, random: systemRandom, now: () => systemClock.now(), program: version },
    onFault: (error) => cli.out.note(String(error)),
    onNotes: (notes) => notes.forEach(({ text }) => cli.out.note(text)),
  }).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'state-in-use' ? inUse(place.path) : error;
  });
  return { key: place.keyPath };
}
