import { randomBytes } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { type Harbour, freePort, inHarbour } from '../support/daemon.ts';
import { filesOf, mooredSite, signedIn } from '../support/moored.ts';
import { type RealProxy, realProxies, startProxy } from '../support/real-proxies.ts';
import { until } from '../support/until.ts';

const proxies = suite('gitlab-depth/real-proxies');

const mebibyte = 1024 * 1024;
/** Of the large file, in MB. */
const most = process.env['MOORING_TEST_LONG'] === 'yes' ? 60 : 12;

/** The daemon and the practice GitLab behind one real proxy, each below a path of its own. */
async function behind(name: string, test: (harbour: Harbour, proxy: RealProxy) => Promise<void>): Promise<void> {
  const ports = { proxy: await freePort(), gitlab: await freePort(), mooring: await freePort() };
  const proxy = await startProxy(name, ports);
  if (!proxy) return console.log(`not run here: ${name} is not installed`);
  try {
    await inHarbour((harbour) => test(harbour, proxy), {
      behind: { port: ports.mooring, publicUrl: `${proxy.url}/mooring` },
      gitlab: { port: ports.gitlab, basePath: '/gitlab', externalUrl: `${proxy.url}/gitlab` },
      env: { MOORING_TRUSTED_PROXIES: '127.0.0.1' },
    });
  } finally {
    await proxy.close();
  }
}

for (const name of Object.keys(realProxies)) {
  proxies(`${name}: pages below a path, live events, webhooks, pushes of 3 and ${most} MB, a fetch of ${most} MB`, () =>
    behind(name, async (harbour, proxy) => {
      const clicker = await signedIn(harbour);
      assert.match(clicker.page.url, `${proxy.url}/mooring`);
      const { website } = harbour.world;
      const site = await mooredSite(harbour, { clicker });
      await site.settled();

      // Events come one by one: a proxy that gathered them would show nothing for minutes.
      const live = await fetch(`${harbour.url}/events`, { headers: { cookie: clicker.cookies(harbour.url) } });
      assert.match(live.headers.get('content-type') ?? '', 'text/event-stream');
      const reader = live.body?.getReader();
      let heard = '';
      void (async () => {
        for (let part = await reader?.read(); part?.value; part = await reader?.read())
          heard += Buffer.from(part.value).toString();
      })().catch(() => undefined);

      // GitLab's call arrives through the proxy, and is what brings the file.
      await website.push('main', { 'called.md': 'by webhook\n' });
      await until('the call brought it', async () => (await filesOf(site.folder)).has('called.md') || undefined);
      await until('the event is here', async () => heard.includes('data:') || undefined);
      await reader?.cancel();
      const { words } = await clicker.open(`${site.url}/settings/syncing`);
      assert.match(words, 'Working');

      const small = randomBytes(3 * mebibyte);
      await site.write('small.bin', small);
      if (name === 'nginx') {
        await site.reaches('On hold');
        const hold = await clicker.open(`${site.url}/hold`);
        assert.match(hold.words, 'client_max_body_size');
        await proxy.allow('0');
        await clicker.open(`${site.url}/hold`);
        await clicker.press('Push again');
      }
      const onGitlab = async (path: string, bytes: Buffer) =>
        (await website.files()).get(path)?.equals(bytes) || undefined;
      await until('3 MB are on GitLab', () => onGitlab('small.bin', small));
      const large = randomBytes(most * mebibyte);
      await site.write('large.bin', large);
      await until(`${most} MB are on GitLab`, () => onGitlab('large.bin', large));
      const fetched = randomBytes(most * mebibyte);
      await website.push('main', { 'fetched.bin': fetched });
      await until(
        `${most} MB are here`,
        async () => (await filesOf(site.folder)).get('fetched.bin')?.equals(fetched) || undefined,
      );
      await site.settled();
      assert.equal(harbour.gitlab.violations, []);
    }),
  );
}

proxies('a visitor’s sign-in goes by the address that the proxy tells', () =>
  behind('nginx', async (harbour) => {
    const stranger = createClicker();
    await stranger.open(`${harbour.url}/sign-in`);
    const page = await stranger.press('Sign in', { Name: 'Ana', Password: 'wrong-password-here' });
    assert.is(page.status, 401);
  }),
);

proxies.run();
