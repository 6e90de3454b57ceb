import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createApp } from '../../src/web/app.ts';
import { launchBrowser } from '../support/browser.ts';
import { patienceMs } from '../support/until.ts';
import { fullWorld, screens } from './content.ts';
import { createWorld, password, publicUrl, type World } from './support.ts';
import { beat } from '../support/beat.ts';

const test = suite('pages in a browser');
const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

interface Scene {
  readonly world: World;
  readonly home: string;
  readonly browser: Browser;
}

/** The pages on a spare port, with a browser; everything ends with the test. */
async function scene(run: (scene: Scene) => Promise<void>, over: { account?: boolean } = {}): Promise<void> {
  const probe = createApp(createWorld({ publicUrl }).deps).listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  const home = `http://127.0.0.1:${port}`;
  const world = fullWorld({ publicUrl: home, ...over });
  const server: Server = createApp(world.deps).listen(port, '127.0.0.1');
  await once(server, 'listening');
  const browser = await launchBrowser();
  try {
    await run({ world, home, browser });
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

async function signIn(page: Page, home: string): Promise<void> {
  await page.goto(`${home}/sign-in`);
  await page.getByLabel('Name').fill('Miriam Okafor');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(`${home}/`);
}

/** What axe finds, of any severity, one line each. */
async function violations(page: Page, where: string): Promise<string[]> {
  await page.evaluate(axe);
  const found = await page.evaluate(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 160)).slice(0, 3).join(' | ')))`);
  return (found as string[]).map((line) => `${where}: ${line}`);
}

test('axe finds nothing on any page, light on a desktop and dark on a phone, dialogs included', () =>
  scene(async ({ home, browser }) => {
    const found: string[] = [];
    const looks = [
      { colorScheme: 'light', width: 1280 },
      { colorScheme: 'dark', width: 390 },
    ] as const;
    for (const { colorScheme, width } of looks) {
      const context = await browser.newContext({
        colorScheme,
        viewport: { width, height: 900 },
        reducedMotion: 'reduce',
      });
      const page = await context.newPage();
      page.setDefaultTimeout(patienceMs);
      await page.goto(`${home}/sign-in`);
      found.push(...(await violations(page, `sign-in ${colorScheme}`)));
      await signIn(page, home);
      for (const [name, path] of Object.entries(screens)) {
        beat(`${name}, ${colorScheme}, ${width} px`);
        await page.goto(home + path);
        // Folded parts count too.
        await page.evaluate(`for (const one of document.querySelectorAll('details')) one.open = true`);
        found.push(...(await violations(page, `${name} ${colorScheme}`)));
        const over = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
        if (Number(over) > 0) found.push(`${name} ${width}: ${String(over)} px too wide`);
      }
      for (const path of [
        '/sites/intranet/settings/syncing',
        '/sites/museum/kept/kv1',
        '/sites/parks/settings/syncing',
      ]) {
        await page.goto(home + path);
        await page.locator('a[data-asks]').first().click();
        await page.locator('dialog[open] .dialog-foot').waitFor();
        found.push(...(await violations(page, `dialog of ${path} ${colorScheme}`)));
      }
      await context.close();
    }
    assert.equal(found, []);
  }));

test('a page that waits shows how far the work is, and goes on when it is done', () =>
  scene(async ({ world, home, browser }) => {
    const gate = Promise.withResolvers<void>();
    world.gate = gate.promise;
    const page = await browser.newPage();
    page.setDefaultTimeout(patienceMs);
    await signIn(page, home);
    await page.goto(`${home}/sites/parks/confirm?project=12&branch=slow`);
    await page.getByText('Fetching, 8,120 of 21,400 objects').waitFor();
    await page.evaluate('globalThis.same = true');
    await page.waitForResponse(/\/waiting\?work=/);
    assert.is(await page.evaluate('globalThis.same'), true, 'the page was not loaded again');
    gate.resolve();
    await page.getByRole('heading', { name: 'Replace the files of Parks and gardens?' }).waitFor();
  }));

test('axe finds nothing on the set-up page, before and after a mistake', () =>
  scene(
    async ({ home, browser }) => {
      const found: string[] = [];
      for (const colorScheme of ['light', 'dark'] as const) {
        const page = await browser.newPage({ colorScheme });
        await page.goto(home);
        assert.is(new URL(page.url()).pathname, '/setup');
        found.push(...(await violations(page, `set-up ${colorScheme}`)));
        await page.getByRole('button').first().click();
        found.push(...(await violations(page, `set-up, sent empty, ${colorScheme}`)));
        await page.close();
      }
      assert.equal(found, []);
    },
    { account: false },
  ));

/** Moves the focus with Tab until it is on the wanted thing. */
async function tabTo(page: Page, name: string): Promise<void> {
  for (let i = 0; i < 80; i += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(
      `(() => { const e = document.activeElement; return (e.labels?.[0]?.textContent ?? e.getAttribute('aria-label') ?? e.textContent ?? '').trim() })()`,
    );
    if (String(at).startsWith(name)) return;
  }
  assert.unreachable(`Tab never reaches ${name}`);
}

test('connect, settings and restore work with the keyboard alone', () =>
  scene(async ({ world, home, browser }) => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patienceMs);
    await page.goto(`${home}/sign-in`);
    await tabTo(page, 'Name');
    await page.keyboard.type('Miriam Okafor');
    await page.keyboard.press('Tab');
    await page.keyboard.type(password);
    await page.keyboard.press('Enter');
    await page.waitForURL(`${home}/`);

    await page.goto(`${home}/sites/parks/settings/syncing`);
    await tabTo(page, 'Connect');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/repository');
    await tabTo(page, 'parks/gardens-site');
    await page.keyboard.press('Space');
    await page.locator('select[name=branch]').waitFor();
    await tabTo(page, 'Continue');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open] .tally').waitFor();
    await page.keyboard.press('Escape');
    assert.is(await page.locator('dialog[open]').count(), 0, 'Escape leaves every file as it was');
    assert.match(String(await page.evaluate('document.activeElement.textContent')), 'Continue', 'the focus goes back');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open] .tally').waitFor();
    await tabTo(page, 'Connect Self Hosted GitLab');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/settings/syncing');
    assert.ok(world.calls.some(({ name }) => name === 'connecting.confirm'));

    await page.goto(`${home}/sites/museum/settings/commits`);
    await tabTo(page, 'Subject');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('{site}: {summary}');
    await page.getByText('Museum website: Update 3 files').waitFor();
    await page.keyboard.press('Enter');
    await page.getByText('Saved.').waitFor();
    const sent = world.calls.findLast(({ name }) => name === 'settings.save')?.args[1] as { subject: string };
    assert.is(sent.subject, '{site}: {summary}');

    await page.goto(`${home}/sites/museum/kept/kv1`);
    await tabTo(page, 'Restore the whole folder');
    await page.keyboard.press('Enter');
    await page.locator('dialog[open] .dialog-foot').waitFor();
    await tabTo(page, 'Restore the whole folder');
    await page.keyboard.press('Enter');
    await page.getByText('is being restored').waitFor();
    assert.ok(world.calls.some(({ name }) => name === 'decisions.restore'));
  }));

test('settings, the tester and allowing a secret work without script', () =>
  scene(async ({ world, home, browser }) => {
    const context = await browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    page.setDefaultTimeout(patienceMs);
    await signIn(page, home);
    await page.goto(`${home}/sites/museum/settings/commits`);
    await page.getByLabel('Subject').fill('{site}: {summary}');
    await page.getByLabel('A fixed name and e-mail').check();
    await page.getByRole('button', { name: 'Update preview' }).click();
    await page.getByText('Museum website: Update 3 files').waitFor();
    assert.is(await page.getByLabel('A fixed name and e-mail').isChecked(), true, 'what was entered stays');
    await page.getByRole('main').getByRole('link', { name: 'Ignored paths' }).click();
    await page.getByLabel('Path in the site').fill('cache/a/b.html');
    await page.getByRole('button', { name: 'Test' }).click();
    await page.getByText('because its folder cache/ is').waitFor();
    await page.getByLabel('This site’s own list').fill('*.bak');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('Saved.').waitFor();
    await page.goto(`${home}/sites/parks/confirm?project=12&branch=main`);
    await page.getByRole('button', { name: 'Allow .env' }).click();
    await page.getByText('.env is allowed.').waitFor();
    assert.match(page.url(), '/sites/parks/confirm?project=12&branch=main');
    assert.equal(world.calls.find(({ name }) => name === 'settings.allow')?.args, ['parks', '.env', 'Miriam Okafor']);
  }));

test('allowing a secret in the dialog brings the question back', () =>
  scene(async ({ world, home, browser }) => {
    const page = await browser.newPage();
    page.setDefaultTimeout(patienceMs);
    await signIn(page, home);
    await page.goto(`${home}/sites/parks/repository`);
    await page.check('input[value="12"]');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Allow .env' }).click();
    await page.locator('dialog form[data-sent]').waitFor({ state: 'detached' });
    await page.locator('dialog[open] .tally').waitFor();
    assert.ok(world.calls.some(({ name }) => name === 'settings.allow'));
    assert.not.ok(world.calls.some(({ name }) => name === 'connecting.confirm'));
    assert.match(page.url(), '/repository');
  }));

test.run();
