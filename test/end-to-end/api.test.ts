import { execFile, spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { mooredSite, signedIn } from '../support/moored.ts';
import { until } from '../support/until.ts';

const test = suite('the HTTP API');
const run = promisify(execFile);
const page = new URL('../../docs/api.md', import.meta.url);

/** A token made by clicking, as its owner would. */
async function tokenOf(harbour: Harbour, scope: string): Promise<string> {
  const clicker = await signedIn(harbour);
  await clicker.open(`${harbour.url}/account/tokens`);
  const { words } = await clicker.press('Create token', { Name: 'a script', [scope]: true });
  return /mooring_[\w-]{43}/.exec(words)?.[0] ?? '';
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Headers;
}

const askWith =
  ({ url }: Harbour, token: string) =>
  async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
      headers: response.headers,
    };
  };

test('the examples of docs/api.md work in their order', async () => {
  if (spawnSync('curl', ['--version'], { stdio: 'ignore' }).status !== 0) {
    console.log('not run here: there is no curl');
    return;
  }
  await inHarbour(async (harbour) => {
    const folder = join(harbour.sites, 'museum');
    await mkdir(folder);
    await writeFile(join(folder, 'only-here.txt'), 'An older page.\n');
    const token = await tokenOf(harbour, 'Everything');
    const blocks = [...(await readFile(page, 'utf8')).matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].map(([, text = '']) =>
      text.replace(/^ {3,4}/gm, ''),
    );
    assert.is(blocks.length, 13, 'the token, ten examples, a commit as somebody and the stream');
    const env: Record<string, string> = {
      ...{ PATH: process.env['PATH'] ?? '', MOORING: harbour.url, TOKEN: token, FOLDER: folder },
    };
    const example = async (text: string): Promise<Record<string, unknown>> => {
      const { stdout } = await run('sh', ['-c', text], { cwd: harbour.dir, env }).catch((error: unknown) => {
        throw new Error(`${text}\n${String((error as { stdout?: string }).stdout)}`, { cause: error });
      });
      return stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
    };
    const ask = askWith(harbour, token);
    const [auth = '', add = '', connections = '', repositories = '', plan = '', connect = '', ...rest] = blocks;
    const [sync = '', activity = '', settings = '', kept = '', restore = ''] = rest;
    await example(auth);
    env['SITE'] = String((await example(add))['id']);
    assert.is((await example(add))['id'], env['SITE'], 'the same key, the same site');
    const [mine] = (await example(connections))['connections'] as { id: string }[];
    env['CONNECTION'] = mine?.id ?? '';
    const [website] = (await example(repositories))['repositories'] as { id: number; path: string }[];
    assert.is(website?.path, harbour.world.website.path);
    env['REPOSITORY'] = String(website?.id);
    const planned = await example(plan);
    env['PLAN'] = String(planned['id']);
    assert.equal((planned['samples'] as { mark: string; path: string }[]).filter(({ mark }) => mark === '-').length, 1);
    assert.is(((await example(connect))['repository'] as { branch: string }).branch, 'main');
    await writeFile(join(folder, 'by-hand.txt'), 'Edited by somebody.\n');
    assert.is((await example(sync))['state'], 'in-sync');
    assert.is(String((await harbour.world.website.files('main')).get('by-hand.txt')), 'Edited by somebody.\n');
    const { runs } = (await example(activity)) as { runs: { id: string; result: string }[] };
    assert.is(runs[0]?.result, 'pushed');
    env['ETAG'] = String((await ask('GET', `/sites/${env['SITE']}/settings`)).headers.get('etag'));
    assert.is(((await example(settings))['safety'] as { keepDays: number }).keepDays, 30);
    const [version] = (await example(kept))['versions'] as { id: string }[];
    env['VERSION'] = version?.id ?? '';
    await example(restore);
    await until('what connecting removed is back', async () =>
      (await harbour.world.website.files('main')).has('only-here.txt'),
    );
    const commitAs = blocks.at(-2) ?? '';
    const refused = await example(commitAs).catch((error: unknown) => String(error));
    assert.match(String(refused), 'The API token lacks the scope commit-as');
    const log = (await ask('GET', '/audit')).body['entries'] as { act: string; by: string }[];
    assert.ok(log.some(({ act, by }) => act === 'restored' && by === 'Ana (a script)'));
  });
});

test('sync and wait sees every edit from before the call, a file that is still being written too', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    const ask = askWith(harbour, await tokenOf(harbour, 'Read and sync'));
    for (let n = 0; n < 3; n += 1) {
      await site.write(`pages/${n}.html`, `<p>${n}</p>\n`);
      const commit = await site.project.head('main');
      const { status, body } = await ask('POST', `/sites/${site.id}/sync?wait=true`);
      assert.equal([status, body['state']], [200, 'in-sync']);
      assert.is(String((await site.project.files('main')).get(`pages/${n}.html`)), `<p>${n}</p>\n`);
      assert.not.equal(await site.project.head('main'), commit);
    }
    await ask('POST', `/sites/${site.id}/pause`, {});
    const paused = await ask('POST', `/sites/${site.id}/sync?wait=true`);
    assert.equal([paused.status, paused.body['state']], [200, 'paused']);
    assert.is((await ask('PATCH', `/sites/${site.id}/settings`, {})).status, 403);
  }));

test('a conflict is resolved and a site is disconnected and deleted, over HTTP alone', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    const ask = askWith(harbour, await tokenOf(harbour, 'Everything'));
    const at = `/sites/${site.id}`;
    await ask('POST', `${at}/pause`, {});
    await site.write('index.html', 'by the site\n');
    await site.project.push('main', { 'index.html': 'by the repository\n' });
    await ask('POST', `${at}/resume`);
    const { body } = await ask('POST', `${at}/sync?wait=true`);
    assert.is(body['conflicts'], 1);
    const [conflict] = (await ask('GET', `${at}/conflicts`)).body['conflicts'] as { id: string; live: string }[];
    assert.is(conflict?.live, 'repository');
    const resolved = await ask('POST', `${at}/conflicts/${conflict?.id}`, { use: 'site' });
    assert.is((resolved.body['resolved'] as { use: string }).use, 'site');
    await ask('POST', `${at}/sync?wait=true`);
    assert.is(String((await site.project.files('main')).get('index.html')), 'by the site\n');
    assert.is((await ask('DELETE', at)).status, 409);
    assert.equal((await ask('POST', `${at}/disconnect`)).body, { leftOver: [] });
    assert.is((await ask('DELETE', at)).status, 204);
    assert.is((await ask('GET', at)).status, 404);
    assert.is(await readFile(join(site.folder, 'index.html'), 'utf8'), 'by the site\n');
  }));

test('whoever waits is answered when the daemon stops', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    const ask = askWith(harbour, await tokenOf(harbour, 'Read and sync'));
    // A file that never rests keeps a wait going for half a minute.
    let n = 0;
    const busy = setInterval(() => void site.write('busy.log', `line ${(n += 1)}\n`), 100);
    try {
      await until('it is written', () => n > 3 || undefined);
      const waiting = ask('POST', `/sites/${site.id}/sync?wait=true&timeout=600`);
      await until('the wait has begun', async () => {
        const entries = (await ask('GET', '/audit')).body['entries'] as { act: string }[];
        return entries.some(({ act }) => act === 'asked-for-sync') || undefined;
      });
      assert.is(await harbour.stop(), 0);
      assert.is((await waiting).status, 202);
    } finally {
      clearInterval(busy);
    }
  }));

test('a hold ends the wait, says why, and is answered', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    const ask = askWith(harbour, await tokenOf(harbour, 'Everything'));
    const at = `/sites/${site.id}`;
    site.project.archive();
    await site.write('edited.txt', 'while it is archived\n');
    const { status, body } = await ask('POST', `${at}/sync?wait=true`);
    assert.equal([status, body['state']], [200, 'hold']);
    const hold = (await ask('GET', `${at}/hold`)).body['hold'] as { code: string; step: string; choices: object[] };
    assert.is(hold.code, 'project-archived');
    const { sites } = (await ask('GET', '/problems')).body as { sites: { site: string; hold: string }[] };
    assert.equal(
      sites.map((one) => [one.site, one.hold]),
      [[site.id, 'project-archived']],
    );
    assert.is((await ask('POST', `${at}/hold`, { step: 'another', choice: 'try-again' })).status, 409);
    assert.is((await ask('POST', `${at}/hold`, { step: hold.step, choice: 'go-on' })).status, 422);
    site.project.archive(false);
    assert.is((await ask('POST', `${at}/hold`, { step: hold.step, choice: 'try-again' })).status, 202);
    assert.is((await ask('POST', `${at}/sync?wait=true`)).body['state'], 'in-sync');
    assert.ok((await site.project.files('main')).has('edited.txt'));
  }));

test('a program commits what it names in the name of a person, and nobody else’s edits', () =>
  inHarbour(async (harbour) => {
    const site = await mooredSite(harbour);
    await site.settled();
    await site.clicker.open(`${harbour.url}/account/tokens`);
    await site.clicker.press('Save domains', { 'E-mail domains': 'Northwick.Example' });
    await site.clicker.open(`${harbour.url}/account/tokens`);
    const form = { Name: 'CMS', Read: true, 'Also commit as other people': true } as const;
    const { words } = await site.clicker.press('Create token', form);
    const ask = askWith(harbour, /mooring_[\w-]{43}/.exec(words)?.[0] ?? '');
    const before = await site.project.head('main');
    await site.write('news/may.html', '<p>May</p>\n');
    await site.write('upload.txt', 'by somebody else\n');
    const author = { name: 'Jane Doe', email: 'jane@northwick.example' };
    const body = { paths: ['news/may.html', 'index.html'], author, message: 'Publish the news of May' };
    for (const email of ['jane@evil.example', 'jane@sub.northwick.example', 'jane@northwick.example.evil.example', 'x'])
      assert.is(
        (await ask('POST', `/sites/${site.id}/commit-as`, { ...body, author: { ...author, email } })).status,
        422,
      );
    const { status, body: said } = await ask('POST', `/sites/${site.id}/commit-as`, body);
    assert.is(status, 200, JSON.stringify(said));
    const [made] = said['commits'] as { commit: string; paths: string[] }[];
    assert.equal([made?.paths, said['left']], [['news/may.html'], ['index.html']]);
    await site.settled();
    const log = await site.project.log('main');
    const commit = log.find(({ id }) => id === made?.commit);
    assert.equal(
      [commit?.authorName, commit?.authorEmail, commit?.message.split('\n')[0]],
      ['Jane Doe', 'jane@northwick.example', 'Publish the news of May'],
    );
    const others = log
      .slice(
        0,
        log.findIndex(({ id }) => id === before),
      )
      .filter(({ id }) => id !== made?.commit);
    assert.ok(others.length > 0 && others.every(({ authorName }) => authorName !== 'Jane Doe'));
    assert.is((await ask('POST', '/pause-all', {})).status, 403);
    await site.clicker.open(`${harbour.url}/activity`);
    assert.match(site.clicker.page.words, 'as Jane Doe <jane@northwick.example>');
  }));

test.run();
