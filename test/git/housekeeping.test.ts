import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { type OpenRepository, openRepository } from '../../src/git/repository.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import { Maintenance, type MaintenanceDeps } from '../../src/sync/maintenance.ts';
import type { Outcome } from '../../src/sync/notes.ts';
import { systemClock } from '../../src/world.ts';
import { git, scratch } from '../support/plain-git.ts';

const housekeeping = suite('keeping a repository in order');

async function place(
  test: (place: {
    repository: OpenRepository;
    bare: string;
    packs: () => number;
    edit: (parent: Oid | undefined, text: string) => Promise<Oid>;
  }) => Promise<void>,
): Promise<void> {
  const { dir, remove } = scratch();
  const bare = join(dir, 'repo.git');
  const repository = openRepository({
    ...{ dir: bare, home: join(dir, 'home'), driver: createDriver('/usr/bin/git'), clock: systemClock },
    author: () => ({ name: 'Ana', email: 'ana@harbour.example' }),
  });
  try {
    await repository.prepare();
    await test({
      ...{ repository, bare },
      packs: () => readdirSync(join(bare, 'objects', 'pack')).filter((name) => name.endsWith('.pack')).length,
      async edit(parent, text) {
        const bytes = Buffer.from(text);
        const open = async () => ({ size: bytes.length, chunks: [bytes] as never, finish: () => true });
        const file = { path: 'a/b.txt' as SitePath, file: { mode: '100644' as const, open } };
        return (await repository.commitFiles(parent, [file], () => 'Edit\n')).commit;
      },
    });
  } finally {
    await repository.rest();
    remove();
  }
}

housekeeping(
  'small packs are put together: everything stays, what nothing refers to as well, and reading goes on',
  () =>
    place(async ({ repository, bare, packs, edit }) => {
      const line: Oid[] = [];
      for (let i = 0; i < 60; i += 1) line.push(await edit(line.at(-1), `${i}\n`));
      const loose = await edit(line[10], 'in no ref yet\n');
      const disk = line.at(-1) as Oid;
      await repository.updateRefs({ disk });
      assert.is(packs(), 61);
      await repository.fold();
      assert.ok(packs() <= 2, `${packs()} packs`);
      for (const oid of [...line, loose]) assert.is((await repository.objects.read(oid)).type, 'commit');
      assert.equal(await repository.ledger(), { disk });
      const next = await edit(disk, 'more\n');
      await repository.updateRefs({ disk: next }, { disk });
      await repository.fold();
      assert.is(git(bare, 'fsck', '--strict', '--no-dangling'), '');
      assert.is(git(bare, 'rev-list', '--count', 'refs/sync/disk'), '61');
      // The daily clean-up: what is young stays, whatever refers to it.
      await repository.maintain(0);
      assert.equal(await repository.ledger(), { disk: next });
      assert.is((await repository.objects.read(loose)).type, 'commit');
      assert.is(git(bare, 'fsck', '--strict', '--no-dangling'), '');
    }),
);

housekeeping('it is done after every fiftieth run that moved something, and after no other', async () => {
  let folded = 0;
  const deps = {
    clock: { now: () => 0, monotonic: () => 0, sleep: async () => {} },
    random: { fraction: () => 0.5 },
    repository: { fold: async () => void (folded += 1) },
  } as unknown as MaintenanceDeps;
  const maintenance = new Maintenance(deps, { held: () => [] } as never);
  const { signal } = new AbortController();
  const moved = { pulled: [], pushed: [{ path: 'a' }] } as unknown as Outcome;
  const idle = { pulled: [], pushed: [] } as unknown as Outcome;
  for (let i = 0; i < 200; i += 1) await maintenance.afterRun(idle, signal);
  assert.is(folded, 0);
  for (let i = 0; i < 149; i += 1) await maintenance.afterRun(moved, signal);
  assert.is(folded, 2);
  await maintenance.afterRun(moved, signal);
  assert.is(folded, 3);
});

housekeeping('a repository that is put aside leaves nothing of itself in memory', () =>
  place(async ({ repository, edit }) => {
    const oid = await edit(undefined, 'one\n');
    assert.is((await repository.commit(oid)).parents.length, 0);
    await repository.setAside();
    assert.not(await repository.objects.has(oid));
    const gone = await repository.objects.commit(oid).catch((error: unknown) => error);
    assert.is((gone as { code?: string }).code, 'git-damaged');
  }),
);

housekeeping.run();
