import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowserContext } from 'playwright-core';
import { createApp } from '../../src/web/app.ts';
import { launchBrowser } from '../support/browser.ts';
import { patienceMs } from '../support/until.ts';
import { fullWorld, screens } from './content.ts';
import { createWorld, password, publicUrl, type World } from './support.ts';

/** Takes pictures of every page: `node test/web/look.ts DIR [name…]`. Not a test: the eye judges. */
const [folder = 'look', ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const servers: Server[] = [];
const home = await serve(fullWorld);
const browser = await launchBrowser();
const complaints: string[] = [];

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
    await walk(context, `${width}-${colorScheme}`);
    await context.close();
  }
}
await browser.close();
for (const server of servers) {
  server.close();
  server.closeAllConnections();
}
console.log(complaints.length === 0 ? 'No complaint of the browser.' : [...new Set(complaints)].join('\n'));

/** Links are made from the public URL, so the port must be known before there is a world. */
async function serve(worldOf: (over: { publicUrl: string }) => World): Promise<string> {
  const probe = createApp(createWorld({ publicUrl }).deps).listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  const at = `http://127.0.0.1:${port}`;
  const server = createApp(worldOf({ publicUrl: at }).deps).listen(port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return at;
}

async function walk(context: BrowserContext, suffix: string): Promise<void> {
  const page = await context.newPage();
  page.setDefaultTimeout(patienceMs);
  let where = 'sign-in';
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${where}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${where}: ${error.message}`));
  const shoot = async (name: string): Promise<void> => {
    if (only.length > 0 && !only.includes(name)) return;
    await page.screenshot({ path: `${folder}/${name}-${suffix}.png`, fullPage: true });
    const over = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    if (Number(over) > 0) complaints.push(`${name} ${suffix}: ${String(over)} px too wide`);
  };
  await page.goto(`${home}/sign-in`);
  await shoot('sign-in');
  await page.fill('#name', 'Miriam Okafor');
  await page.fill('#password', password);
  await page.click('main button');
  for (const [name, path] of Object.entries(screens)) {
    if (only.length > 0 && !only.includes(name)) continue;
    where = `${name} ${suffix}`;
    await page.goto(home + path);
    await shoot(name);
  }
  where = `dialog ${suffix}`;
  await page.goto(`${home}/sites/parks/repository`);
  await page.check('input[value="12"]');
  await page.click('text=Continue');
  await page.waitForSelector('dialog[open] .tally');
  await page.screenshot({ path: `${folder}/dialog-${suffix}.png` });
  await page.goto(`${home}/account/gitlab`);
  await page.click('button:has-text("Test connection")');
  await page.waitForSelector('.checks');
  await shoot('account-tested');
  where = `nothing yet ${suffix}`;
  const bare = await serve((over) => createWorld({ ...over, account: false }));
  await page.goto(bare);
  await shoot('setup');
  await page.fill('#code', 'kelp-4417-bight');
  await page.fill('#name', 'Miriam Okafor');
  await page.fill('#password', password);
  await page.click('main button');
  for (const [name, path] of Object.entries({
    'dashboard-empty': '/',
    'account-new': '/account/gitlab',
    'attention-none': '/attention',
  })) {
    await page.goto(bare + path);
    await shoot(name);
  }
}
