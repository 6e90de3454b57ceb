import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { builtInRules } from '../../src/model/built-in-rules.ts';
import { Problem } from '../../src/model/problem.ts';
import type { NotSynced, SiteId } from '../../src/model/site.ts';
import { type SitePath, pathFromText } from '../../src/model/tree.ts';
import { createApp } from '../../src/web/app.ts';
import { cronWords } from '../../src/web/cron-words.ts';
import { ours, signedIn } from './browser.ts';
import { fullWorld, screens } from './content.ts';
import { binding, now, password, run, site, status } from './support.ts';

const test = suite('settings pages');
const at = '/sites/museum/settings';

test('each page shows what is saved and saves what is sent', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const forms: [string, Record<string, string>][] = [
    ['schedule', { poll: '*/5 * * * *', rescan: '0 3 * * *', quiet: '2' }],
    ['commits', { subject: '{summary}', author: 'connection', authorName: '', authorEmail: '' }],
    ['safety', { policy: 'site', massPaths: '20', massShare: '30', keepDays: '90' }],
    ['ignored', { ignore: 'a\nb', allow: '' }],
    ['files', { fileMiB: '100', files: '200000', siteGiB: '10' }],
    ['name', { name: 'Museum' }],
  ];
  for (const [page, form] of forms) {
    assert.is((await me.get(`${at}/${page}`)).status, 200, page);
    const answer = await me.post(`${at}/${page}`, form);
    assert.is(answer.headers['location'], `${at}/${page}`);
    const sent = world.calls.at(-1)?.args[1] as Record<string, unknown>;
    for (const [name, value] of Object.entries(form)) assert.is(sent[name], value, `${page} ${name}`);
    assert.is(sent['page'], page);
    assert.match((await me.get(`${at}/${page}`)).text, 'Saved.');
  }
});

test('built-in rules that are not ticked are off; a form without them changes none', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const page = (await me.get(`${at}/ignored`)).text;
  assert.match(page, /name="rule-vim" value="yes" checked/);
  assert.match(page, /Excludes 12: <code>.DS_Store<\/code>, <code>a\/.DS_Store<\/code>/);
  assert.match(page, /<code>node_modules\/<\/code><\/dt><dd>1, by theme\/.gitignore: <code>theme\/node_modules/);
  const ticked = Object.fromEntries(builtInRules.map(({ id }) => [`rule-${id}`, 'yes']));
  const { 'rule-vim': _vim, 'rule-acme': _acme, ...rest } = ticked;
  const sent = () => (world.calls.at(-1)?.args[1] as { builtInRulesOff?: string[] }).builtInRulesOff;
  await me.post(`${at}/ignored`, { ignore: '', allow: '', 'built-in': 'shown', ...rest });
  assert.equal(sent(), ['vim', 'acme']);
  await me.post(`${at}/ignored`, { ignore: '', allow: '' });
  assert.is(sent(), undefined);
});

test('what an upgrade stopped ignoring is named on the site’s page, and decided there', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  world.wasIgnored = [];
  assert.not.match((await me.get('/sites/museum')).text, 'Commit these files');
  world.wasIgnored.push({ path: 'build' as SitePath, reason: { kind: 'was-ignored', folder: true } });
  for (let n = 0; n < 30; n += 1)
    world.wasIgnored.push({ path: `<b>${n}.log` as SitePath, reason: { kind: 'was-ignored' } });
  const page = (await me.get('/sites/museum')).text;
  assert.match(page, '<code>build/</code>');
  assert.match(page, '<code>&lt;b&gt;0.log</code>');
  assert.match(page, 'and 11 more paths');
  const step = /name="step" value="(\w+)"><button[^>]*name="choice" value="commit"/.exec(page)?.[1];
  for (const choice of ['commit', 'ignore']) {
    const answer = await me.post(`${at}/ignored/decide`, { step: step ?? '', choice });
    assert.is(answer.headers['location'], '/sites/museum');
    assert.equal(world.calls.at(-1)?.args.slice(0, 3), ['museum', 'three', choice]);
  }
  assert.is((await me.post(`${at}/ignored/decide`, { step: 'three', choice: 'burn' })).status, 422);
});

test('R20: what changes without end is named with the way to ignore it, and so is an open database', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const path = pathFromText('logs/<access>.log');
  const notSynced: NotSynced[] = [
    { path, reason: { kind: 'never-quiet' } },
    { path: pathFromText('shop.sqlite'), reason: { kind: 'open-database' } },
    { path: pathFromText('a-link'), reason: { kind: 'link' } },
  ];
  world.statuses.set('museum', { ...status('in-sync'), notSynced, notSyncedCount: 3 });
  const page = (await me.get('/sites/museum')).text;
  assert.match(page, 'Committed at most every two minutes');
  assert.is(page.match(/Ignore this path/g)?.length, 2);
  const p = /name="path" value="([\w-]+)">Ignore this path<span class="vh">: logs\/&lt;access&gt;.log/.exec(page)?.[1];
  const answer = await me.post(`${at}/ignore`, { path: p ?? '' });
  assert.is(answer.status, 303);
  assert.equal(world.calls.at(-1)?.args.slice(0, 2), ['museum', path]);
  assert.is((await me.post(`${at}/ignore`, { path: '../x' })).status, 422);
  assert.match((await me.get('/')).text, 'Museum');
});

test('a run that let a file go says so and offers to remove it here too', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const path = pathFromText('config/<live>.php');
  world.runs = world.runs.map((one, at) => (at === 0 ? { ...one, letGo: [path] } : one));
  const page = (await me.get('/sites/museum')).text;
  assert.match(page, 'stopped tracking these files');
  const p = /name="p" value="([\w-]+)">Remove here too<span class="vh"> config\/&lt;live&gt;.php/.exec(page)?.[1];
  const answer = await me.post('/sites/museum/let-go/remove', { p: p ?? '' });
  assert.is(answer.headers['location'], '/sites/museum');
  assert.equal(world.calls.at(-1)?.args.slice(0, 2), ['museum', path]);
});

test('a fault stands beside its field and what was entered stays', async () => {
  const world = fullWorld();
  world.failing.set('settings.save', new Problem('form-invalid', { massShare: 'Enter a number from 1 to 100.' }));
  const form = { policy: 'site', massPaths: '7', massShare: '<b>', keepDays: '90' };
  const answer = await (await signedIn(world)).post(`${at}/safety`, form);
  assert.is(answer.status, 422);
  assert.match(answer.text, /id="massShare-error"[\s\S]*Enter a number from 1 to 100/);
  assert.match(answer.text, 'value="&lt;b&gt;"');
  assert.match(answer.text, 'value="7"');
});

test('schedules have words', () => {
  const words: [string, string][] = [
    ['* * * * *', 'Every minute'],
    ['*/5 * * * *', 'Every 5 minutes'],
    ['*/5 8-18 * * 1-5', 'Every 5 minutes from 08:00 to 18:59 on weekdays'],
    ['0 * * * *', 'Every hour'],
    ['15 */6 * * *', 'Every 6 hours at minute 15'],
    ['30 2 * * *', 'At 02:30'],
    ['30 2,14 * * 0', 'At 02:30, 14:30 on Sundays'],
    ['0 4 1 * *', 'At 04:00 on day 1 of the month'],
    ['1-9/2 * * jan *', 'Minute 1-9/2, hour *, day *, month jan, weekday *'],
  ];
  for (const [expression, expected] of words) assert.is(cronWords(expression), expected);
});

test('the site’s page allows a control file and comes back', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.match((await me.get('/sites/museum')).text, /name="allow" value="[\w-]+">Allow<span class="vh"> \.htaccess/);
  const allow = Buffer.from('.htaccess').toString('base64url');
  const answer = await me.post(`${at}/allow`, { allow, to: '/sites/museum' });
  assert.is(answer.headers['location'], '/sites/museum');
  assert.equal(world.calls.at(-1)?.args, ['museum', '.htaccess', 'Miriam Okafor']);
});

test('what is pressed in a live part leads back to its whole page', async () => {
  const me = await signedIn(fullWorld());
  const to = async (path: string): Promise<string | undefined> =>
    /name="to" value="([^"]*)"/.exec((await me.get(path)).text)?.[1];
  assert.is(await to('/sites/museum/live'), '/sites/museum');
  assert.is(await to('/sites/museum/live?page=2'), '/sites/museum?page=2');
  assert.is(await to('/sites/museum/live?view=syncing'), '/sites/museum/settings/syncing');
  assert.is(await to('/sites/museum/settings/commits'), '/sites/museum/settings/commits');
});

test('a damaged path allows nothing', async () => {
  const world = fullWorld();
  assert.is((await (await signedIn(world)).post(`${at}/allow`, { allow: '../%%' })).status, 422);
  assert.equal(world.calls, []);
});

test('accounts are added with a role and sites, changed and removed, and change their password', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.is((await me.post('/account/admins', { name: 'Jonas', password: 'short' })).status, 422);
  const form = { name: 'Jonas', password: 'correct horse battery' };
  assert.match((await me.post('/account/admins', form)).text, 'Choose a role');
  await me.post('/account/admins', { ...form, role: 'owner', 'site-museum': 'yes' });
  const page = await me.get('/account/admins');
  assert.match(page.text, 'The account Jonas is added');
  assert.equal(world.accounts.at(-1)?.sites, ['museum']);
  const one = await me.get('/account/admins/a4');
  assert.match(one.text, /name="role" value="owner" checked/);
  assert.match(one.text, /name="site-museum" value="yes" checked/);
  await me.post('/account/admins/a4', { role: 'viewer', which: 'all', 'site-museum': 'yes' });
  assert.equal([world.accounts.at(-1)?.role, world.accounts.at(-1)?.sites], ['viewer', undefined]);
  assert.match(page.text, '/account/admins/a4/remove');
  const wrong = await me.post('/account/password', { present: 'wrong', newPassword: 'correct horse battery' });
  assert.match(wrong.text, /id="present-error"[\s\S]*This is not your current password/);
  const right = await me.post('/account/password', { present: password, newPassword: 'another horse battery' });
  assert.is(right.status, 303);
  assert.match(String(right.headers['set-cookie']), 'mooring=session-2', 'whoever changed it stays signed in');
});

test('sort and filter of the dashboard are links that keep each other', async () => {
  const me = await signedIn(fullWorld());
  const page = await me.get('/?sort=name&state=in-sync');
  assert.match(page.text, 'aria-sort="ascending"');
  assert.match(page.text, 'href="/?state=in-sync"', 'back to the order of need');
  assert.match(page.text, 'name="sort" value="name"');
  assert.ok(page.text.indexOf('Council intranet') < page.text.indexOf('Tourism events'));
});

test('X-Forwarded-For is believed only from the proxies that were named', async () => {
  const world = fullWorld();
  const asked: string[] = [];
  const deps = {
    ...world.deps,
    accounts: {
      ...world.deps.accounts,
      check: async (_name: string, _password: string, address: string) => void asked.push(address),
    },
  };
  const cookie = 'visitor-cookie-of-a-test';
  const ask = async (trustedProxies: string[], forwarded: string) => {
    const app = createApp({ ...deps, about: { ...deps.about, trustedProxies } } as typeof world.deps).callback();
    await request(app)
      .post('/sign-in')
      .type('form')
      .set({ Cookie: `mooring-visitor=${cookie}`, 'X-Forwarded-For': forwarded, ...ours })
      .send({ token: world.deps.sessions.visitorToken(cookie), name: 'x', password: 'y' });
    return asked.at(-1) ?? '';
  };
  assert.match(await ask([], '203.0.113.9'), /127\.0\.0\.1$/);
  assert.match(await ask(['10.0.0.0/8'], '203.0.113.9'), /127\.0\.0\.1$/);
  assert.is(await ask(['127.0.0.1', '::1'], '198.51.100.1, 203.0.113.9'), '203.0.113.9', 'the left may be forged');
  assert.is(await ask(['127.0.0.0/8', '::1', '10.0.0.0/8'], '203.0.113.9, 10.0.0.7'), '203.0.113.9');
  assert.match(await ask(['127.0.0.1', '::1'], 'unknown'), /127\.0\.0\.1$/);
  assert.is(await ask(['127.0.0.1', '::1'], '[2001:db8::5]:443'), '2001:db8::5');
  assert.is(
    await ask(['127.0.0.1', '::1'], '203.0.113.9:50123'),
    '203.0.113.9',
    'each connection has limits of its own',
  );
  assert.is(await ask(['127.0.0.0/8', '::1'], '198.51.100.1, not-an-address, 203.0.113.9'), '203.0.113.9');
});

test('hostile names stay text on every page', async () => {
  const world = fullWorld();
  const evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e\u001b[2J';
  world.sites = world.sites.map((one) => ({
    ...one,
    name: evil,
    folder: `/srv/${evil}`,
    ...(one.binding
      ? { binding: { ...one.binding, projectPath: evil, branch: evil as never, webUrl: 'javascript:alert(1)' } }
      : {}),
    settings: { ...one.settings, subject: evil, author: { name: evil, email: evil }, ignore: [evil], allow: [evil] },
  }));
  const path = pathFromText(evil);
  world.runs = [
    run('r1', { subject: evil, by: evil, output: evil, conflicts: [path], files: [{ mark: '+', path, to: 'site' }] }),
  ];
  world.acts = world.acts.map((act) => ({ ...act, by: evil, detail: evil }));
  world.conflicts = world.conflicts.map((one) => ({ ...one, path }));
  world.versions = { repository: Buffer.from(`a\n${evil} b\n`), site: Buffer.from(`a\n${evil} c\n`) };
  world.keptFiles = [{ path, bytes: 1 }];
  world.plan = { ...world.plan, secrets: [path], samples: [{ mark: '+', path, bytes: 1 }] };
  world.accounts = [...world.accounts, { id: 'a2', name: evil, role: 'viewer', createdAt: now }];
  world.systemChecks = [{ name: 'Git', result: 'bad', finding: evil, fix: evil }];
  world.attention = world.attention.map((one) => ({ ...one, title: evil, text: evil }));
  const me = await signedIn(world);
  const pages = {
    ...screens,
    tried: `${at}/ignored?path=${encodeURIComponent(evil)}`,
    remove: '/account/admins/a2/remove',
  };
  for (const [name, address] of Object.entries(pages)) {
    const { text } = await me.get(address);
    assert.not.match(text, /<img src=x/, name);
    assert.not.match(text, /<script>alert/, name);
    assert.not.match(text, 'javascript:', name);
    // In a field the raw text is what is being edited; everywhere else it is made visible.
    const shown = text.replace(/<(?:input|textarea)[^>]*>(?:[^<]*<\/textarea>)?/g, '').replace(/ value="[^"]*"/g, '');
    assert.not.match(shown, /[\u202e\u001b]/, name);
  }
});

test('a thousand sites: the page stays small and quick', async () => {
  const world = fullWorld();
  world.sites = Array.from({ length: 1_000 }, (_, i) =>
    site(`s${i}`, { name: `Site number ${i} of the council`, binding: binding(`group-${i % 40}/site-${i}`, 'main') }),
  );
  const states = ['in-sync', 'in-sync', 'hold', 'retrying', 'waiting'] as const;
  for (const [i, { id }] of world.sites.entries()) {
    const state = states[i % states.length] ?? 'in-sync';
    const problem = { code: 'gitlab-error', facts: { host: 'gitlab.example', status: '502' }, cause: 'x' } as const;
    world.statuses.set(id as SiteId, status(state, state === 'retrying' ? { problem, nextTryAt: now + 5_000 } : {}));
  }
  const me = await signedIn(world);
  const spent: number[] = [];
  let page = await me.get('/');
  for (let i = 0; i < 21; i += 1) {
    const begun = performance.now();
    page = await me.get(i % 2 === 0 ? '/' : '/?sort=name&q=site&page=3');
    spent.push(performance.now() - begun);
  }
  spent.sort((a, b) => a - b);
  const weight = Buffer.byteLength((await me.get('/')).text);
  console.log(
    `note: dashboard of 1,000 sites: ${weight} bytes, answer after ${spent[10]?.toFixed(1)} ms (median of 21)`,
  );
  assert.ok(weight <= 60_000, `${weight} bytes`);
  assert.is(page.text.match(/<tr role="row" data-text/g)?.length, 50);
});

test('no page of a usual world weighs more than 60 KB', async () => {
  const me = await signedIn(fullWorld());
  const weights: [string, number][] = [];
  for (const [name, path] of Object.entries(screens))
    weights.push([name, Buffer.byteLength((await me.get(path)).text)]);
  weights.sort((a, b) => b[1] - a[1]);
  console.log(
    `note: heaviest pages: ${weights
      .slice(0, 5)
      .map(([name, bytes]) => `${name} ${bytes}`)
      .join(', ')} bytes`,
  );
  assert.ok(weights.every(([, bytes]) => bytes <= 60_000));
});

test.run();
