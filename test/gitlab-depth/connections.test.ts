import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Clicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, admin, freePort, inHarbourWithoutGitLab, inProcess, practice } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import { Level, type Project, type SeenRequest } from '../support/gitlab/server.ts';
import { addSite, authorised, configured, filesOf, makeFolder, mooredSite, signedIn } from '../support/moored.ts';

const connections = suite('gitlab-depth/connections');

/** A site that is connected with an access token, by its pages. Gives the site's address. */
async function tokenSite(
  harbour: Harbour,
  clicker: Clicker,
  { name, token, project = harbour.world.website }: { name: string; token: string; project?: Project },
): Promise<{ url: string; folder: string }> {
  const folder = await makeFolder(harbour.sites, name.toLowerCase(), {});
  const { url } = await addSite(harbour, clicker, name, folder);
  await clicker.follow('Use an access token');
  await clicker.press('Use this token', { 'Access token': token });
  await clicker.press('Search', { 'Search repositories': project.path.slice(project.path.lastIndexOf('/') + 1) });
  await clicker.press('Choose branch', { [project.path]: true });
  await clicker.press('Continue');
  const page = await clicker.press('Connect Self Hosted GitLab');
  assert.match(page.words, `${name} is connected`);
  return { url: url.replace('/settings/syncing', ''), folder };
}

const reaches = (clicker: Clicker, url: string, state: string): Promise<unknown> =>
  until(`${url} says ${state}`, async () => {
    const page = await clicker.open(url);
    if (page.state === state) return true;
    if (page.words.includes('Sync now')) await clicker.press('Sync now');
    return undefined;
  });

/** The GitLab users whose tokens lie in the store. */
async function kept({ stateDir }: Harbour): Promise<string[]> {
  const text = await readFile(join(stateDir, 'instance.json'), 'utf8');
  return [...text.matchAll(/"username":\s*"([^"]+)"/g)].map(([, username = '']) => username);
}

connections('an access token serves the site it was entered for; the account’s own grant stays its own', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, world, url } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    gitlab.projects.addMember(world.website, 'piet', Level.maintainer);
    const one = await tokenSite(harbour, clicker, { name: 'One', token: gitlab.tokens.add('piet', ['api']) });
    const first = await clicker.open(`${one.url}/settings/syncing`);
    assert.match(first.words, 'An access token that you entered.');
    assert.not.match(first.words, 'Your own connection.');

    // The next site begins at GitLab, as the person, not as the token's user.
    const { url: two } = await addSite(harbour, clicker, 'Two', await makeFolder(harbour.sites, 'two', {}));
    assert.not.match(clicker.page.words, 'You are connected as');
    assert.match(clicker.page.words, 'Use an access token');
    await authorised(harbour, clicker, 'ana');
    assert.match(clicker.page.words, '@ana');
    await clicker.open(two);
    assert.match(clicker.page.words, /You are connected as Ana[^@]*@ana/);
    assert.match(clicker.page.words, 'Use an access token');

    // A token of the same person is another connection: the grant's sites keep the grant.
    const gardens = await mooredSite(harbour, { clicker, name: 'Gardens', project: world.gardens });
    const own = gitlab.tokens.add('ana', ['read_api', 'write_repository'], Date.now() + 20 * 86_400_000);
    await clicker.open(two);
    await clicker.follow('Use an access token');
    await clicker.press('Use this token', { 'Access token': own });
    const shown = await clicker.open(`${gardens.url}/settings/syncing`);
    assert.match(shown.words, 'Good, renewed');
    assert.match(shown.words, 'Your own connection.');
    assert.not.match(shown.words, 'Access token, ends');

    // Another admin reads whose token it is.
    await clicker.open(`${url}/account/admins`);
    await clicker.press('Add account', { Name: 'Lena', 'First password': 'lena-moors-it-too', Admin: true });
    const lena = await signedIn({ url, admin: { name: 'Lena', password: 'lena-moors-it-too' } });
    const page = await lena.open(`${one.url}/settings/syncing`);
    assert.match(page.words, 'An access token that Ana entered.');
    assert.not.match(page.words, 'who authorised Mooring');
  }),
);

connections('a token that cannot do what the site needs is refused, and not kept', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    gitlab.projects.addMember(world.website, 'piet', Level.none);
    await site.clicker.open(`${site.url}/settings/syncing`);
    await site.clicker.follow('Use an access token');
    await site.clicker.press('Use this token', { 'Access token': gitlab.tokens.add('piet', ['api']) });
    assert.match(site.clicker.page.words, 'was not found in GitLab');
    assert.equal(await kept(harbour), ['ana']);
    const page = await site.clicker.open(`${site.url}/settings/syncing`);
    assert.match(page.words, 'Your own connection.');
    await site.write('goes-on.md', 'g\n');
    await site.settled();
  }),
);

connections('the picker of an access token is the account’s own that entered it', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, url, world } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    await addSite(harbour, clicker, 'One', await makeFolder(harbour.sites, 'one', {}));
    await clicker.follow('Use an access token');
    const picker = await clicker.press('Use this token', { 'Access token': gitlab.tokens.add('ana', ['api']) });
    assert.match(picker.url, /\/repository\?connection=/);
    assert.match(picker.words, 'harbour/website');
    await clicker.open(`${url}/account/admins`);
    await clicker.press('Add account', { Name: 'Lena', 'First password': 'lena-moors-it-too', Admin: true });
    const lena = await signedIn({ url, admin: { name: 'Lena', password: 'lena-moors-it-too' } });
    assert.not.match((await lena.open(picker.url)).words, 'harbour/website');
    const query = `project=${world.website.id}&branch=main&direction=replace`;
    const asked = await lena.open(`${picker.url.replace('/repository?', '/confirm?')}&${query}`);
    assert.not.match(asked.words, 'Connect Self Hosted GitLab');
    // Its own keeps the token on every way through: search, branch, question, all paths, and back.
    await clicker.open(picker.url);
    await clicker.press('Search', { 'Search repositories': 'website' });
    await clicker.press('Choose branch', { 'harbour/website': true });
    const question = await clicker.press('Continue');
    assert.match(question.words, 'Fill the folder of One?');
    await clicker.follow('Cancel');
    assert.match(clicker.page.words, 'harbour/website');
  }),
);

connections('a gateway’s own 401 loses no token: the site retries, and goes on when the gateway is right again', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, world } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const { url, folder } = await tokenSite(harbour, clicker, {
      name: 'One',
      token: gitlab.tokens.add('ana', ['api']),
    });
    await reaches(clicker, url, 'In sync');
    const gateway = { match: () => true, status: 401, body: '<html>Sign in to the network first</html>' };
    const headers = { 'content-type': 'text/html', 'www-authenticate': 'Basic realm="corporate gateway"' };
    gitlab.faults.add({ ...gateway, headers });
    await reaches(clicker, url, 'Retrying');
    // Git's own requests too: what it is told, it cannot tell apart.
    gitlab.faults.clear();
    await reaches(clicker, url, 'In sync');
    const isGit = (seen: SeenRequest): boolean => /^git\//.test(seen.headers['user-agent'] ?? '');
    gitlab.faults.add({ ...gateway, headers, match: isGit });
    // What is answered oddly over the wire is asked again by git.
    gitlab.faults.add({ match: (seen) => !isGit(seen) && seen.path.endsWith('/git-upload-pack'), status: 400 });
    await world.website.push('main', { 'by-git.md': 'b\n' });
    await reaches(clicker, url, 'Retrying');
    assert.match((await clicker.open(`${url}/settings/syncing`)).words, 'Connected');
    gitlab.faults.clear();
    await world.website.push('main', { 'after.md': 'a\n' });
    await until('both pushes are here', async () => {
      const files = await filesOf(folder);
      return (files.has('after.md') && files.has('by-git.md')) || undefined;
    });
    await reaches(clicker, url, 'In sync');
  }),
);

connections('a pair that GitLab renewed is masked in the log from the first moment, both halves', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-mask-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { gitlab, ...rest } = await practice(`${url}/oauth/callback`, { tokenLifetimeSeconds: 8 });
  await mkdir(join(dir, 'sites'));
  const daemon = await inProcess({ dir, port });
  try {
    const site = await mooredSite({ url, sites: daemon.sites, gitlab, admin, ...rest });
    const fresh = { access_token: 'fresh-half-for-access', refresh_token: 'fresh-half-for-refresh', expires_in: 8 };
    gitlab.faults.add({ match: ({ path }) => path === '/oauth/token', status: 200, body: fresh });
    await until('It was renewed', async () => {
      const { words } = await site.clicker.open(site.url);
      if (words.includes('Sync now')) await site.clicker.press('Sync now');
      return gitlab.requests.some(({ headers }) => headers.authorization === `Bearer ${fresh.access_token}`);
    });
    const line = daemon.mask.mask(`${fresh.access_token} ${fresh.refresh_token}`);
    assert.is(line, '[secret] [secret]');
  } finally {
    await daemon.stop();
    await gitlab.stop();
    await rm(dir, { recursive: true, force: true });
  }
});

connections('Try again asks GitLab once with a token that was refused; refused again it stays away from GitLab', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const { url } = await tokenSite(harbour, clicker, { name: 'One', token: gitlab.tokens.add('ana', ['api']) });
    await reaches(clicker, url, 'In sync');
    gitlab.faults.add({
      ...{ match: () => true, status: 401, body: { message: '401 Unauthorized' } },
      headers: { 'content-type': 'application/json' },
    });
    await reaches(clicker, url, 'On hold');
    gitlab.requests.length = 0;
    await clicker.open(`${url}/hold`);
    await clicker.press('Try again');
    await until('GitLab was asked', () => gitlab.requests.length > 0);
    // The state is the old one until the answer was read.
    await until('a new token is asked for', async () => {
      const { words } = await clicker.open(`${url}/settings/syncing`);
      return words.includes('New token needed') || undefined;
    });
    await reaches(clicker, url, 'On hold');
    // A look asks two things at once: where the project is, and where its branch; the slow look at the webhook may join.
    const { length } = gitlab.requests;
    assert.ok(length <= 4, `asked ${length} times`);
    gitlab.faults.clear();
    await clicker.open(`${url}/hold`);
    await clicker.press('Try again');
    await until('in sync', async () => (await clicker.open(url)).state === 'In sync');
  }),
);

/** A server that is not GitLab, with everything it was sent. */
async function elsewhere(use: (url: string, got: string[]) => Promise<void>): Promise<void> {
  const got: string[] = [];
  const server: Server = createServer((request, response) => {
    let text = `${request.url} ${request.headers.authorization ?? ''} `;
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      got.push(text);
      response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth/token`, got);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

connections(
  'a Token URL elsewhere receives neither the stored secret nor a token: not by a test, not by Disconnect',
  () =>
    inHarbourWithoutGitLab((harbour) =>
      elsewhere(async (tokenUrl, got) => {
        const { gitlab, application, url } = harbour;
        const site = await mooredSite(harbour);
        await site.settled();
        const sent = gitlab.requests.map(({ headers }) => headers.authorization ?? '');
        const tokens = new Set(sent.flatMap((header) => /^Bearer (\S+)/.exec(header)?.[1] ?? []));
        assert.ok(tokens.size > 0);
        const { clicker } = site;
        await clicker.open(`${url}/account/gitlab`);
        const refused = await clicker.press('Configure Self Hosted GitLab', { 'Token URL': tokenUrl });
        assert.is(refused.status, 422);
        assert.match(refused.words, 'the server of the Token URL');
        await clicker.open(`${url}/account/gitlab`);
        await clicker.press('Test connection');
        assert.equal(got, []);
        // Somebody who knows the secret may send it there; the tokens of before go nowhere.
        await clicker.open(`${url}/account/gitlab`);
        await clicker.press('Configure Self Hosted GitLab', { 'Token URL': tokenUrl, Secret: application.secret });
        assert.match(clicker.page.words, 'Self Hosted GitLab is configured');
        await site.reaches('On hold');
        await clicker.open(`${site.url}/disconnect`);
        await clicker.press('Disconnect');
        assert.match((await clicker.open(`${site.url}/settings/syncing`)).words, 'Connect');
        for (const text of got)
          for (const token of tokens) assert.not.ok(text.includes(token), 'a token was sent there');
        assert.not.ok(got.some((text) => text.includes('/revoke')));
      }),
    ),
);

connections('a new Application ID ends the grants of the old one, and no access token', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, url, world } = harbour;
    const grant = await mooredSite(harbour, { project: world.gardens, name: 'Gardens' });
    await grant.settled();
    const { clicker } = grant;
    const token = gitlab.tokens.add('ana', ['api']);
    const { url: site, folder } = await tokenSite(harbour, clicker, { name: 'Unattended', token });
    await reaches(clicker, site, 'In sync');
    const fresh = gitlab.applications.add({
      ...{ name: 'Mooring again', redirectUris: [`${url}/oauth/callback`], scopes: ['api'], confidential: true },
    });
    await clicker.open(`${url}/account/gitlab`);
    await clicker.press('Configure Self Hosted GitLab', {
      ...{ 'Application ID (key)': fresh.applicationId, Secret: fresh.secret },
    });
    assert.match(clicker.page.words, 'Self Hosted GitLab is configured');
    await reaches(clicker, grant.url, 'On hold');
    await world.website.push('main', { 'goes-on.md': 'g\n' });
    await until('it goes on', async () => (await filesOf(folder)).has('goes-on.md') || undefined);
    await reaches(clicker, site, 'In sync');
  }),
);

connections('GitLab at another address: after Reconnect the links lead there too', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, url, application, world } = harbour;
    const site = await mooredSite(harbour);
    await site.settled();
    const { clicker } = site;
    assert.match((await clicker.open(site.url)).html, `href="${gitlab.url}/harbour/website"`);
    const moved = gitlab.url.replace('127.0.0.1', 'localhost');
    await clicker.open(`${url}/account/gitlab`);
    await clicker.press('Configure Self Hosted GitLab', { 'GitLab URL': moved, Secret: application.secret });
    assert.match(clicker.page.words, 'Self Hosted GitLab is configured');
    await clicker.open(`${site.url}/settings/syncing`);
    await clicker.press('Reconnect');
    if (clicker.page.words.includes('Username or primary email'))
      await clicker.press('Sign in', { 'Username or primary email': 'ana', Password: examplePassword });
    if (clicker.page.words.includes('Authorize Mooring to use')) await clicker.press('Authorize Mooring');
    assert.match(clicker.page.words, 'Connected to GitLab again');
    await until('the links follow', async () => {
      const { html } = await clicker.open(site.url);
      return html.includes(`href="${moved}/harbour/website"`) && !html.includes(`href="${gitlab.url}/`);
    });
    await world.website.push('main', { 'there.md': 't\n' });
    await site.settled();
    // Nothing was renamed, and nothing says so.
    assert.not.match((await clicker.open(`${url}/activity`)).words, 'Updated the moved repository');
  }),
);

connections.run();
