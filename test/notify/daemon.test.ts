import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { until } from '../support/until.ts';
import { admin, freePort, inProcess, practice } from '../support/daemon.ts';
import { headerOf, mailServer } from '../support/mail-server.ts';
import { mooredSite } from '../support/moored.ts';

const test = suite('notifications of the daemon');

/** A receiver that keeps what is posted to it. */
async function receiver() {
  const got: { key: string; body: { subject: string; incidents: { state: string; sites: { link: string }[] }[] } }[] =
    [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as (typeof got)[number]['body'];
      got.push({ key: String(request.headers['x-room-key']), body });
      response.end('ok');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/hooks/room-4417`, got, close: () => server.close() };
}

test('set up by the page, a hold is mailed and posted once, over a restart; its end too; the page shows both', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-e2e-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const mail = await mailServer();
  const hook = await receiver();
  const { gitlab, world, application } = await practice(`${url}/oauth/callback`);
  const env = {
    MOORING_SMTP_URL: `smtp://127.0.0.1:${mail.port}`,
    MOORING_MAIL_FROM: 'Mooring <mooring@example.org>',
    MOORING_MAIL_TO: 'web@example.org, ops@example.org',
  };
  const start = async () => {
    const { stop, sites } = await inProcess(
      { dir, port, env, gitlab: { server: gitlab, world, application } },
      { noticesMs: 50 },
    );
    let stopped: Promise<void> | undefined;
    return { sites, stop: () => (stopped ??= stop()) };
  };
  let daemon = await start();
  try {
    const site = await mooredSite(
      { url, sites: daemon.sites, gitlab, world, application, admin },
      { files: Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}.md`, `page ${i}\n`])) },
    );
    const { clicker } = site;
    await site.settled();

    const page = await clicker.open(`${url}/account/notifications`);
    assert.match(page.words, 'To web@example.org, ops@example.org');
    assert.match(page.words, 'Set up a webhook');
    const saved = await clicker.press('Save webhook', {
      Address: hook.url,
      'Secret header': 'X-Room-Key',
      'Its value': 'key-of-the-room-4417',
    });
    assert.match(saved.words, 'The webhook is saved');
    assert.match((await clicker.press('Send a test by e-mail')).words, 'A test went out by e-mail');
    assert.match((await clicker.press('Send a test to the webhook')).words, 'It answered 200 and says “ok”');
    assert.is(headerOf(mail.letters[0]!, 'Subject'), 'Mooring: Test message');
    assert.is(hook.got[0]?.key, 'key-of-the-room-4417');

    await site.project.deleteBranch('main');
    const told = 'Mooring: Harbour is on hold: The branch no longer exists in GitLab';
    await until('both are told', () => mail.letters.length > 1 && hook.got.length > 1);
    assert.is(headerOf(mail.letters[1]!, 'Subject'), told);
    assert.match(
      mail.letters[1]?.body ?? '',
      `Site Harbour, repository ${site.project.path}, branch main:\n${site.url}\n`,
    );
    assert.match(mail.letters[1]?.body ?? '', '“Create the branch again”');
    assert.is(hook.got[1]?.body.incidents[0]?.sites[0]?.link, site.url);

    await daemon.stop();
    daemon = await start();
    await site.reaches('On hold');
    await clicker.open(`${site.url}/hold`);
    await clicker.press('Create the branch again');
    await site.settled();
    await until('both hear of the end', () => mail.letters.length > 2 && hook.got.length > 2);
    assert.is(headerOf(mail.letters[2]!, 'Subject'), told.replace(': ', ': Resolved: '));
    assert.is(hook.got[2]?.body.incidents[0]?.state, 'over');
    assert.is(mail.letters.length, 3);
    assert.is(hook.got.length, 3);

    const after = await clicker.open(`${url}/account/notifications`);
    assert.match(after.words, 'Resolved: Harbour is on hold');
    assert.not.match(after.html, 'key-of-the-room');
    await daemon.stop();
    const kept = join(dir, 'state');
    for (const name of (await readdir(kept)).filter((one) => one.startsWith('notify.json')))
      assert.not.match(await readFile(join(kept, name), 'utf8'), /room-4417/, name);
  } finally {
    await daemon.stop();
    await mail.close();
    hook.close();
    await gitlab.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
