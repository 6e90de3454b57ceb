import { type GitDriver, createDriver } from '../../src/git/driver.ts';
import type { OpenRepository } from '../../src/git/repository.ts';
import { type Transfer, openTransfer } from '../../src/git/transfer.ts';

/** Packs in and out of a test's repository, as the daemon has it. */
export function transferOf(
  repository: OpenRepository,
  paths: { readonly dir: string; readonly home: string },
  maxFileBytes = 2 ** 30,
  wrap: (driver: GitDriver) => GitDriver = (driver) => driver,
): Transfer {
  return openTransfer({
    ...{ ...paths, repository, git: '/usr/bin/git', maxFileBytes: () => maxFileBytes },
    driver: wrap(createDriver('/usr/bin/git')),
    limited: wrap(createDriver('prlimit')),
    author: () => ({ name: 'Ana Petrović', email: 'ana@harbour.example' }),
  });
}
