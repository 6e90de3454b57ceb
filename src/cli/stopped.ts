import { randomBytes } from 'node:crypto';
import { readConfig } from '../config.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import { type Store, openStore } from '../store/store.ts';
import { isUnused } from '../store/state-dir.ts';
import { version } from '../version.ts';
import { systemClock, systemRandom } from '../world.ts';
import type { Cli } from './cli.ts';
import { CliError, exit } from './exit.ts';

/** Where the store and its key are, as far as the environment says; nothing else of it is needed. */
export function storePlace({ stateDir, env }: Pick<Cli, 'stateDir' | 'env'>): { path: string; keyPath: string } {
  const config = readConfig({
    ...{ PATH: env['PATH'], MOORING_STATE: stateDir, MOORING_ALLOW_ROOT: 'yes' },
    ...(env['MOORING_KEY_FILE'] ? { MOORING_KEY_FILE: env['MOORING_KEY_FILE'] } : {}),
    ...(env['MOORING_GIT'] ? { MOORING_GIT: env['MOORING_GIT'] } : {}),
  });
  return { path: config.stateDir, keyPath: config.keyFile };
}

/** Opens the store of a stopped daemon. Its lock keeps the daemon from starting meanwhile. */
export async function withStoppedStore<T>(
  cli: Pick<Cli, 'stateDir' | 'env' | 'out'>,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  process.umask(0o077);
  const place = storePlace(cli);
  if (await isUnused(place.path, place.keyPath))
    throw new CliError(
      exit.usage,
      `There is no Mooring in ${place.path}.`,
      'Name its state directory with --state or MOORING_STATE.',
    );
  const store = await openStore({
    ...{ ...place, random: systemRandom, now: () => systemClock.now(), program: version },
    onFault: (error) => cli.out.note(String(error)),
    onNotes: (notes) => notes.forEach(({ text }) => cli.out.note(text)),
  }).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'state-in-use' ? inUse(place.path) : error;
  });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

export function inUse(path: string): CliError {
  return new CliError(
    exit.tryAgain,
    `Another process holds the state directory ${path}, and no daemon answers on its socket.`,
    'Wait until the daemon has started or stopped, then run this command again.',
    'state-in-use',
  );
}

export async function resetInStore(cli: Cli, name: string, password: string): Promise<void> {
  await withStoppedStore(cli, async (store) => {
    const wanted = name.normalize('NFKC').trim().toLowerCase();
    const account = store.accounts.all().find((one) => one.name.normalize('NFKC').trim().toLowerCase() === wanted);
    if (!account) {
      const known = store.accounts
        .all()
        .map((one) => one.name)
        .join(', ');
      throw new CliError(exit.usage, `There is no account ${name}.`, `Accounts: ${known || 'none'}.`, 'not-found');
    }
    await store.accounts.setPassword(account.id, new Secret(password));
    await store.sessions.endAll(account.id);
    const by = `command line (uid ${process.getuid?.() ?? 'unknown'})`;
    const id = randomBytes(8).toString('hex');
    await store.history.addAct({ id, at: Date.now(), by, act: 'changed-password', detail: `of ${account.name}` });
    await store.history.flushed();
  });
}
