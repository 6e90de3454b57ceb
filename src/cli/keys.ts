import { isAnswered, socketPath } from '../socket.ts';
import { rotateKey } from '../store/rotation.ts';
import { systemClock, systemRandom } from '../world.ts';
import { Problem } from '../model/problem.ts';
import type { Cli } from './cli.ts';
import { CliError, exit } from './exit.ts';
import { inUse, storePlace } from './stopped.ts';

/** Replaces the key. Everything it encrypts is written anew, which a running daemon would not see. */
export async function rotate(cli: Cli): Promise<void> {
  const { stateDir, json, out } = cli;
  if (await isAnswered(socketPath(stateDir)))
    throw new CliError(
      exit.tryAgain,
      'The daemon runs, and the key can only be replaced while it is stopped.',
      'Stop it, run this command again, and start it.',
      'state-in-use',
    );
  process.umask(0o077);
  const place = storePlace(cli);
  await rotateKey({
    ...{ ...place, random: systemRandom, now: () => systemClock.now() },
    onFault: (error) => out.note(String(error)),
    onNotes: (notes) => notes.forEach(({ text }) => out.note(text)),
  }).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'state-in-use' ? inUse(place.path) : error;
  });
  if (json) return out.json({ key: place.keyPath });
  out.line(`The key ${place.keyPath} is new, and every stored secret is encrypted with it. Back it up.`);
}
