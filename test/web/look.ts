import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { chromium, type BrowserContext } from 'playwright-core';
import { createApp } from '../../src/web/app.ts';
import { fullWorld, screens } from './content.ts';
import { createWorld, password, publicUrl } from './support.ts';

/** Takes pictures of every page: `node test/web/look.ts DIR [name…]`. Not a test: the eye judges. */
const [folder = '/tmp/look', ...only] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const probe = createApp(createWorld({ publicUrl }).deps).listen(0, '127.0.0.1');
await once(probe, 'listening');
const port = (probe.address() as AddressInfo).port;
await new Promise((done) => probe.close(done));

const home = `http://127.0.0.1:${port}`;
const world = fullWorld({ publicUrl: home });
const server = createApp(world.deps).listen(port, '127.0.0.1');
await once(server, 'listening');
const browser = await chromium.launch({
  executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
});
const complaints: string[] = [];

for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
    await walk(context, `${width}-${colorScheme}`);
    await context.close();
  }
}
await browser.close();
server.close();
server.closeAllConnections();
console.log(complaints.length === 0 ? 'No complaint of the browser.' : [...new Set(complaints)].join('\n'));

async function walk(context: BrowserContext, suffix: string): Promise<void> {
  const page = await context.newPage();
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
}
