import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SiteSettings } from '../../src/model/site.ts';
import type { Answer, Order } from './as-user.ts';

/**
 * The web server's or the CMS's user goes on working with its files after Mooring has replaced some and added others:
 * as real users of this machine, in each set-up. Uid 33 is the CMS, 1500 Mooring.
 */
const owners = suite('owners');

type SetUpName = 'same user' | 'group' | 'capabilities';

const cms = 33;
const mooring = 1500;
const giving = '+chown,+fowner,+fsetid,+setpcap';
const users: Record<SetUpName, readonly string[]> = {
  'same user': [`--reuid=${cms}`, `--regid=${cms}`, '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'],
  group: [`--reuid=${mooring}`, `--regid=${mooring}`, `--groups=${cms}`, '--inh-caps=-all', '--bounding-set=-all'],
  capabilities: [
    ...[`--reuid=${mooring}`, `--regid=${mooring}`, `--groups=${cms}`],
    ...[`--inh-caps=-all,${giving}`, `--ambient-caps=-all,${giving}`, `--bounding-set=-all,${giving}`],
  ],
};

interface Place {
  readonly site: string;
  tell(order: Order): Promise<Answer>;
  /** A shell as the CMS's user, in the site. Gives what it printed; throws what it complained of. */
  asCms(script: string): string;
  /** Mode, owner and group of a path, as `ls -ln` tells them. */
  list(path: string): string;
}

const before = { 'config.php': 'one\n', 'kept.php': 'one\n', 'docs/old.md': 'one\n' };

/** A site of the CMS's with three files, connected by Mooring as the user of that set-up. */
async function inSetUp(
  name: SetUpName,
  test: (place: Place) => Promise<void>,
  { settings = {}, prepare = () => {} }: { settings?: Partial<SiteSettings>; prepare?: (site: string) => void } = {},
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'owners-'));
  const site = join(dir, 'site');
  const user = name === 'same user' ? cms : mooring;
  mkdirSync(site);
  mkdirSync(join(site, 'docs'));
  for (const [path, text] of Object.entries(before)) {
    writeFileSync(join(site, path), text);
    chmodSync(join(site, path), 0o644);
    chownSync(join(site, path), cms, cms);
  }
  for (const folder of [join(site, 'docs'), site]) {
    chownSync(folder, cms, cms);
    chmodSync(folder, 0o2775);
  }
  prepare(site);
  chownSync(dir, user, user);
  chmodSync(dir, 0o755);
  const engine = new URL('./as-user.ts', import.meta.url).pathname;
  const child: ChildProcess = spawn(
    'setpriv',
    [...users[name], process.execPath, '--disable-warning=ExperimentalWarning', engine, dir, JSON.stringify(settings)],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env: { ...process.env, HOME: dir, NODE_COMPILE_CACHE: '' } },
  );
  const tell = async (order: Order): Promise<Answer> => {
    child.send(order);
    const [answer] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => [{ failed: 'the engine’s process ended' }]),
    ])) as [Answer];
    if (answer.failed !== undefined && order.do !== 'sync and crash') throw new Error(answer.failed);
    return answer;
  };
  const asCms = (script: string): string => {
    const { status, stdout, stderr } = spawnSync(
      'setpriv',
      [...users['same user'], 'sh', '-ec', `umask 002; cd ${site}; ${script}`],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`the CMS could not: ${script}\n${stderr}`);
    return stdout;
  };
  try {
    await tell({ do: 'push', changes: before });
    await tell({ do: 'connect' });
    const list = (path: string): string =>
      execFileSync('ls', ['-lnd', join(site, path)], { encoding: 'utf8' })
        .split(/\s+/)
        .slice(0, 4)
        .filter((_, n) => n !== 1)
        .join(' ');
    await test({ site, tell, asCms, list });
  } finally {
    child.disconnect();
    if (child.exitCode === null) await once(child, 'exit');
    rmSync(dir, { recursive: true, force: true });
  }
}

const pulled = {
  'config.php': 'two\n',
  'new.php': 'new\n',
  'fresh/deep/page.php': 'new\n',
  'fresh/deep/gone.php': 'new\n',
};

const listed: Record<SetUpName, Record<string, string>> = {
  'same user': { 'config.php': '-rw-r--r-- 33 33', 'new.php': '-rw-rw-r-- 33 33', 'fresh/deep': 'drwxrwsr-x 33 33' },
  group: { 'config.php': '-rw-rw-r-- 1500 33', 'new.php': '-rw-rw-r-- 1500 33', 'fresh/deep': 'drwxrwsr-x 1500 33' },
  capabilities: { 'config.php': '-rw-r--r-- 33 33', 'new.php': '-rw-rw-r-- 33 33', 'fresh/deep': 'drwxrwsr-x 33 33' },
};

for (const name of Object.keys(users) as SetUpName[]) {
  owners(
    `R7: ${name}: after a pull the CMS saves, appends, creates and removes as before, and all of it is pushed`,
    () =>
      inSetUp(name, async ({ tell, asCms, list }) => {
        await tell({ do: 'push', changes: pulled });
        assert.equal((await tell({ do: 'sync' })).notSynced, []);
        const found = Object.fromEntries(Object.keys(listed[name]).map((path) => [path, list(path)]));
        process.stdout.write(`\nnote: ${name}: ${JSON.stringify(found)}\n`);
        assert.equal(found, listed[name]);
        asCms('echo three >> config.php');
        asCms('echo more >> fresh/deep/page.php');
        asCms('echo beside > fresh/deep/beside.php');
        asCms('rm fresh/deep/gone.php');
        asCms('echo saved > new.php.tmp~ && mv new.php.tmp~ new.php');
        const { branch } = await tell({ do: 'sync' });
        assert.equal(branch, {
          'config.php': 'two\nthree',
          'docs/old.md': 'one',
          'fresh/deep/beside.php': 'beside',
          'fresh/deep/page.php': 'new\nmore',
          'kept.php': 'one',
          'new.php': 'saved',
        });
      }),
  );

  owners(`R7: ${name}: programs that Mooring starts have no capabilities at all`, () =>
    inSetUp(name, async ({ tell }) => {
      const { privileges } = await tell({ do: 'privileges' });
      const none = '0000000000000000';
      process.stdout.write(
        `\nnote: ${name}: own ${privileges?.own.join(', ') || 'none'}; git ${JSON.stringify(privileges?.child)}\n`,
      );
      assert.equal(privileges?.child, { Inh: none, Prm: none, Eff: none, Bnd: none, Amb: none });
      assert.equal(privileges?.own, name === 'capabilities' ? ['CAP_CHOWN', 'CAP_FOWNER', 'CAP_FSETID'] : []);
    }),
  );
}

owners('R7: group: a private file of the CMS is named, not replaced and not opened to the group', () =>
  inSetUp('group', async ({ site, tell, list }) => {
    // Readable by Mooring when it was connected, private since.
    chmodSync(join(site, 'config.php'), 0o600);
    await tell({ do: 'push', changes: { 'config.php': 'two\n', 'new.php': 'new\n' } });
    const { notSynced = [] } = await tell({ do: 'sync' });
    assert.is(list('config.php'), '-rw------- 33 33');
    assert.is(readFileSync(join(site, 'config.php'), 'utf8'), 'one\n');
    assert.ok(
      notSynced.some((line) => line.startsWith('config.php: ')),
      notSynced.join('\n'),
    );
    assert.is(readFileSync(join(site, 'new.php'), 'utf8'), 'new\n');
    // Opened again by its owner, it arrives.
    chmodSync(join(site, 'config.php'), 0o644);
    await tell({ do: 'sync' });
    assert.equal((await tell({ do: 'sync' })).notSynced, []);
    assert.is(readFileSync(join(site, 'config.php'), 'utf8'), 'two\n');
  }),
);

owners('R7: group: a file whose owner is not in the group is named with the user and not replaced', () =>
  inSetUp('group', async ({ site, tell, list }) => {
    chownSync(join(site, 'config.php'), 1234, cms);
    await tell({ do: 'push', changes: { 'config.php': 'two\n' } });
    const { notSynced = [], branch } = await tell({ do: 'sync' });
    assert.equal(notSynced, ['config.php: {"kind":"owner","uid":1234}']);
    assert.is(list('config.php'), '-rw-r--r-- 1234 33');
    assert.is(branch?.['config.php'], 'two', 'the old content was pushed over the new one');
  }),
);

owners('R7: capabilities: new files and folders get the owner and permissions that the site sets', () =>
  inSetUp(
    'capabilities',
    async ({ tell, list }) => {
      await tell({ do: 'push', changes: pulled });
      await tell({ do: 'sync' });
      assert.equal([list('new.php'), list('fresh')], ['-rw-r----- 33 1500', 'drwxr-s--- 33 1500']);
    },
    {
      settings: {
        newEntries: { owner: { user: String(cms), group: String(mooring) }, fileMode: 0o640, folderMode: 0o750 },
      },
    },
  ),
);

const hasAcl = (): boolean => spawnSync('setfacl', ['--version']).status === 0;

for (const name of ['group', 'capabilities'] as const) {
  owners(
    `R8: ${name}: access lists and attributes outlive a replacement, and default lists count for what is new`,
    async () => {
      if (!hasAcl()) {
        process.stdout.write('\nnot run here: access lists: there is no setfacl\n');
        return;
      }
      const acl = (path: string): string =>
        execFileSync('getfacl', ['-cnp', path], { encoding: 'utf8' }).trim().split('\n').join(' ');
      let isRefused = '';
      await inSetUp(
        name,
        async ({ site, tell }) => {
          if (isRefused) return void process.stdout.write(`\nnot run here: access lists: ${isRefused}\n`);
          const [had, private_] = [acl(join(site, 'config.php')), statSync(join(site, 'config.php')).mode];
          await tell({ do: 'push', changes: { ...pulled, 'docs/new.md': 'new\n', 'docs/in/er.md': 'new\n' } });
          assert.equal((await tell({ do: 'sync' })).notSynced, []);
          assert.is(readFileSync(join(site, 'config.php'), 'utf8'), 'two\n');
          assert.is(acl(join(site, 'config.php')), had);
          assert.is(statSync(join(site, 'config.php')).mode, private_);
          const note = execFileSync('getfattr', [
            '--absolute-names',
            '-n',
            'user.note',
            '--only-values',
            join(site, 'config.php'),
          ]);
          assert.is(note.toString(), 'remember');
          assert.is(
            acl(join(site, 'docs/new.md')).replaceAll(/\t#effective:rw-/g, '*'),
            'user::rw- user:1234:rwx* group::rwx* mask::rw- other::---',
          );
          assert.match(acl(join(site, 'docs/in')), 'default:user:1234:rwx');
          assert.match(acl(join(site, 'docs/in/er.md')), 'user:1234:rwx');
        },
        {
          prepare(site) {
            const run = (program: string, ...args: string[]): void => {
              const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
              if (status !== 0) isRefused ||= stderr.trim();
            };
            chmodSync(join(site, 'config.php'), 0o664);
            run('setfacl', '-m', 'u:1234:rw', join(site, 'config.php'));
            run('setfattr', '-n', 'user.note', '-v', 'remember', join(site, 'config.php'));
            run('setfacl', '-d', '-m', 'u::rwx,u:1234:rwx,g::rwx,m::rwx,o::-', join(site, 'docs'));
          },
        },
      );
    },
  );
}

owners('R9: ended right after a file of another user was moved aside: it has its name again, and syncing goes on', () =>
  inSetUp('group', async ({ site, tell, asCms }) => {
    if (readFileSync('/proc/sys/fs/protected_hardlinks', 'utf8').trim() !== '1')
      process.stdout.write('\nnot run here: protected_hardlinks is off, so a second name would be allowed\n');
    await tell({ do: 'push', changes: { 'kept.php': null } });
    assert.is((await tell({ do: 'sync and crash' })).failed, 'crashed');
    assert.not.ok(existsSync(join(site, 'kept.php')), 'it was to be gone in that instant');
    // Saved anew in the gap, which a sync must not take for a removal on both sides.
    asCms('echo saved in the gap > other.php');
    const { branch } = await tell({ do: 'sync' });
    assert.is(branch?.['other.php'], 'saved in the gap');
    await tell({ do: 'sync' });
    assert.not.ok(existsSync(join(site, 'kept.php')));
  }),
);

owners('R9: a save that came into the gap of such a crash stays live and is pushed', () =>
  inSetUp('group', async ({ site, tell, asCms }) => {
    await tell({ do: 'push', changes: { 'kept.php': null } });
    assert.is((await tell({ do: 'sync and crash' })).failed, 'crashed');
    asCms('echo saved in the gap > kept.php');
    const { branch } = await tell({ do: 'sync' });
    assert.is(readFileSync(join(site, 'kept.php'), 'utf8'), 'saved in the gap\n');
    assert.is(branch?.['kept.php'] ?? (await tell({ do: 'sync' })).branch?.['kept.php'], 'saved in the gap');
  }),
);

if (process.getuid?.() === 0) owners.run();
else {
  process.stdout.write('\nnot run here: other users can only be had as root\n');
  const none = suite('owners, as root');
  none('cannot be had here', () => {});
  none.run();
}
