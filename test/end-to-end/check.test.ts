import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { SetUpCheck } from '../../src/model/system.ts';
import { takeLock } from '../../src/store/lock.ts';
import { run } from '../support/command.ts';
import { type Harbour, type HarbourOptions, harbour } from '../support/daemon.ts';
import { addSite, makeFolder, mooredSite } from '../support/moored.ts';
import { until } from '../support/until.ts';

/** Broken set-ups, each named with its fix: by the daemon while it runs, and from the shell while it is stopped. */
const test = suite('mooring check');

const cms = 33;
const as = { uid: 1500, gid: 1500, groups: [cms] };
const isRoot = process.getuid?.() === 0;

interface Told {
  readonly code: number | null;
  readonly checks: readonly SetUpCheck[];
  readonly text: string;
}

/** Asks as the daemon's user, with the daemon's environment. */
async function asked({ stateDir, sites, port }: Harbour, env: Record<string, string> = {}): Promise<Told> {
  const around = { MOORING_SITES: sites, MOORING_PORT: String(port), ...env };
  const { code, stdout, stderr } = await run(['check', '--json'], { stateDir, as, env: around });
  if (stdout === '') throw new Error(stderr);
  const { checks } = JSON.parse(stdout) as { checks: readonly SetUpCheck[] };
  return {
    code,
    checks,
    text: checks.map((one) => `${one.result} ${one.area}: ${one.finding} ${one.fix ?? ''}`).join('\n'),
  };
}

/** What must be told: in which area, how bad, the finding and the fix. */
type Expected = readonly [area: string, result: SetUpCheck['result'], finding: RegExp, fix: RegExp];

function assertTold({ checks, text }: Told, expected: readonly Expected[]): void {
  for (const [area, result, finding, fix] of expected) {
    const ofArea = checks.filter((one) => one.area === area && finding.test(one.finding));
    assert.ok(ofArea.length > 0, `${area} ${String(finding)} in\n${text}`);
    assert.ok(
      ofArea.some((one) => one.result === result && fix.test(one.fix ?? '')),
      `${area}: ${result}, ${String(fix)} in\n${text}`,
    );
  }
}

/** Twice: while the daemon runs, and after it was stopped. */
async function inBoth(made: Harbour, check: (when: 'running' | 'stopped') => Promise<void>): Promise<void> {
  await check('running');
  assert.is(await made.stop(), 0);
  await check('stopped');
}

async function inHarbour(use: (made: Harbour) => Promise<void>, options: HarbourOptions = {}): Promise<void> {
  const made = await harbour({ as, ...options });
  try {
    await use(made);
  } finally {
    await made.close();
  }
}

/** A folder as a CMS has it: its own user, the group that Mooring is in, and the group's bit on folders. */
async function cmsFolder(made: Harbour, name: string, files: Record<string, string> = {}): Promise<string> {
  const folder = await makeFolder(made.sites, name, { files });
  for (const path of ['', ...Object.keys(files)]) {
    await chown(join(folder, path), cms, cms);
    await chmod(join(folder, path), path === '' ? 0o2775 : 0o664);
  }
  return folder;
}

const skipped = (): boolean => {
  if (!isRoot) console.log('not run here: becoming another user needs root');
  return !isRoot;
};

test('a set-up without a fault: nothing fails, and the code is 0', async () => {
  if (skipped()) return;
  await inHarbour(async (made) => {
    const folder = await cmsFolder(made, 'harbour', { 'a.txt': 'a\n' });
    const site = await mooredSite(made, { name: 'Harbour', files: {} });
    await site.settled();
    await inBoth(made, async () => {
      const told = await asked(made);
      assert.is(told.code, 0, told.text);
      assertTold(told, [
        ['Site Harbour', 'ok', /can be read and written\. Mooring shares its group/, /^$/],
        ['GitLab: GitLab', 'ok', /^GitLab \d+\.\d+\.\d+ answers/, /^$/],
        ['GitLab: Application', 'ok', /knows the Application ID/, /^$/],
      ]);
      assert.match(folder, /harbour$/);
    });
  });
});

test('eight faults at once, and each has its own line', async () => {
  if (skipped()) return;
  const env: Record<string, string> = { MOORING_SITE: '/var/www' };
  const dir = await mkdtemp('/tmp/mooring-check-');
  const git = join(dir, 'git');
  await chmod(dir, 0o755);
  const fakeGit = (version: string): string =>
    `#!/bin/sh\n[ "$1" = --version ] && { echo git version ${version}; exit; }\nexec git "$@"\n`;
  await writeFile(git, fakeGit('2.43.0'), { mode: 0o755 });
  env['MOORING_GIT'] = git;
  try {
    await inHarbour(
      async (made) => {
        await cmsFolder(made, 'harbour', { 'a.txt': 'a\n' });
        const site = await mooredSite(made, { name: 'Harbour', files: {} });
        await site.settled();
        for (const name of ['gone', 'closed', 'deep'])
          await addSite(made, site.clicker, name, await cmsFolder(made, name, { 'x.txt': 'x\n' }));
        await until(
          'GitLab refuses to call',
          async () => (await asked(made, env)).text.includes('refused to call') || undefined,
        );

        await rm(join(made.sites, 'gone'), { recursive: true });
        await chmod(join(made.sites, 'closed'), 0o755);
        await mkdir(join(made.sites, 'deep', 'uploads'));
        await chown(join(made.sites, 'deep', 'uploads'), cms, cms);
        await chmod(join(made.sites, 'deep', 'uploads'), 0o755);
        await chmod(join(made.stateDir, 'secret.key'), 0o644);
        await writeFile(git, fakeGit('2.30.1'));
        made.gitlab.applications.remove(made.application.applicationId);
        await inBoth(made, async () => {
          const told = await asked(made, env);
          assert.is(told.code, 1, told.text);
          assertTold(told, [
            ['Settings', 'warn', /^MOORING_SITE is not a setting/, /config\/example\.env/],
            ['Git', 'fail', /2\.30\.1/, /2\.38 or newer/],
            ['Key', 'fail', /can be read by others/, /chmod 600/],
            ['Site gone', 'fail', /does not exist/, /Create or mount/],
            ['Site closed', 'fail', /denied writing to/, /chmod g\+rwx.*docs\/permissions\.md/],
            ['Site deep', 'fail', /has no permission to write to the folder uploads/, /chgrp -R GROUP .* g\+s/],
            ['GitLab: Application', 'fail', /does not know this Application ID/, /copy its Application ID/],
            ['GitLab: Webhook', 'warn', /refused to call/, /Outbound requests/],
          ]);
        });
      },
      { env, allowLocalWebhooks: false },
    );
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a GitLab that is gone, one with another time, and a state directory where sites lie', async () => {
  if (skipped()) return;
  await inHarbour(
    async (made) => {
      const env = { MOORING_SITES: '/tmp' };
      const away = made.gitlab.faults.add({ match: () => true, headers: { Date: 'Tue, 01 Dec 2020 00:00:00 GMT' } });
      const late = await asked(made, env);
      away();
      assertTold(late, [['GitLab: Clock', 'fail', /clocks differ by \d{6,} s/, /NTP/]]);
      await made.gitlab.stop();
      await inBoth(made, async () => {
        const told = await asked(made, env);
        assert.is(told.code, 1, told.text);
        assertTold(told, [
          ['GitLab: Port', 'fail', /nothing listens/, /Check the port in the GitLab URL/],
          ['GitLab: Application', 'note', /Could not be tried yet/, /^$/],
          ['State directory', 'fail', /is below \/tmp/, /move the state directory elsewhere/],
        ]);
      });
    },
    { env: { MOORING_SITES: '/tmp' } },
  );
});

test('what keeps the daemon from starting: settings (78), port, key and store (1), another holder (75)', async () => {
  if (skipped()) return;
  await inHarbour(async (made) => {
    await made.stop();
    const wrong = { MOORING_PORT: 'http', MOORING_PUBLIC_URL: 'mooring.example', MOORING_GIT: '/no/git' };
    const settings = await asked(made, wrong);
    assert.is(settings.code, 78);
    for (const name of Object.keys(wrong))
      assertTold(settings, [['Settings', 'fail', new RegExp(`^${name}: `), new RegExp(`For example: ${name}=`)]]);

    const taken = createServer().listen(made.port, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    assertTold(await asked(made), [['Port', 'fail', /Another process listens/, /MOORING_PORT/]]);
    await new Promise((resolve) => taken.close(resolve));

    assertTold(await asked(made, { MOORING_SITES: `${made.sites}:/no/such/root` }), [
      ['Sites root', 'fail', /^\/no\/such\/root cannot be read/, /MOORING_SITES/],
    ]);

    const key = join(made.stateDir, 'secret.key');
    await rename(key, `${key}.away`);
    const keyless = await asked(made);
    assert.is(keyless.code, 1);
    assertTold(keyless, [['State directory', 'fail', /secret\.key is missing/, /Restore the key file/]]);
    await rename(`${key}.away`, key);

    const kept = (await readdir(made.stateDir)).filter((name) => name.startsWith('state.json'));
    await mkdir(join(made.dir, 'away'));
    for (const name of kept) await rename(join(made.stateDir, name), join(made.dir, 'away', name));
    assertTold(await asked(made), [
      ['State directory', 'fail', /its store is missing/, /put the state directory back/],
    ]);
    for (const name of kept) await rename(join(made.dir, 'away', name), join(made.stateDir, name));

    // Somebody else holds the state, and no daemon answers.
    const lock = takeLock(join(made.stateDir, 'lock'));
    const held = await run(['check'], { stateDir: made.stateDir, as, env: { MOORING_SITES: made.sites } });
    assert.is(held.code, 75);
    assert.match(held.stderr, 'Another process holds the state directory');
    lock.release();
    assert.is((await asked(made)).code, 0);
  });
});

test('before the first start: nothing is made', async () => {
  if (skipped()) return;
  await inHarbour(
    async (made) => {
      const stateDir = join(made.dir, 'fresh');
      const { code, stdout } = await run(['check'], { stateDir, as, env: { MOORING_SITES: made.sites } });
      assert.is(code, 0, stdout);
      assert.match(stdout.replace(/\s+/g, ' '), 'is not used yet');
      assert.match(stdout, 'the daemon is stopped: checked from this shell');
      // Only a path may be longer than a line.
      for (const line of stdout.split('\n')) assert.ok(line.length <= 80 || !line.slice(6).includes(' '), line);
      assert.is(await readFile(stateDir).catch(({ code: errno }: { code: string }) => errno), 'ENOENT');
    },
    { started: false, begin: 'nothing' },
  );
});

test.run();
