import { readConfig } from '../config.ts';
import { rotateKey } from '../store/rotation.ts';
import { systemClock, systemRandom } from '../world.ts';
import type { Cli } from './cli.ts';
import { isAnswered, socketPath } from '../socket.ts';
import { CliError, exit } from './exit.ts';

/** Replaces the key. Everything it encrypts is written anew, which a running daemon would not see. */
export async function rotate({ stateDir, json, out, env }: Cli): Promise<void> {
  if (await isAnswered(socketPath(stateDir)))
    throw new CliError(
      exit.tryAgain,
      'The daemon runs, and the key can only be replaced while it is stopped.',
      'Stop it, run this command again, and start it.',
      'state-in-use',
    );
  const config = readConfig({ ...env, MOORING_STATE: stateDir, MOORING_ALLOW_ROOT: 'yes' });
  process.umask(0o077);
  const said: string[] = [];
  await rotateKey({
    ...{ path: config.stateDir, keyPath: config.keyFile, random: systemRandom, now: () => systemClock.now() },
    onFault: (error) => said.push(String(error)),
    onNotes: (notes) => notes.forEach(({ text }) => said.push(text)),
  });
  for (const text of said) out.note(text);
  if (json) return out.json({ key: config.keyFile });
  out.line(`The key ${config.keyFile} is new, and every stored secret is encrypted with it. Back it up.`);
}
