import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createPeerUid, listenOnSocket, socketPath, socketPathFault } from '../../src/socket.ts';
import { harbour, inHarbour, setpriv } from '../support/daemon.ts';
import { overSocket, rawOverSocket } from '../support/over-socket.ts';

const test = suite('the daemon’s own socket');
const isRoot = process.getuid?.() === 0;
const account = { begin: 'account' } as const;

test('whoever can open it is the operator; who cannot is refused by the file system', async () => {
  await inHarbour(async ({ stateDir, url }) => {
    const path = socketPath(stateDir);
    assert.is(statSync(path).mode & 0o777, 0o600);
    assert.is(statSync(join(stateDir, 'run')).mode & 0o777, 0o700);
    const { status, body } = await overSocket(path, 'GET', '/api/v1/sites');
    assert.is(status, 200, body);
    assert.equal(JSON.parse(body), { sites: [], next: null });
    const bare = await rawOverSocket(path, 'GET /api/v1/sites HTTP/1.1\r\nConnection: close\r\n\r\n');
    assert.match(bare, /^HTTP\/1\.1 200 /);

    // Nothing that can be sent over the network leads there.
    for (const headers of [
      { 'X-Operator': 'yes', 'X-Forwarded-For': 'unix', 'X-Forwarded-Host': 'mooring.sock' },
      { Authorization: 'Bearer command-line-command-line' },
    ]) {
      assert.is((await fetch(`${url}/api/v1/sites`, { headers })).status, 401);
    }
    // Pages are for browsers.
    assert.is((await overSocket(path, 'GET', '/account')).status, 404);
  }, account);
});

test('other users cannot connect', async () => {
  if (!isRoot) return console.log('not run here: becoming another user needs root');
  const as = { uid: 1500, gid: 1500 };
  await inHarbour(
    async ({ stateDir }) => {
      const path = socketPath(stateDir);
      const ask = (who: readonly string[]) => {
        const program = `
          const { request } = require('node:http');
          const asked = request({ socketPath: ${JSON.stringify(path)}, path: '/api/v1/sites' }, (answer) =>
            answer.on('data', () => {}).on('end', () => console.log(answer.statusCode)));
          asked.on('error', (error) => console.log(error.code)).end();`;
        const [command = '', ...args] = [...who, process.execPath, '-e', program];
        return spawnSync(command, args, { encoding: 'utf8', timeout: 60_000 }).stdout.trim();
      };
      assert.is(ask(setpriv(as)), '200');
      assert.is(ask(setpriv({ uid: 33, gid: 33 })), 'EACCES');
      assert.is(ask(setpriv({ uid: 33, gid: 1500 })), 'EACCES', 'the group has no part in it');
    },
    { ...account, as },
  );
});

test('a socket that a killed daemon left is replaced, and a stopped one leaves none', async () => {
  const made = await harbour(account);
  const path = socketPath(made.stateDir);
  try {
    await made.kill();
    assert.ok(existsSync(path), 'nobody could remove it');
    await made.start();
    assert.is((await overSocket(path, 'GET', '/api/v1/sites')).status, 200);
    assert.is(await made.stop(), 0);
    assert.not.ok(existsSync(path));
  } finally {
    await made.close();
  }
});

test('what somebody else listens on, or put there, is not touched', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-socket-'));
  const path = socketPath(dir);
  const handler = (): void => {};
  try {
    const uidOf = createPeerUid();
    const theirs = await listenOnSocket(path, (asked, answer) => answer.end(`uid ${uidOf(asked.socket)}`));
    await assertProblem(listenOnSocket(path, handler), 'state-in-use');
    assert.is((await overSocket(path, 'GET', '/')).body, `uid ${process.getuid?.()}`, 'as the kernel says');
    await new Promise((resolve) => theirs.close(resolve));

    await writeFile(path, 'notes');
    await assertProblem(listenOnSocket(path, handler), 'config-invalid');
    await rm(join(dir, 'run'), { recursive: true });
    await writeFile(join(dir, 'run'), '');
    await assertProblem(listenOnSocket(path, handler), 'config-invalid');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

async function assertProblem(work: Promise<unknown>, code: string): Promise<void> {
  const outcome = await work.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );
  assert.is(outcome, code);
}

test('a path that is too long for a socket is told, and everything else works', async () => {
  assert.is(socketPathFault(`/${'x'.repeat(106)}`), undefined);
  assert.match(socketPathFault(`/${'ä'.repeat(54)}`) ?? '', 'has 109 bytes, and the system allows 107');
  const dir = await mkdtemp(join(tmpdir(), 'mooring-long-'));
  const stateDir = join(dir, 's'.repeat(100));
  await mkdir(stateDir, { mode: 0o700 });
  // It is empty, so the daemon starts as on its first day.
  const made = await harbour({ begin: 'nothing', env: { MOORING_STATE: stateDir } });
  try {
    assert.match(made.output(), 'The command line cannot reach this daemon');
    assert.match(made.output(), 'Choose a shorter MOORING_STATE');
    assert.not.ok(existsSync(join(stateDir, 'run')));
  } finally {
    await made.close();
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
