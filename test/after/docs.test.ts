import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/after/command.ts';
import { readConfig } from '../../src/config.ts';
import { outgoingEndpoints } from '../../src/web/api/outgoing.ts';
import { systemClock } from '../../src/world.ts';
import { freePort } from '../support/daemon.ts';
import { scratch } from '../support/plain-git.ts';
import { until } from '../support/until.ts';

/** What docs/after-a-sync.md shows is run as it stands, as far as this machine has what it needs. */
const test = suite('docs/after-a-sync.md');

const page = readFileSync(join(import.meta.dirname, '../../docs/after-a-sync.md'), 'utf8');
const blocks = (kind: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(([, block = '']) => block);
const sample = JSON.parse(blocks('json')[0] ?? '') as { changes: { path: string }[]; site: { id: string } };
const input = (path: string): string => `${JSON.stringify({ ...sample, changes: [{ path, change: 'changed' }] })}\n`;

async function ran(script: string, text: string, dir: string) {
  const path = join(dir, 'program');
  writeFileSync(path, script, { mode: 0o755 });
  const signal = new AbortController().signal;
  return runProgram(path, text, { limitMs: 30_000, clock: systemClock, signal });
}

test('the settings are accepted', () => {
  const env = Object.fromEntries(
    (blocks('ini')[0] ?? '')
      .trim()
      .split('\n')
      .map((line) => line.split('=')),
  );
  const { after } = readConfig({ PATH: process.env['PATH'], ...env }, { terminal: false, uid: 1_500 });
  assert.equal(after.programs, {
    'after-pull': '/usr/local/lib/mooring/after-pull',
    'after-push': '/usr/local/lib/mooring/after-push',
  });
});

test('clear a cache: that of the site goes, that of others stays', async () => {
  const { dir, remove } = scratch();
  try {
    const cache = join(dir, 'cache');
    for (const id of [sample.site.id, 'other']) {
      mkdirSync(join(cache, id, 'deep'), { recursive: true });
      writeFileSync(join(cache, id, 'deep', 'page.html'), 'cached');
    }
    const script = (blocks('sh')[0] ?? '').replace('/var/cache/pages', cache);
    const { code, output } = await ran(script, input('a"b.html'), dir);
    assert.is(code, 0, output);
    assert.match(output, 'cleared');
    assert.not(existsSync(join(cache, sample.site.id, 'deep')));
    assert.ok(existsSync(join(cache, 'other', 'deep', 'page.html')));
    assert.is((await ran(script, '{}\n', dir)).code, 0);
  } finally {
    remove();
  }
});

test('reload PHP-FPM: asked for only where PHP files changed; the units are valid', async () => {
  const { dir, remove } = scratch();
  try {
    const script = (blocks('sh')[1] ?? '').replace('/run/mooring/', `${dir}/`);
    const asked = (): boolean => existsSync(join(dir, 'reload-php'));
    assert.is((await ran(script, input('index.html'), dir)).code, 0);
    assert.not(asked());
    assert.match((await ran(script, input('index.php'), dir)).output, 'reload requested');
    assert.ok(asked());
    console.log('not run here: the reload itself, since tests must not start units of this machine');
    const [path = '', service = '', more = ''] = blocks('systemd');
    const units = join(dir, 'units');
    mkdirSync(join(units, 'mooring.service.d'), { recursive: true });
    for (const [name, text] of Object.entries({
      'mooring-reload-php.path': path,
      // A program that is on every machine with systemd, and that nobody starts here.
      'mooring-reload-php.service': service.replace('/usr/bin/systemctl', '/bin/true'),
      'mooring.service': '[Service]\nType=oneshot\nExecStart=/bin/true\n',
      'mooring.service.d/after.conf': more,
    }))
      writeFileSync(join(units, name), text);
    const files = ['mooring-reload-php.path', 'mooring-reload-php.service', 'mooring.service'];
    const { error, stdout, stderr } = spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', ...files.map((name) => join(units, name))],
      { encoding: 'utf8', env: { ...process.env, SYSTEMD_UNIT_PATH: `${units}:` } },
    );
    if (error) return console.log('not run here: there is no systemd-analyze to verify the units');
    assert.not.match(stdout + stderr, /mooring/, stdout + stderr);
  } finally {
    remove();
  }
});

test('build with a generator: the receiver starts it for a signed call, once', async () => {
  const { dir, remove } = scratch();
  let receiver: ChildProcess | undefined;
  try {
    const build = join(dir, 'build-site');
    writeFileSync(build, `#!/bin/sh\necho "$1" >> ${join(dir, 'built')}\n`);
    chmodSync(build, 0o755);
    symlinkSync(join(import.meta.dirname, '../../node_modules'), join(dir, 'node_modules'));
    writeFileSync(join(dir, 'receiver.mjs'), (blocks('js')[0] ?? '').replace('/usr/local/bin/build-site', build));
    const [port, key] = [await freePort(), Buffer.alloc(24, 3)];
    const secret = `whsec_${key.toString('base64')}`;
    const env = { PATH: process.env['PATH'], PORT: String(port), WEBHOOK_SECRET: secret };
    receiver = spawn(process.execPath, [join(dir, 'receiver.mjs')], { env, stdio: 'inherit' });
    const call = async (by: Buffer, id = 'msg_1'): Promise<number> => {
      const body = JSON.stringify({ type: 'pulled', timestamp: '', data: { commit: '0f9e8d7c' } });
      const timestamp = String(Math.floor(Date.now() / 1_000));
      const signed = createHmac('sha256', by).update(`${id}.${timestamp}.${body}`).digest('base64');
      const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signed}` };
      return (await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', headers, body })).status;
    };
    assert.is(await until('the receiver answers', () => call(Buffer.alloc(24, 4))), 401);
    assert.is(await call(key), 202);
    assert.is(await call(key), 202);
    assert.is(await call(key, 'msg_2'), 202);
    const built = (): string => (existsSync(join(dir, 'built')) ? readFileSync(join(dir, 'built'), 'utf8') : '');
    await until('both builds ran', () => built() === '0f9e8d7c\n0f9e8d7c\n');
  } finally {
    receiver?.kill();
    remove();
  }
});

test('the example of the API has a body that the endpoint takes', () => {
  const body: unknown = JSON.parse(/-d '(.*)'/.exec(blocks('sh')[2] ?? '')?.[1] ?? '');
  const add = outgoingEndpoints.find(({ method, path }) => method === 'post' && path === '/webhooks');
  assert.is(add?.body?.safeParse(body).success, true);
});

test.run();
