import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { pointerText } from '../../src/model/lfs.ts';
import { makeCertificates } from '../net/certificates.ts';
import type { Fill } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, type HarbourOptions, freePort, inHarbourWithoutGitLab } from '../support/daemon.ts';
import { demandingGateway } from '../support/demanding-gateway.ts';
import { demandingProxy } from '../support/demanding-proxy.ts';
import { configured, filesOf, mooredSite, signedIn } from '../support/moored.ts';

const instances = suite('gitlab-depth/instances');

/** The whole click-through and both directions; every kind of request must have come. */
async function throughAndBoth(harbour: Harbour, advanced: Fill = {}): Promise<void> {
  const { gitlab, application, world } = harbour;
  const clicker = await signedIn(harbour);
  await clicker.open(`${harbour.url}/account/gitlab`);
  await clicker.press('Configure Self Hosted GitLab', {
    ...{ 'GitLab URL': gitlab.url, 'Application ID (key)': application.applicationId, Secret: application.secret },
    ...advanced,
  });
  await configured(harbour, clicker);
  const site = await mooredSite(harbour, { clicker, files: { 'old.txt': 'replaced by the repository\n' } });
  await site.settled();
  await clicker.open(`${site.url}/settings/files`);
  await clicker.press('Save', { 'Download and upload them': true });
  await site.write('from-folder.md', 'up\n');
  await until('the edit is on GitLab', async () => (await world.website.files()).has('from-folder.md') || undefined);
  await world.website.push('main', { 'from-gitlab.md': 'down\n' });
  await until('the push is here', async () => (await filesOf(site.folder)).has('from-gitlab.md') || undefined);
  const large = randomBytes(50_000);
  const pointer = pointerText({ sha: createHash('sha256').update(large).digest('hex'), size: large.length });
  world.website.lfs.set(createHash('sha256').update(large).digest('hex'), large);
  await world.website.push('main', { '.gitattributes': '*.bin filter=lfs\n', 'down.bin': pointer });
  await until(
    'a large file is here',
    async () => (await filesOf(site.folder)).get('down.bin')?.equals(large) || undefined,
  );
  await site.write('up.bin', large);
  await until(
    'a large file is on GitLab',
    async () => (await world.website.files()).get('up.bin')?.toString() === pointer || undefined,
  );
  await site.reaches('In sync');
  const asked = gitlab.requests
    .filter(({ headers }) => !/Mozilla|node/.test(headers['user-agent'] ?? ''))
    .map(({ path }) => path);
  const base = new URL(gitlab.url).pathname.replace(/\/$/, '');
  const kinds = ['/oauth/token', '/api/v4/projects', '/git-upload-pack', '/git-receive-pack', '/gitlab-lfs/objects/'];
  for (const kind of kinds)
    assert.ok(
      asked.some((path) => path.startsWith(base) && path.includes(kind)),
      kind,
    );
  await clicker.open(`${harbour.url}/account/gitlab`);
  const tested = await clicker.press('Test connection');
  assert.not.match(tested.words, 'failed', 'Test connection');
  assert.equal(gitlab.violations, []);
}

async function secured() {
  const { ca, good } = makeCertificates();
  // The browser trusts the house's authority; the daemon is a process of its own and does not.
  setDefaultCACertificates([...getCACertificates('default'), ca]);
  const port = await freePort();
  const gitlab = { port, tls: good, externalUrl: `https://localhost:${port}` };
  return { ca, options: { gitlab } satisfies HarbourOptions };
}

instances('a private authority: refused with the reason without its certificate, all ways work with it', async () => {
  const { ca, options } = await secured();
  await inHarbourWithoutGitLab(async (harbour) => {
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    await clicker.open(`${harbour.url}/account/gitlab`);
    const { words } = await clicker.press('Test connection');
    assert.match(words, 'Practice Authority');
    assert.match(words, 'which is not trusted here');
    await throughAndBoth(harbour, { 'CA certificate': ca });
  }, options);
});

instances('below a sub-path: every way keeps it', () =>
  inHarbourWithoutGitLab((harbour) => throughAndBoth(harbour), { gitlab: { basePath: '/gitlab' } }),
);

instances('a private authority, an odd port and a sub-path at once', async () => {
  const { ca, options } = await secured();
  const url = `${options.gitlab.externalUrl}/dev/gitlab`;
  await inHarbourWithoutGitLab((harbour) => throughAndBoth(harbour, { 'CA certificate': ca }), {
    gitlab: { ...options.gitlab, basePath: '/dev/gitlab', externalUrl: url },
  });
});

instances('behind a gateway that demands a header, in TLS of the house, below a sub-path', async () => {
  const { ca, good } = makeCertificates();
  setDefaultCACertificates([...getCACertificates('default'), ca]);
  const port = await freePort();
  const gateway = await demandingGateway({ tls: good, header: ['X-House', 'harbour-7'], behind: () => port });
  try {
    await inHarbourWithoutGitLab(
      async (harbour) => {
        const without = { 'CA certificate': ca };
        const clicker = await signedIn(harbour);
        await configured(harbour, clicker);
        await clicker.open(`${harbour.url}/account/gitlab`);
        await clicker.press('Configure Self Hosted GitLab', { Secret: harbour.application.secret, ...without });
        const { words } = await clicker.press('Test connection');
        assert.match(words, 'asks for a sign-in of its own');
        assert.ok(gateway.refused.length > 0);
        gateway.refused.length = 0;
        await throughAndBoth(harbour, { ...without, 'Extra request headers': 'X-House: harbour-7' });
        assert.equal(gateway.refused, []);
        assert.ok(gateway.passed.some((path) => path.includes('/gitlab-lfs/objects/')));
      },
      { gitlab: { port, basePath: '/gitlab', externalUrl: `${gateway.url}/gitlab` } },
    );
  } finally {
    await gateway.close();
  }
});

instances('a gateway that asks for a client certificate: named without one; with it, all ways work', async () => {
  const { ca, good, client } = makeCertificates();
  setDefaultCACertificates([...getCACertificates('default'), ca]);
  const port = await freePort();
  const gateway = await demandingGateway({ tls: good, clientCa: ca, behind: () => port });
  try {
    await inHarbourWithoutGitLab(
      async (harbour) => {
        const clicker = await signedIn(harbour);
        await configured(harbour, clicker);
        await clicker.open(`${harbour.url}/account/gitlab`);
        await clicker.press('Configure Self Hosted GitLab', {
          ...{ Secret: harbour.application.secret, 'CA certificate': ca },
        });
        const { words } = await clicker.press('Test connection');
        assert.match(words, 'asks callers for a client certificate');
        gateway.refused.length = 0;
        const shown = { 'Client certificate': client.cert, 'Key of the client certificate': client.key };
        await throughAndBoth(harbour, { 'CA certificate': ca, ...shown });
        assert.equal(gateway.refused, []);
        // The key is nowhere to be read: not on the page, not in the state, not in a file for git.
        const page = await clicker.open(`${harbour.url}/account/gitlab`);
        const body = client.key.split('\n')[1] ?? '';
        assert.ok(page.html.includes(client.cert.split('\n')[1] ?? '-') && !page.html.includes(body));
        for (const file of await readdir(harbour.stateDir))
          if (/\.(json|pem|key)$/.test(file))
            assert.not.match(await readFile(join(harbour.stateDir, file), 'utf8'), body);
      },
      { gitlab: { port, basePath: '/gitlab', externalUrl: `${gateway.url}/gitlab` } },
    );
  } finally {
    await gateway.close();
  }
});

instances('a proxy that demands a password and a header: nothing goes past it, nothing goes without', async () => {
  const proxy = await demandingProxy({ user: 'house', password: 'tide', header: ['X-House', 'harbour-7'] });
  const port = await freePort();
  try {
    await inHarbourWithoutGitLab(
      async (harbour) => {
        await throughAndBoth(harbour, { Proxy: proxy.url, 'Extra request headers': 'X-House: harbour-7' });
        const ours = harbour.gitlab.requests.filter(({ headers }) => headers['x-house'] === 'harbour-7');
        const kinds = (path: string): boolean =>
          /\/(oauth\/token|api\/v4|git-(upload|receive)-pack|gitlab-lfs|info\/lfs)/.test(path);
        const past = harbour.gitlab.requests.filter(
          ({ path, headers }) => kinds(path) && headers['x-house'] === undefined,
        );
        assert.equal(
          past.map(({ path }) => path),
          [],
        );
        assert.is(proxy.passed.length, ours.length);
        assert.not.match(harbour.output(), 'tide');
      },
      { gitlab: { port, externalUrl: `http://localhost:${port}` } },
    );
  } finally {
    await proxy.close();
  }
});

instances('a proxy that is not for GitLab’s host: nothing of OAuth, REST, git and LFS goes through it', async () => {
  const proxy = await demandingProxy({ user: 'house', password: 'tide' });
  const port = await freePort();
  const { origin } = new URL(proxy.url);
  try {
    await inHarbourWithoutGitLab(
      async (harbour) => {
        await throughAndBoth(harbour, { Proxy: origin, 'No proxy for': 'storage.example, localhost' });
        assert.equal([proxy.passed, proxy.refused], [[], []]);
        const clicker = await signedIn(harbour);
        await clicker.open(`${harbour.url}/account/gitlab`);
        const wrong = await clicker.press('Configure Self Hosted GitLab', { 'No proxy for': 'http://gitlab.example' });
        assert.match(wrong.words, 'is no name, address or network');
      },
      { gitlab: { port, externalUrl: `http://localhost:${port}` } },
    );
  } finally {
    await proxy.close();
  }
});

instances('TLS through a proxy by CONNECT, with a password and a private authority', async () => {
  const { ca, options } = await secured();
  const proxy = await demandingProxy({ user: 'house', password: 'tide' });
  try {
    await inHarbourWithoutGitLab(async (harbour) => {
      await throughAndBoth(harbour, { Proxy: proxy.url, 'CA certificate': ca });
      assert.ok(proxy.passed.length > 0 && proxy.passed.every((one) => one.startsWith('CONNECT localhost:')));
    }, options);
  } finally {
    await proxy.close();
  }
});

instances('the other scopes, read_api write_repository: no webhook is asked for, both directions work by looking', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const clicker = await signedIn(harbour);
    await clicker.open(`${harbour.url}/account/gitlab`);
    const { application, gitlab, world } = harbour;
    const fill = { 'GitLab URL': gitlab.url, 'Application ID (key)': application.applicationId };
    const sent = clicker.request('Configure Self Hosted GitLab', { ...fill, Secret: application.secret });
    sent.fields.set('scopes', 'read_api write_repository');
    await clicker.send(sent);
    const site = await mooredSite(harbour, { clicker });
    await site.settled();
    const page = await clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'The connection has no api scope');
    assert.is(world.website.hooks.length, 0);
    await site.write('up.md', 'up\n');
    await until('up', async () => (await world.website.files()).has('up.md') || undefined);
    await world.website.push('main', { 'down.md': 'down\n' });
    await clicker.open(site.url);
    await clicker.press('Sync now');
    await site.settled();
    const authorise = gitlab.requests.find(({ path }) => path.endsWith('/oauth/authorize'));
    assert.match(authorise?.url ?? '', 'scope=read_api+write_repository');
  }),
);

instances.run();
