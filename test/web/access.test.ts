import type { Layer } from '@koa/router';
import request from 'supertest';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createAccountActions, createApiTokenActions } from '../../src/actions/accounts.ts';
import type { ApiScope, Reach } from '../../src/model/account.ts';
import type { Numbered } from '../../src/model/event.ts';
import { Secret } from '../../src/model/secret.ts';
import type { SiteId } from '../../src/model/site.ts';
import { openStore } from '../../src/store/store.ts';
import { accessTable } from '../../src/web/access.ts';
import { createWeb } from '../../src/web/app.ts';
import { freshFolder, storeOptions } from '../store/fixtures.ts';
import { ours } from './browser.ts';
import { fullWorld, screens } from './content.ts';

const test = suite('access');

const [theirs, others] = ['museum' as SiteId, 'shop' as SiteId];
const password = 'correct horse battery';

const people = {
  admin: { role: 'admin' },
  'viewer of all': { role: 'viewer' },
  'viewer of the site': { role: 'viewer', sites: [theirs] },
  'viewer of another': { role: 'viewer', sites: [others] },
  'owner of the site': { role: 'owner', sites: [theirs] },
  'owner of another': { role: 'owner', sites: [others] },
} as const satisfies Record<string, Reach>;
type Name = keyof typeof people;
const names = Object.keys(people) as Name[];

/** The pages on real accounts, sessions and tokens; what they ask for is only noted. */
async function arrange() {
  const world = fullWorld();
  const store = await openStore(storeOptions(freshFolder(), { at: world.deps.now() }));
  const report = (): void => {};
  const connectionEnd = { endAllOf: async () => {} };
  const shared = { store: { ...store, sites: world.deps.sites }, connectionEnd, report };
  const accounts = createAccountActions(shared);
  const apiTokens = createApiTokenActions(shared);
  const deps = { ...world.deps, accounts, apiTokens, sessions: store.sessions };
  const { app, routers } = createWeb(deps);
  const server = app.callback();
  const cookies = new Map<Name, { cookie: string; token: string; id: string; tid: string }>();
  for (const name of names) {
    const account = await store.accounts.add(name, new Secret(password), people[name]);
    const { id, session } = await store.sessions.create(account);
    const { token } = await store.apiTokens.add({ name, accountId: account.id, scopes: ['read'] });
    cookies.set(name, { cookie: `mooring=${id}`, token: session.formToken, id: account.id, tid: token.id });
  }
  const person = (name: Name) => cookies.get(name) ?? { cookie: '', token: '', id: '', tid: '' };
  const ask = (method: string, path: string, headers: Record<string, string>, form: Record<string, string> = {}) =>
    method === 'GET'
      ? request(server).get(path).set(headers).redirects(0)
      : request(server)
          [method.toLowerCase() as 'post'](path)
          .type('form')
          .set({ ...ours, ...headers })
          .send(form)
          .redirects(0);
  const as = (name: Name, method: string, path: string, form: Record<string, string> = {}) =>
    ask(method, path, { Cookie: person(name).cookie }, { ...form, token: person(name).token });
  const tokenOf = async (name: Name, scope: ApiScope, sites?: readonly SiteId[]): Promise<string> => {
    const facts = { name: 'program', accountId: person(name).id, scopes: [scope], ...(sites ? { sites } : {}) };
    return (await apiTokens.add(facts, name)).text;
  };
  return { world, deps, store, accounts, routers, server, ask, as, person, tokenOf };
}

interface Known {
  readonly method: string;
  readonly pattern: string;
}

function routesOf(routers: readonly { readonly stack: readonly Layer[] }[]): readonly Known[] {
  const layers = routers.flatMap(({ stack }) => stack);
  return layers.flatMap(({ methods, path }) =>
    methods.filter((method) => method !== 'HEAD').map((method) => ({ method, pattern: String(path) })),
  );
}

/** A path of the route that is about the site, and about what is there. */
function pathOf(pattern: string, { aid = 'x', tid = 'x' } = {}): string {
  const values: Record<string, string> = { cid: 'k1', kid: 'kv1', side: 'site', aid, tid };
  const id = pattern.includes('/connections/:id') ? 'c1' : theirs;
  const path = pattern.replace(/:(\w+)/g, (_whole, name: string) => (name === 'id' ? id : (values[name] ?? 'x')));
  return pattern.endsWith('/file') ? `${path}?p=YQ` : path;
}

type Outcome = 'allowed' | 'refused' | 'hidden' | 'sign-in';

/** What the table says of one cell, told anew: not by the code that is tested. */
function expected({ pattern, method }: Known, { role, sites }: Reach): Outcome {
  const rule = accessTable.get(`${method} ${pattern}`);
  if (!rule) throw new Error(`${method} ${pattern} has no row`);
  if (rule.who === 'everybody' || rule.who === 'visitor') return 'allowed';
  if (/\/sites\/:id/.test(pattern) && sites && !sites.includes(theirs)) return 'hidden';
  if (rule.who === 'admin' && role !== 'admin') return 'refused';
  return rule.who === 'owner' && role === 'viewer' ? 'refused' : 'allowed';
}

function outcomeOf({ status, headers, text }: request.Response): Outcome {
  if (status === 303 && String(headers['location']).startsWith('/sign-in')) return 'sign-in';
  if (status === 403) return 'refused';
  return status === 404 && text.includes('Site not found') ? 'hidden' : 'allowed';
}

/** Streams do not end by themselves; signing out would end the session that the next cell needs. */
const isApart = ({ pattern }: Known): boolean =>
  ['/events', '/api/v1/events', '/sign-out', '/account/sign-out-everywhere', '/setup', '/sign-in'].includes(pattern) ||
  pattern.startsWith('/hooks/') ||
  pattern === '/account/admins/:aid/remove';

const isForPrograms = ({ pattern }: Known): boolean => pattern.startsWith('/api/') || pattern === '/metrics';

test('every route has a row, and every row a route', async () => {
  const { routers, store } = await arrange();
  const routes = routesOf(routers).map(({ method, pattern }) => `${method} ${pattern}`);
  assert.ok(routes.length > 90, `only ${routes.length} routes`);
  assert.equal(
    routes.filter((route) => !accessTable.has(route)),
    [],
    'routes without a row',
  );
  assert.equal(
    [...accessTable.keys()].filter((row) => !routes.includes(row)),
    [],
    'rows without a route',
  );
  await store.close();
});

test('every page and form answers each role as the table says', async () => {
  const { routers, as, ask, store, person } = await arrange();
  const wrong: string[] = [];
  let cells = 0;
  for (const route of routesOf(routers).filter((one) => !isApart(one) && !isForPrograms(one))) {
    const aid = person('viewer of all').id;
    for (const name of names) {
      const path = pathOf(route.pattern, { aid, tid: person(name).tid });
      const form = route.pattern === '/account/admins/:aid' ? { role: 'viewer' } : {};
      const found = outcomeOf(await as(name, route.method, path, form));
      const should = expected(route, people[name]);
      if (found !== should) wrong.push(`${route.method} ${route.pattern} as ${name}: ${found}, not ${should}`);
      cells += 1;
    }
    const rule = accessTable.get(`${route.method} ${route.pattern}`);
    if (rule?.who === 'everybody' || rule?.who === 'visitor') continue;
    const nobody = await ask(route.method, pathOf(route.pattern), {}).then(outcomeOf);
    const should = route.pattern.endsWith('/live') ? 'refused' : 'sign-in';
    if (nobody !== should) wrong.push(`${route.method} ${route.pattern} as nobody: ${nobody}`);
  }
  assert.equal(wrong, []);
  console.log(`note: ${cells} cells of roles and routes`);
  await store.close();
});

test('no page shows a link or a button that leads its reader to a refusal', async () => {
  const { as, store, world } = await arrange();
  const pages = [
    '/',
    '/activity',
    '/attention',
    '/system',
    '/guide',
    '/docs',
    '/docs/operate',
    '/account/tokens',
    '/account/password',
  ];
  const ofSites = Object.values(screens).filter((path) => /^\/sites\/(?!add)/.test(path) && !path.includes('slow'));
  const dead: string[] = [];
  for (const name of names.slice(1)) {
    const sites = (people[name] as Reach).sites ?? world.sites.map(({ id }) => id);
    for (const page of [...pages, ...ofSites]) {
      const { status, text } = await as(name, 'GET', page);
      if (status !== 200) continue;
      const links = [...text.matchAll(/<a [^>]*href="(\/[^"#]*)/g)].map(([, href = '']) => ['GET', href] as const);
      const forms = [...text.matchAll(/<form [^>]*method="post"[^>]*action="(\/[^"]*)"|formaction="(\/[^"]*)"/g)].map(
        ([, action, other = '']) => ['POST', action ?? other] as const,
      );
      for (const [method, target] of [...links, ...forms]) {
        if (/\/(?:sign-out|theme)|^\/(?:healthz|readyz)/.test(target)) continue;
        const site = /^\/sites\/([^/?]+)/.exec(target)?.[1];
        assert.ok(site === undefined || sites.includes(site as SiteId), `${page} shows ${name} ${target}`);
        // A form is only asked whether it may be sent: its answer to nothing is its own affair.
        const found = outcomeOf(await as(name, method, target.replaceAll('&amp;', '&')));
        if (found === 'refused' || found === 'hidden') dead.push(`${page} as ${name}: ${method} ${target}`);
      }
    }
  }
  assert.equal([...new Set(dead)], []);
  await store.close();
});

test('sites of other people are in no list, count, event or problem', async () => {
  const { as, store, world, deps } = await arrange();
  const hidden = world.sites.filter(({ id }) => id !== theirs);
  assert.ok(hidden.length > 5);
  for (const page of [
    '/',
    '/live',
    '/?q=a',
    '/activity',
    '/attention',
    '/system',
    '/account/tokens',
    `/sites/${theirs}`,
  ]) {
    const { status, text } = await as('owner of the site', 'GET', page);
    assert.is(status, 200, page);
    for (const { name, id } of hidden) {
      assert.not.ok(text.includes(name), `${page} tells of ${name}`);
      assert.not.ok(text.includes(`/sites/${id}`), `${page} leads to ${id}`);
    }
  }
  assert.match((await as('owner of the site', 'GET', '/')).text, '1 site');
  assert.is(world.calls.filter(({ name }) => name === 'decisions.chooseForEach').length, 0);
  assert.ok(deps.sites.all().length > 5);
  await store.close();
});

test('metrics tell of the sites that their reader sees, and of the installation only to who sees all', async () => {
  const { store, ask, tokenOf } = await arrange();
  const read = async (name: Name, sites?: readonly SiteId[]) => {
    const token = await tokenOf(name, 'read', sites);
    return (await ask('GET', '/metrics', { Authorization: `Bearer ${token}` })).text;
  };
  assert.is(await read('admin'), 'all\n');
  assert.is(await read('viewer of all'), 'all\n');
  assert.is(await read('owner of the site'), `${theirs}\n`);
  assert.is(await read('admin', [theirs]), `${theirs}\n`, 'a token of one site');
  await store.close();
});

test('a role or a site that is taken away is gone with the next request, and from an open stream', async () => {
  const { as, accounts, person, store, server, world, deps } = await arrange();
  const { id, cookie } = person('owner of the site');
  assert.is((await as('owner of the site', 'POST', `/sites/${theirs}/pause`)).status, 303);
  const listener = server as unknown as Parameters<typeof request>[0];
  const stream = request(listener).get('/events').set({ Cookie: cookie }).buffer(true);
  const answer = new Promise<string>((done) => {
    stream.parse((response, finish) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => finish(null, text));
    });
    void stream.then(({ body }) => done(body as string));
  });
  while (world.listeners.size === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const tell = (number: number, site: SiteId): void => {
    for (const each of world.listeners) each({ kind: 'status', site, id: number, at: 1 } as unknown as Numbered);
  };
  tell(1, theirs);
  tell(2, others);
  await accounts.setReach(id, { role: 'owner', sites: [others] }, 'admin');
  tell(3, theirs);
  tell(4, others);
  assert.is((await as('owner of the site', 'POST', `/sites/${theirs}/pause`)).status, 404);
  assert.is((await as('owner of the site', 'POST', `/sites/${others}/pause`)).status, 303);
  await accounts.setReach(id, { role: 'viewer' }, 'admin');
  assert.is((await as('owner of the site', 'POST', `/sites/${others}/pause`)).status, 403);
  await accounts.remove(id, 'admin');
  tell(5, theirs);
  const ids = [...(await answer).matchAll(/^id: (\d+)$/gm)].map(([, number]) => Number(number));
  assert.equal(ids, [1, 4]);
  assert.match((await as('owner of the site', 'GET', '/')).headers['location'] ?? '', '/sign-in');
  assert.is(deps.accounts.get(id), undefined);
  await store.close();
});

test('the last admin can neither be removed nor demoted, not even by two at once', async () => {
  const { as, accounts, person, store } = await arrange();
  const { id } = person('admin');
  const removed = await as('admin', 'POST', `/account/admins/${id}/remove`);
  assert.is(removed.status, 422);
  assert.match(removed.text, 'The last admin cannot be removed');
  const demoted = await as('admin', 'POST', `/account/admins/${id}`, { role: 'viewer' });
  assert.is(demoted.status, 422);
  assert.match(demoted.text, 'The last admin must stay an admin');
  const second = await accounts.add({ name: 'Second', password, role: 'admin' }, 'admin');
  const both = await Promise.allSettled(
    [id, second.id].map((each) => accounts.setReach(each, { role: 'viewer' }, 'admin')),
  );
  assert.is(both.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.is(accounts.all().filter(({ role }) => role === 'admin').length, 1);
  await store.close();
});

test('a token reaches as far as its account and itself, and for others a site does not exist', async () => {
  const { routers, tokenOf, ask, store } = await arrange();
  const wrong: string[] = [];
  const scopes: readonly ApiScope[] = ['read', 'sync', 'admin', 'commit-as'];
  // Told anew, not by the code that is tested.
  const gives: Record<ApiScope, string> = {
    read: 'read',
    sync: 'read sync',
    admin: 'read sync admin',
    'commit-as': 'read sync commit-as',
  };
  const holders: readonly { readonly name: Name; readonly sites?: readonly SiteId[] }[] = [
    { name: 'admin' },
    { name: 'admin', sites: [theirs] },
    { name: 'admin', sites: [others] },
    { name: 'viewer of all' },
    { name: 'owner of the site' },
    { name: 'owner of the site', sites: [others] },
    { name: 'owner of another' },
  ];
  const routes = routesOf(routers).filter((one) => isForPrograms(one) && !isApart(one));
  for (const { name, sites } of holders) {
    const account: Reach = people[name];
    const seesIt = (!account.sites || account.sites.includes(theirs)) && (!sites || sites.includes(theirs));
    const role = account.role === 'admin' && sites ? 'owner' : account.role;
    for (const scope of scopes) {
      const authorization = `Bearer ${await tokenOf(name, scope, sites)}`;
      for (const route of routes) {
        const rule = accessTable.get(`${route.method} ${route.pattern}`);
        const lacks = !gives[scope].split(' ').includes(rule?.scope ?? 'read');
        const byRole = expected(route, { role });
        const should = route.pattern.includes('/sites/:id') && !seesIt ? 'hidden' : lacks ? 'refused' : byRole;
        const found = outcomeOf(await ask(route.method, pathOf(route.pattern), { Authorization: authorization }));
        if (found !== should)
          wrong.push(`${route.method} ${route.pattern} as ${name} ${scope}: ${found}, not ${should}`);
      }
    }
  }
  assert.equal(wrong, []);
  await store.close();
});

test.run();
