import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createConnection } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { socketPath } from '../../src/socket.ts';
import { run } from '../support/command.ts';
import { inHarbour } from '../support/daemon.ts';
import { filesOf, mooredSite, sameFiles } from '../support/moored.ts';
import { until } from '../support/until.ts';

const test = suite('SIGTERM under load');

/** What a service manager waits before it kills. */
const patienceMs = 10_000;

test('it ends in time, whoever waits is told so, and nothing is lost', () =>
  inHarbour(async (made) => {
    const site = await mooredSite(made, { files: { 'a.txt': 'a\n' } });
    await site.settled();
    const path = socketPath(made.stateDir);

    // GitLab takes the push and does not answer.
    const stuck = made.gitlab.faults.add({ match: ({ url }) => url.includes('git-receive-pack'), delayMs: 120_000 });
    await site.write('edited.txt', 'edited before the end\n');
    await until('the push is under way', async () => (await site.clicker.open(site.url)).state === 'Syncing');

    // A reader of events, on each way in.
    const streams = ['socket', 'network'].map(async (way) => {
      const to = way === 'socket' ? { socketPath: path, path: '/api/v1/events' } : {};
      const url = new URL(made.url);
      const asked = request({ host: url.hostname, port: url.port, path: '/healthz', agent: false, ...to }).end();
      const [answer] = (await once(asked, 'response')) as [IncomingMessage];
      answer.on('error', () => {});
      answer.resume();
      await new Promise((resolve) => answer.once('close', resolve));
    });
    // Somebody who waits for a sync, and one who looks on.
    const waiting = run(['sync', 'Harbour', '--wait', '--timeout', '600'], { stateDir: made.stateDir });
    const following = run(['log', 'Harbour', '--follow'], { stateDir: made.stateDir });
    // Requests that never come to their end: half a head, half a body, and a connection that says nothing.
    const { port } = made;
    const halves = [
      'GET / HTTP/1.1\r\nHost: x\r\n',
      'POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nname=',
      '',
    ].map(async (text) => {
      const socket = createConnection(port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(text);
      // What is not read keeps the end from coming.
      socket.resume();
      return new Promise((resolve) => socket.once('close', resolve));
    });
    // And a program that asks without a pause.
    let asks = true;
    const storm = (async () => {
      let asked = 0;
      for (; asks; asked += 1) await fetch(`${made.url}/healthz`).catch(() => {});
      return asked;
    })();
    await until(
      'the wait has been asked for',
      async () => (await site.clicker.open(`${made.url}/activity`)).words.includes('command line (uid') || undefined,
    );

    const began = performance.now();
    const stopped = made.stop();
    // Somebody saves while it is stopping.
    await site.write('late.txt', 'saved while it was stopping\n');
    assert.is(await stopped, 0, made.output().slice(-2_000));
    const took = performance.now() - began;
    assert.ok(took < patienceMs, `it took ${Math.round(took)} ms`);
    asks = false;
    assert.ok((await storm) > 0);

    const ended = await waiting;
    assert.is(ended.code, 75, ended.stderr);
    assert.match(`${ended.stdout}${ended.stderr}`, /is not synced yet|Try again/);
    assert.ok([69, 75].includes((await following).code ?? -1));
    await Promise.all([...streams, ...halves]);

    stuck();
    await made.start();
    await site.settled();
    const onBranch = await site.project.files();
    assert.is(onBranch.get('edited.txt')?.toString(), 'edited before the end\n');
    assert.is(onBranch.get('late.txt')?.toString(), 'saved while it was stopping\n');
    assert.ok(sameFiles(await filesOf(site.folder), onBranch));
  }));

test.run();
