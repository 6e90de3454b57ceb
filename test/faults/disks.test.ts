import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { DiskFacts } from '../../src/model/disk.ts';
import type { SiteSettings } from '../../src/model/site.ts';
import { scratch } from '../support/plain-git.ts';
import type { deny } from '../support/seccomp.ts';
import type { Answer, Order } from './as-user.ts';

/**
 * Disks that lack calls which a local disk has: the kernel refuses them to the engine's process, with the errno that such
 * disks answer.
 */
const disks = suite('disks that lack something');

type Denied = Parameters<typeof deny>[0];

interface Place {
  readonly site: string;
  tell(order: Order): Promise<Answer>;
  read(path: string): string;
}

async function onDisk(
  denied: Denied,
  test: (place: Place) => Promise<void>,
  settings: Partial<SiteSettings> = {},
): Promise<void> {
  const { dir, remove } = scratch();
  const engine = new URL('./as-user.ts', import.meta.url).pathname;
  const child = fork(engine, [dir, JSON.stringify(settings), JSON.stringify(denied)], { stdio: 'inherit' });
  const tell = async (order: Order): Promise<Answer> => {
    child.send(order);
    const [answer] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => [{ failed: 'the engine’s process ended' }]),
    ])) as [Answer];
    if (answer.failed !== undefined && order.do !== 'sync and crash') throw new Error(answer.failed);
    return answer;
  };
  const site = join(dir, 'site');
  try {
    await tell({ do: 'push', changes: { 'page.html': 'one\n', 'going.html': 'going\n', 'docs/a.md': 'a\n' } });
    await tell({ do: 'connect' });
    await test({ site, tell, read: (path) => readFileSync(join(site, path), 'utf8') });
  } finally {
    if (child.exitCode === null) {
      child.disconnect();
      await once(child, 'exit');
    }
    remove();
  }
}

const noFlags = { 'renameat2 with flags': 'EINVAL' } as const;

interface Rung extends Pick<DiskFacts, 'replace' | 'create' | 'remove'> {
  readonly name: string;
  readonly denied: Denied;
}

const capturing: readonly Rung[] = [
  { name: 'no exchange', denied: { exchange: 'EINVAL' }, replace: 'link', create: 'link', remove: 'capture' },
  { name: 'no flags of rename', denied: noFlags, replace: 'link', create: 'link', remove: 'capture' },
  {
    ...{ name: 'no flags of rename (ENOSYS)', denied: { 'renameat2 with flags': 'ENOSYS' } },
    ...{ replace: 'link', create: 'link', remove: 'capture' },
  },
  ...(['EPERM', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'] as const).map((errno): Rung => ({
    ...{ name: `no links (${errno})`, denied: { link: errno } },
    ...{ replace: 'exchange', create: 'no-replace', remove: 'capture' },
  })),
  {
    ...{ name: 'neither exchange nor links', denied: { exchange: 'EINVAL', link: 'EPERM' } },
    ...{ replace: 'no-replace', create: 'no-replace', remove: 'capture' },
  },
];

for (const { name, denied, ...rungs } of capturing) {
  disks(`R1, R2: ${name}: files arrive, are replaced and removed, and edits are pushed`, () =>
    onDisk(denied, async ({ site, tell, read }) => {
      writeFileSync(join(site, 'edited.html'), 'edited\n');
      await tell({
        do: 'push',
        changes: { 'page.html': 'two\n', 'going.html': null, 'docs/new/b.md': 'b\n', 'docs/a.md': 'aa\n' },
      });
      const { notSynced, branch, disks: found } = await tell({ do: 'sync' });
      assert.equal(notSynced, []);
      assert.is(read('page.html'), 'two\n');
      assert.is(read('docs/a.md'), 'aa\n');
      assert.is(read('docs/new/b.md'), 'b\n');
      assert.not(readdirSync(site).includes('going.html'));
      assert.is(branch?.['edited.html'], 'edited');
      assert.equal(
        found?.map(({ replace, create, remove }) => ({ replace, create, remove })),
        [rungs],
      );
    }),
  );
}

const nothing = { ...noFlags, link: 'EOPNOTSUPP' } as const;

disks('R2: where nothing can capture, new files arrive, and those that are there stay and are named', () =>
  onDisk(nothing, async ({ site, tell, read }) => {
    await tell({ do: 'push', changes: { 'page.html': 'two\n', 'going.html': null, 'docs/new.md': 'new\n' } });
    const { notSynced, branch, disks: found } = await tell({ do: 'sync' });
    assert.equal(notSynced?.filter((one) => one.includes('no-capture')).sort(), [
      'going.html: {"kind":"no-capture"}',
      'page.html: {"kind":"no-capture"}',
    ]);
    assert.is(read('page.html'), 'one\n');
    assert.is(read('going.html'), 'going\n');
    assert.is(read('docs/new.md'), 'new\n');
    assert.is(branch?.['page.html'], 'two', 'what was not written here was pushed back as an edit');
    assert.not.ok(branch?.['going.html'], 'what was not removed here was pushed back as an edit');
    assert.equal(
      found?.map(({ replace, create, remove }) => [replace, create, remove]),
      [['rename', 'in-place', 'rename']],
    );
    writeFileSync(join(site, 'edited.html'), 'edited\n');
    assert.is((await tell({ do: 'sync' })).branch?.['edited.html'], 'edited', 'edits elsewhere no longer travel');
  }),
);

disks('R2: where nothing can capture, files that are there are replaced if the site’s settings say so', () =>
  onDisk(
    nothing,
    async ({ site, tell, read }) => {
      await tell({ do: 'push', changes: { 'page.html': 'two\n', 'going.html': null } });
      assert.equal((await tell({ do: 'sync' })).notSynced, []);
      assert.is(read('page.html'), 'two\n');
      assert.not(readdirSync(site).includes('going.html'));
    },
    { replacesWithoutCapture: true },
  ),
);

for (const errno of ['EPERM', 'EOPNOTSUPP'] as const) {
  disks(`R3: where permissions and owners cannot be set (${errno}), contents arrive with what the disk gives`, () =>
    onDisk({ fchmod: errno, fchown: errno }, async ({ site, tell, read }) => {
      chmodSync(join(site, 'docs/a.md'), 0o600);
      chmodSync(join(site, 'page.html'), 0o644);
      await tell({ do: 'push', changes: { 'page.html': 'two\n', 'docs/a.md': 'aa\n', 'new/b.md': 'b\n' } });
      const { notSynced, disks: found } = await tell({ do: 'sync' });
      assert.equal(notSynced, []);
      assert.is(read('page.html'), 'two\n');
      assert.is(read('new/b.md'), 'b\n');
      assert.is(statSync(join(site, 'docs/a.md')).mode & 0o077, 0, 'a private file was opened to others');
      assert.equal(
        found?.map(({ modes, owners }) => [modes, owners]),
        [[false, false]],
      );
    }),
  );
}

disks.run();
