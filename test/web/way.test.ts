import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { createApp } from '../../src/web/app.ts';
import { ours, signedIn, visitor } from './browser.ts';
import { fullWorld } from './content.ts';
import { ana, createWorld, gitlab, password, plan, site } from './support.ts';

const test = suite('the way through');

test('the first start asks for the code, makes the account and closes for good', async () => {
  const world = createWorld({ account: false });
  const someone = visitor(world);
  assert.is((await someone.get('/')).headers['location'], '/setup');
  assert.match((await someone.get('/setup')).text, 'Set-up code');
  const wrong = await someone.post('/setup', { code: 'no', name: 'Miriam', password: 'long enough for it' });
  assert.is(wrong.status, 422);
  assert.match(wrong.text, 'aria-invalid="true"');
  assert.match(wrong.text, 'value="Miriam"');
  assert.not.match(wrong.text, 'long enough for it');
  const made = await someone.post('/setup', {
    code: 'kelp-4417-bight',
    name: 'Miriam',
    password: 'long enough for it',
  });
  assert.is(made.status, 303);
  assert.match(String(made.headers['set-cookie']), /mooring=session-1[^;]*; path=\/; samesite=lax; httponly/);
  assert.is((await someone.get('/setup')).headers['location'], '/');
  assert.is(
    (await someone.post('/setup', { code: 'kelp-4417-bight', name: 'Eve', password: 'long enough for it' })).status,
    409,
  );
  assert.is(world.accounts.length, 1);
});

test('a short password is refused beside its field', async () => {
  const answer = await visitor(createWorld({ account: false })).post('/setup', {
    code: 'c',
    name: 'n',
    password: 'short',
  });
  assert.match(answer.text, /id="password-error"[\s\S]*At least 12 characters/);
});

test('signing in gives a new session, signing out ends it', async () => {
  const world = createWorld();
  const someone = visitor(world);
  const wrong = await someone.post('/sign-in', { name: 'Miriam Okafor', password: 'wrong' });
  assert.is(wrong.status, 401);
  assert.match(wrong.text, 'Name or password is wrong.');
  const planted = { ...ours, Cookie: 'mooring=planted-by-somebody-else; mooring-visitor=visitor-cookie-of-a-test' };
  const right = await someone.post('/sign-in', { name: 'Miriam Okafor', password }, planted);
  assert.is(right.status, 303);
  const id = /mooring=(session-[^;]+)/.exec(String(right.headers['set-cookie']))?.[1] ?? '';
  assert.ok(world.deps.sessions.find(id));
  const app = createApp(world.deps).callback();
  const token = world.deps.sessions.find(id)?.formToken;
  await request(app)
    .post('/sign-out')
    .type('form')
    .set({ Cookie: `mooring=${id}`, ...ours })
    .send({ token });
  assert.is(world.deps.sessions.find(id), undefined);
});

test('configuring needs a secret, keeps it when blank, and asks anew for another GitLab', async () => {
  const world = createWorld();
  const me = await signedIn(world);
  const form = { url: 'https://gitlab.example.org', applicationId: 'abc', secret: '' };
  assert.match((await me.post('/account/gitlab', form)).text, 'Enter the secret.');
  assert.is((await me.post('/account/gitlab', { ...form, secret: 's' })).headers['location'], '/account/gitlab');
  assert.is((await me.post('/account/gitlab', form)).status, 303);
  const other = await me.post('/account/gitlab', { ...form, url: 'https://other.example.org' });
  assert.is(other.status, 422);
  assert.match(other.text, 'belongs to the old URL');
  const bad = await me.post('/account/gitlab', { ...form, url: 'ftp://x', secret: 's3cret-value' });
  assert.match(bad.text, /id="url-error"[\s\S]*It has to begin with/);
  assert.not.match(bad.text, 's3cret-value');
});

test('a wrong URL is told once, beside its field, also when the other addresses repeat it', async () => {
  const world = fullWorld();
  const url = 'ftp://gitlab.example';
  const form = {
    ...{ url, authorizeUrl: `${url}/oauth/authorize`, tokenUrl: `${url}/oauth/token`, apiUrl: `${url}/api/v4` },
    ...{ applicationId: 'id', secret: 'secret' },
  };
  world.failing.set('instance.configure', new Problem('form-invalid', { url: 'Only https:// and http://.' }));
  const page = await (await signedIn(world)).post('/account/gitlab', form);
  assert.is(page.status, 422);
  assert.equal(
    [...page.text.matchAll(/class="error" id="([^"]+)"/g)].map(([, id]) => id),
    ['url-error'],
  );
  assert.match(page.text, `value="${url}/oauth/token"`);
});

test('addresses derived from the old URL do not survive a new one', async () => {
  const world = createWorld();
  world.instance = gitlab();
  const me = await signedIn(world);
  const { authorizeUrl, tokenUrl } = gitlab();
  await me.post('/account/gitlab', {
    url: 'https://new.example',
    applicationId: 'a',
    secret: 's',
    authorizeUrl,
    tokenUrl,
    apiUrl: 'https://api.example/v4',
  });
  const sent = world.calls.at(-1)?.args[0] as Record<string, string>;
  assert.is(sent['authorizeUrl'], '');
  assert.is(sent['tokenUrl'], '');
  assert.is(sent['apiUrl'], 'https://api.example/v4');
});

test('Connect leads to the settings, to GitLab, or straight to the picker', async () => {
  const world = createWorld();
  world.sites = [site('parks')];
  const me = await signedIn(world);
  assert.is((await me.post('/sites/parks/connect')).headers['location'], '/account/gitlab');
  world.instance = gitlab();
  assert.match((await me.get('/sites/parks/settings/syncing')).text, 'Authentication required');
  assert.match(
    (await me.post('/sites/parks/connect')).headers['location'] ?? '',
    'https://gitlab.northwick.example/oauth/authorize',
  );
  world.connection = ana;
  assert.match((await me.get('/sites/parks/settings/syncing')).text, 'Choose a repository');
  assert.is((await me.post('/sites/parks/connect')).headers['location'], '/sites/parks/repository');
});

test('the callback redirects away at once; a forged or refused one is a page', async () => {
  const world = createWorld();
  world.sites = [site('parks')];
  world.instance = gitlab();
  const me = await signedIn(world);
  for (const query of ['', '?code=x', '?code=x&state=other', '?state=s1', '?code=a&code=b&state=s1']) {
    const answer = await me.get(`/oauth/callback${query}`);
    assert.is(answer.status, 400, query);
    assert.match(answer.text, 'has expired or was started in another browser');
  }
  const denied = await me.get('/oauth/callback?error=access_denied&error_description=%3Cb%3Eno%3C%2Fb%3E&state=s1');
  assert.is(denied.status, 403);
  assert.match(denied.text, '&lt;b&gt;no&lt;/b&gt;');
  assert.is(world.connection, undefined);
  const good = await me.get('/oauth/callback?code=abc&state=s1');
  assert.is(good.status, 303);
  assert.is(good.headers['location'], '/sites/parks/repository');
  assert.is((await visitor(world).get('/oauth/callback?code=abc&state=s1')).headers['location'], '/sign-in');
});

test('the picker says why a row is disabled, and keeps the search', async () => {
  const me = await signedIn(fullWorld());
  const page = await me.get('/sites/parks/repository?q=parks');
  assert.match(page.text, 'You cannot push: your role is Reporter');
  assert.match(page.text, 'href="/sites/parks/repository?q=parks"');
  const none = await me.get('/sites/parks/repository?q=%3Cb%3E');
  assert.match(none.text, 'No repository matches “&lt;b&gt;”');
});

test('choosing a project brings its branches; one that may not be pushed to is disabled', async () => {
  const page = await (await signedIn(fullWorld())).get('/sites/parks/repository?project=12');
  assert.match(page.text, /<option value="main" selected>main \(default\)/);
  assert.match(page.text, /<option value="release\/spring" disabled>/);
});

test('the warning shows the numbers, as page and as dialog, and consent names the plan', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const address = '/sites/parks/confirm?project=12&branch=main';
  const page = await me.get(address);
  assert.match(page.text, 'Replace the files of Parks and gardens?');
  assert.match(page.text, /<dt>removed<\/dt>\s*<dd>43<\/dd>/);
  const dialog = await me.get(address, { 'X-Part': 'dialog' });
  assert.not.match(dialog.text, '<html');
  assert.match(dialog.text, 'Connect Self Hosted GitLab');
  const form = { project: '12', branch: 'main', direction: 'replace', planId: 'plan-1' };
  const done = await me.post('/sites/parks/confirm', form);
  assert.is(done.headers['location'], '/sites/parks/settings/syncing');
  const sent = world.calls.find(({ name }) => name === 'connecting.confirm')?.args[0];
  assert.equal(sent, { site: 'parks', projectId: 12, branch: 'main', direction: 'replace', planId: 'plan-1' });
});

test('when either side changed, the question comes back with the new numbers', async () => {
  const world = fullWorld();
  world.failing.set('connecting.confirm', new Problem('plan-outdated'));
  world.plan = plan({ id: 'plan-2', removed: 44 });
  const form = { project: '12', branch: 'main', direction: 'replace', planId: 'plan-1' };
  const again = await (await signedIn(world)).post('/sites/parks/confirm', form);
  assert.is(again.status, 409);
  assert.match(again.text, 'Something changed since you looked');
  assert.match(again.text, 'value="plan-2"');
  assert.match(again.text, /<dt>removed<\/dt>\s*<dd>44<\/dd>/);
});

test('a plan that takes long is answered at once with a page that asks again, and shows how far it is', async () => {
  const world = fullWorld();
  const gate = Promise.withResolvers<void>();
  let plans = 0;
  const slow: typeof world.deps.connecting.plan = async (request, _account, asked) => {
    plans += 1;
    asked?.progress({ act: 'fetching', done: 300, total: 1_200 });
    await gate.promise;
    return { ...world.plan, direction: request.direction, branch: request.branch };
  };
  world.deps = { ...world.deps, connecting: { ...world.deps.connecting, plan: slow } };
  const me = await signedIn(world);
  const waiting = await me.get('/sites/parks/confirm?project=12&branch=main');
  assert.match(waiting.text, 'Comparing the folder with the branch');
  assert.match(waiting.text, 'Fetching, 300 of 1,200 objects');
  const [, again = ''] = /http-equiv="refresh" content="2; url=([^"]+)"/.exec(waiting.text) ?? [];
  gate.resolve();
  const page = await me.get(again.replaceAll('&amp;', '&'));
  assert.match(page.text, 'Replace the files of Parks and gardens?');
  assert.is(plans, 1);
});

test('a connect that takes long is waited for on a page, and its end or its failure is told once', async () => {
  const world = fullWorld();
  let gate = Promise.withResolvers<void>();
  const slow: typeof world.deps.connecting.confirm = () => gate.promise;
  world.deps = { ...world.deps, connecting: { ...world.deps.connecting, confirm: slow } };
  const me = await signedIn(world);
  const form = { project: '12', branch: 'main', direction: 'replace', planId: 'plan-1' };
  const sent = await me.post('/sites/parks/confirm', form);
  const wait = sent.headers['location'] ?? '';
  assert.match(wait, /^\/sites\/parks\/connecting\?project=12&branch=main/);
  assert.match((await me.get(wait)).text, 'Connecting Parks and gardens');
  gate.resolve();
  assert.is((await me.get(wait)).headers['location'], '/sites/parks/settings/syncing');
  assert.match((await me.get('/sites/parks/settings/syncing')).text, 'Parks and gardens is connected');
  // Asked once more, as a browser's Back does, there is nothing to wait for.
  assert.is((await me.get(wait)).headers['location'], '/sites/parks/settings/syncing');

  gate = Promise.withResolvers<void>();
  await me.post('/sites/parks/confirm', form);
  gate.reject(new Problem('plan-outdated'));
  assert.match((await me.get(wait)).headers['location'] ?? '', /^\/sites\/parks\/confirm\?/);
});

test('all sites are paused and resumed on one page, and a window is planned', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.match((await me.get('/')).text, 'Pause all');
  assert.is((await me.post('/pause-all', { how: 'open' })).headers['location'], '/');
  await me.post('/pause-all', { how: 'until', until: '2026-11-20T18:00' });
  const wrong = await me.post('/pause-all', { how: 'until', until: '2026-02-31T18:00' });
  assert.is(wrong.status, 422);
  assert.match(wrong.text, 'id="until-error"');
  await me.post('/pause-all/window', { act: 'plan', from: '2026-11-21T02:00', to: '2026-11-21T04:00', every: 'week' });
  await me.post('/pause-all/window', { act: 'remove' });
  world.pause = { by: 'Miriam Okafor', since: Date.UTC(2026, 10, 19, 12) };
  assert.match((await me.get('/')).text, 'All sites are paused</strong> since');
  await me.post('/pause-all/resume', {});
  const said = world.calls.filter(({ name }) => name.startsWith('pauseAll.')).map(({ name, args }) => [name, ...args]);
  const by = 'Miriam Okafor';
  assert.equal(said, [
    ['pauseAll.pause', by, undefined],
    ['pauseAll.pause', by, Date.UTC(2026, 10, 20, 18)],
    ['pauseAll.plan', { from: Date.UTC(2026, 10, 21, 2), until: Date.UTC(2026, 10, 21, 4), every: 'week' }, by],
    ['pauseAll.plan', undefined, by],
    ['pauseAll.resume', by],
  ]);
});

test('the sites of somebody who leaves are checked one by one, and handed over', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const list = await me.get('/account/connections');
  assert.match(list.text, '@jonas');
  assert.match(list.text, 'by an admin who was removed');
  const page = await me.get('/account/connections/c1/hand-over?to=c1');
  assert.match(page.text, 'has the role Reporter there');
  const [, sites = ''] = /name="sites" value="([^"]*)"/.exec(page.text) ?? [];
  assert.is(sites.split(' ').length, world.sites.length - 1);
  const done = await me.post('/account/connections/c1/hand-over', { to: 'c1', sites });
  assert.is(done.headers['location'], '/account/connections');
  const [from, to, moved, by] = world.calls.find(({ name }) => name === 'handOver.carryOut')?.args ?? [];
  assert.equal([from, to, by], ['c1', 'c1', 'Miriam Okafor']);
  assert.equal(moved, sites.split(' '));
  assert.match((await me.get('/account/connections')).text, `${world.sites.length - 1} sites handed over to @`);
  assert.is((await me.post('/account/connections/c1/hand-over', { to: 'c9', sites })).status, 422);
  const away = await me.post('/account/connections/c1/connect', {});
  assert.equal(world.calls.find(({ name }) => name === 'connections.begin')?.args[1], { handOver: 'c1' });
  assert.match(away.headers['location'] ?? '', 'https://');
});

test('a branch that cannot be used is said beside its field', async () => {
  const world = fullWorld();
  world.failing.set('connecting.plan', new Problem('branch-invalid', { branch: 'a..b' }));
  const page = await (await signedIn(world)).get('/sites/parks/confirm?project=12&newBranch=a..b');
  assert.is(page.status, 422);
  assert.match(page.text, /id="newBranch-error"[\s\S]*a\.\.b/);
  assert.match(page.text, 'value="a..b"');
});

test('an empty folder has a short question, the other direction its own', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.match(
    (await me.get('/sites/parks/confirm?project=12&branch=main&direction=start-from-folder')).text,
    'Push the files of',
  );
  world.plan = plan({ replaced: 0, removed: 0, same: 0, untouchedCount: 0, untouched: [], secrets: [], ignored: 0 });
  assert.match((await me.get('/sites/parks/confirm?project=12&branch=main')).text, 'The folder is empty');
});

test('a folder that cannot be a site is refused beside the field it was entered in', async () => {
  const world = fullWorld();
  world.failing.set('sites.add', new Problem('folder-overlaps', { folder: '/srv/x', site: 'Council intranet' }));
  const answer = await (await signedIn(world)).post('/sites/add', { name: 'Parks', folder: 'other', path: '/srv/x' });
  assert.is(answer.status, 422);
  assert.match(answer.text, /id="path-error"[\s\S]*Council intranet/);
  assert.match(answer.text, 'value="/srv/x"');
});

test('a hold is answered for the step that was shown, and for no other', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.match((await me.get('/sites/shop/hold')).text, 'Put 412 files back');
  assert.is(
    (await me.post('/sites/shop/hold', { step: 'older', choice: 'go-on' })).headers['location'],
    '/sites/shop/hold',
  );
  assert.is((await me.post('/sites/shop/hold', { step: 'step-1', choice: 'adopt' })).status, 422);
  assert.equal(world.calls, []);
  await me.post('/sites/shop/hold', { step: 'step-1', choice: 'put-back' });
  assert.equal(world.calls[0]?.args, ['shop', 'step-1', 'put-back', 'Miriam Okafor']);
});

test('what disconnecting could not undo is listed once', async () => {
  const world = fullWorld();
  Object.assign(world.deps.connecting, {
    disconnect: async () => ({ leftOver: ['The webhook is still in GitLab.', 'The token could not be revoked.'] }),
  });
  const me = await signedIn(world);
  assert.is((await me.post('/sites/intranet/disconnect')).status, 303);
});

test('a kept file is a download that runs nothing; a damaged path restores nothing', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const p = Buffer.from('a/b <x>.html').toString('base64url');
  const file = await me.get(`/sites/museum/kept/kv1/file?p=${p}`);
  assert.match(file.headers['content-disposition'] ?? '', 'attachment');
  assert.is(file.headers['content-type'], 'application/octet-stream');
  assert.match(file.headers['content-security-policy'] ?? '', 'sandbox');
  assert.is((await me.post('/sites/museum/kept/kv1/restore', { p: '%%%' })).status, 422);
  assert.not.ok(world.calls.some(({ name }) => name === 'decisions.restore'));
  await me.post('/sites/museum/kept/kv1/restore', { p });
  assert.is(world.calls.at(-1)?.args[2], 'a/b <x>.html');
});

test('a picture of a conflict is served by its bytes alone', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  world.versions = {
    repository: Buffer.from('89504e470d0a1a0a0000', 'hex'),
    site: Buffer.from('<svg onload="alert(1)"/>'),
  };
  assert.is(
    (await me.get('/sites/museum/conflicts/k2/file/repository?as=picture')).headers['content-type'],
    'image/png',
  );
  assert.is((await me.get('/sites/museum/conflicts/k2/file/site?as=picture')).status, 404);
});

test('the theme is a cookie and leads back', async () => {
  const answer = await (await signedIn(fullWorld())).post('/theme', { theme: 'dark', to: '/activity' });
  assert.is(answer.headers['location'], '/activity');
  assert.match(String(answer.headers['set-cookie']), 'mooring-theme=dark');
});

test.run();
