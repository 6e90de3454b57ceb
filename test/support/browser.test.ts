import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { browserName, launchBrowser } from './browser.ts';

const browser = suite('browser');

browser('it opens a page of ours, draws it, and obeys the policy of the page', async () => {
  const server = createServer((_, response) => {
    response.setHeader('Content-Security-Policy', "default-src 'none'");
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.end(`<title>Ahoy</title><h1>Móoring</h1><script>document.title = 'inline script ran'</script>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const opened = await launchBrowser();
  try {
    const page = await opened.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    assert.is(await page.title(), 'Ahoy');
    assert.is(await page.textContent('h1'), 'Móoring');
    const picture = await page.screenshot();
    assert.ok(picture.length > 1_000);
    if (process.env['MOORING_TEST_PICTURE']) writeFileSync(process.env['MOORING_TEST_PICTURE'], picture);
    console.log(`note: browser ${await browserName()} ${opened.version()}`);
  } finally {
    await opened.close();
    server.close();
  }
});

browser.run();
