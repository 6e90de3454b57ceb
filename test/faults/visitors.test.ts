import { type Socket, connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { addSite, authorised, makeFolder, mooredSite, signedIn } from '../support/moored.ts';

/** The whole daemon, and people who mean it no good. */
const visitors = suite('visitors');

interface Door {
  /** One try to sign in, from an address that a trusted proxy names. */
  knock(name: string, password: string, address: string): Promise<{ status: number; said: string }>;
}

async function door({ url }: Harbour): Promise<Door> {
  const page = await fetch(`${url}/sign-in`);
  const cookie = page.headers
    .getSetCookie()
    .map((line) => line.split(';')[0])
    .join('; ');
  const token = /name="token" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
  assert.ok(token);
  return {
    async knock(name, password, address) {
      const answer = await fetch(`${url}/sign-in`, {
        method: 'POST',
        redirect: 'manual',
        headers: { cookie, origin: url, 'x-forwarded-for': address },
        body: new URLSearchParams({ token, name, password }),
      });
      const html = await answer.text();
      const said = html
        .replace(/<script[\s\S]*?<\/script>/g, '')
        .replace(/<[^>]+>/g, ' ')
        .replace(/\s+/g, ' ');
      return { status: answer.status, said: said.replace(/\d+/g, 'N').replaceAll(name, 'NAME') };
    },
  };
}

visitors('S16: a thousand tries from twenty addresses are slowed down, and the admin still gets in', () =>
  inHarbour(
    async (harbour) => {
      const { admin } = harbour;
      const { knock } = await door(harbour);
      const addresses = Array.from({ length: 20 }, (_, i) => `203.0.113.${i + 1}`);
      const counts: Record<number, number> = {};
      for (let round = 0; round < 50; round += 1) {
        const answers = await Promise.all(addresses.map((address) => knock(admin.name, `guess ${round}`, address)));
        for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
      }
      assert.is((counts[401] ?? 0) + (counts[429] ?? 0), 1_000, JSON.stringify(counts));
      // Five free tries of one account from one address, then waits that double.
      assert.ok((counts[401] ?? 0) <= 20 * 8, JSON.stringify(counts));
      process.stdout.write(`\nnote: answers to 1,000 tries by status: ${JSON.stringify(counts)}\n`);
      assert.is((await knock(admin.name, admin.password, '203.0.113.1')).status, 429, 'that address waits');
      assert.is((await knock(admin.name, admin.password, '198.51.100.7')).status, 303, 'the admin is locked out');
      // Somebody who is not there is answered in the same words, and waits the same.
      for (const [i, status] of [401, 401, 401, 401, 401, 429].entries()) {
        const nobody = await knock('nobody-of-that-name', 'guess', '198.51.100.8');
        assert.is(nobody.status, status, `try ${i}`);
      }
      const known = await knock(admin.name, 'guess', '198.51.100.9');
      const unknown = await knock('another-nobody', 'guess', '198.51.100.10');
      assert.equal(unknown, known);
    },
    { env: { MOORING_TRUSTED_PROXIES: '127.0.0.1' } },
  ),
);

visitors('S21: two admins: nobody uses the other’s grant, and a removed one takes theirs along: the site is held', () =>
  inHarbour(async (harbour) => {
    const { url, world, gitlab, sites } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    const mine = site.clicker;
    await mine.open(`${url}/account/admins`);
    await mine.press('Add account', { Name: 'Ben', 'First password': 'moor-the-boats-too', Admin: true });
    const ben = createClicker();
    await ben.open(`${url}/sign-in`);
    await ben.press('Sign in', { Name: 'Ben', Password: 'moor-the-boats-too' });
    const folder = await makeFolder(sites, 'bens', {});
    const at = (await addSite(harbour, ben, 'Bens', folder)).url.replace(/\/[^/]*$/, '');
    // Without a grant of his own there is no list to choose from, whatever is in the address.
    const asked = await ben.open(`${at}/repository?project=${world.website.id}`);
    assert.not.match(asked.words, 'harbour/website');
    await ben.open(at);
    await authorised(harbour, ben, 'lena');
    const swapped = await ben.open(`${at}/repository?project=${world.gardens.id}`);
    assert.not.match(swapped.words, 'parks/gardens-site');
    const sent = await ben.open(`${at}/repository`).then(() => gitlab.requests.length);
    assert.ok(sent > 0);
    // The confirmation too asks GitLab as him.
    const page = await ben.open(`${at}/confirm?project=${world.gardens.id}&branch=main&direction=replace`);
    assert.is.not(page.status, 200);
    assert.not.match(page.words, 'Connect Self Hosted GitLab');
    // Ana is removed: her sessions and her grant go with her.
    await ben.open(`${url}/account/admins`);
    const remove = [...ben.page.html.matchAll(/href="([^"]*\/admins\/[^"]+\/remove)"/g)].map(([, href = '']) => href);
    assert.is(remove.length, 2);
    for (const href of remove) {
      const question = await ben.open(new URL(href, url).href);
      if (!question.words.includes(harbour.admin.name)) continue;
      assert.match((await ben.press('Remove account')).words, 'is removed');
    }
    await mine.open(`${url}/`);
    assert.match(mine.page.heading, 'Sign in');
    const head = await site.project.head();
    await until('the site is held', async () => (await ben.open(site.url)).state === 'On hold' || undefined);
    gitlab.requests.length = 0;
    await site.write('after.txt', 'after she left\n');
    await until('it is seen', async () => (await ben.open(site.url)).words.length > 0);
    await sleep(1_500);
    assert.is(await site.project.head(), head);
    const withToken = gitlab.requests.filter(({ path }) => path.includes('/git-') || path.includes('/api/'));
    assert.equal(
      withToken.map(({ path }) => path),
      [],
      'her token was used',
    );
    // Another admin takes the site on.
    await ben.open(`${site.url}/hold`);
    await ben.press('Reconnect');
    await until('the edit arrives', async () => (await site.project.files()).has('after.txt'));
  }),
);

/** A kept connection may be closed just as it is used again: a browser asks a second time too. */
function persistently(address: string, request: RequestInit = {}): Promise<Response> {
  return fetch(address, request).catch(() => fetch(address, request));
}

/** A connection of one's own, and what it was told. */
function dial(port: number): Socket & { told(): string } {
  const chunks: Buffer[] = [];
  const socket = connect(port, '127.0.0.1');
  socket.on('data', (chunk) => chunks.push(chunk)).on('error', () => {});
  return Object.assign(socket, { told: () => Buffer.concat(chunks).toString('latin1') });
}

visitors(
  'S22: slow headers, endless and deep bodies, odd fields: each is turned down, and everybody else is served',
  () =>
    inHarbour(async (harbour) => {
      const { url, port } = harbour;
      const pid = harbour.daemon?.pid ?? 0;
      const before = memory(pid);
      // Headers that come a byte at a time, and a body that never does.
      const slow = Array.from({ length: 50 }, (_, i) => {
        const socket = dial(port);
        const head =
          i % 2 ? 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ' : 'POST /sign-in HTTP/1.1\r\nHost: x\r\nContent-Le';
        socket.write(head);
        const drip = setInterval(() => socket.writable && socket.write('a'), 1_000);
        socket.once('close', () => clearInterval(drip));
        return socket;
      });
      let longestMs = 0;
      let done = false;
      const looking = (async () => {
        while (!done) {
          const began = performance.now();
          assert.ok((await persistently(`${url}/healthz`)).ok);
          longestMs = Math.max(longestMs, performance.now() - began);
          await sleep(20);
        }
      })();
      // Awaited below; until then its failure must not end the process.
      looking.catch(() => {});
      for (const path of ['/sign-in', '/hooks/gitlab/none', '/hooks/gitlab'])
        assert.ok((await gibibyte(port, path)) < 64 * 1024 * 1024, `${path} took it all`);
      for (const path of ['/sign-in', '/hooks/gitlab/none']) {
        const deep = await persistently(url + path, {
          method: 'POST',
          headers: { 'content-type': 'application/json', origin: url },
          body: '['.repeat(100_000),
        });
        assert.ok([400, 401, 403, 404, 413, 422].includes(deep.status), `${path}: ${deep.status}`);
      }
      const nested = `a${'[a]'.repeat(20_000)}=1`;
      for (const body of [
        nested,
        '__proto__[state]=x&constructor[prototype][x]=1&name=a&password=b',
        'name=a&name=b',
      ]) {
        const answer = await persistently(`${url}/sign-in`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-www-form-urlencoded', origin: url },
          body,
        });
        assert.ok([400, 403, 413, 422].includes(answer.status), `${body.slice(0, 30)}: ${answer.status}`);
      }
      // Signed in, with a good token, and the same odd fields beside and instead of the good ones.
      const { clicker, token, cookie } = await anaWithToken(harbour);
      const odd = await persistently(`${url}/sites/add`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', origin: url, cookie },
        body: `token=${token}&__proto__[name]=x&name=a&name=b&folder[]=c&folder[x]=d`,
      });
      assert.is(odd.status, 422);
      assert.is((await clicker.open(`${url}/sites/add`)).status, 200);
      assert.not.match(harbour.output(), '"level":50');
      await until('the slow ones are sent away', () => slow.every((socket) => socket.destroyed) || undefined);
      done = true;
      await looking;
      const grownMb = (memory(pid) - before) / 1024;
      process.stdout.write(
        `\nnote: longest answer meanwhile ${Math.round(longestMs)} ms; memory grew by ${Math.round(grownMb)} MiB\n`,
      );
      assert.ok(longestMs < 5_000, 'the event loop stood still');
      assert.ok(grownMb < 200);
      for (const socket of slow) socket.destroy();
    }),
);

async function anaWithToken(harbour: Harbour) {
  const clicker = await signedIn(harbour);
  const page = await clicker.open(`${harbour.url}/sites/add`);
  const token = /name="token" value="([^"]+)"/.exec(page.html)?.[1] ?? '';
  return { clicker, token, cookie: clicker.cookies(harbour.url) };
}

/** KiB in memory now. */
function memory(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

/** Announces and sends a GiB. How many bytes were taken before the answer or the end. */
async function gibibyte(port: number, path: string): Promise<number> {
  const socket = dial(port);
  const total = 2 ** 30;
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: x\r\nOrigin: http://127.0.0.1:${port}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${total}\r\n\r\n`,
  );
  const chunk = Buffer.alloc(256 * 1024, 'a');
  for (let sent = 0; sent < total && !socket.destroyed && socket.told() === ''; sent += chunk.length) {
    if (socket.write(chunk)) await sleep(0);
    else
      await Promise.race([new Promise((resolve) => socket.once('drain', resolve).once('close', resolve)), sleep(500)]);
  }
  await sleep(50);
  const { bytesWritten } = socket;
  const status = /^HTTP\/1\.1 (\d+)/.exec(socket.told())?.[1];
  socket.destroy();
  assert.ok(status === undefined || /^4/.test(status), `${path}: ${status}`);
  return bytesWritten - socket.writableLength;
}

visitors.run();
