import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createNotificationActions } from '../../src/actions/notifications.ts';
import type { NoticeWebhook, NoticeWebhookForm } from '../../src/model/notice.ts';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { parseHookUrl } from '../../src/net/outgoing.ts';
import { fullWorld } from '../web/content.ts';
import { signedIn, visitor } from '../web/browser.ts';

const test = suite('notifications page');
const at = '/account/notifications';

test('the page says which ways are on, who it goes to, what was sent and what failed', async () => {
  const { text } = await (await signedIn(fullWorld())).get(at);
  for (const words of [
    'web-team@northwick.example, ops@northwick.example',
    'mail.northwick.example port 587, encrypted by STARTTLS',
    'Mooring: Market shop is on hold',
    '4 tries since',
    'chat.northwick.example answered 404. The receiver no longer has this webhook',
    'Stored. Leave blank to keep it.',
  ])
    assert.match(text, words);
  assert.match(text, /aria-current="page">Notifications/);
});

test('with nothing set up it explains how to turn each way on', async () => {
  const world = fullWorld();
  world.notifications = { damaged: false };
  const { text } = await (await signedIn(world)).get(at);
  assert.match(text, 'MOORING_SMTP_URL_FILE=');
  assert.match(text, 'Set up a webhook');
  assert.not.match(text, 'Send a test');
  world.notifications = { damaged: true };
  assert.match((await (await signedIn(world)).get(at)).text, 'No messages are sent until you enter it again');
});

test('the webhook is saved by a form, and a box that is not ticked is off', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const form = { address: ' https://chat.example/x ', style: 'slack', header: 'X-Key', value: 'hush', on: 'yes' };
  const answer = await me.post(at, form);
  assert.is(answer.headers['location'], at);
  const saved = { address: 'https://chat.example/x', form: 'slack', header: 'X-Key', value: 'hush', on: true };
  assert.equal(world.calls.at(-1), { name: 'notifications.saveWebhook', args: [saved, 'Miriam Okafor'] });
  assert.match((await me.get(at)).text, 'The webhook is saved');
  await me.post(at, { ...form, on: '' });
  assert.is((await me.post(at, { address: 'https://chat.example/x', style: 'json' })).status, 303);
  assert.is((world.calls.at(-1)?.args[0] as NoticeWebhookForm).on, false);
});

test('a fault stands beside its field, what was entered stays, and the secret does not come back', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const form = { address: '"><script>', style: 'slack', header: 'X-Key', value: 'a secret value', on: 'yes' };
  world.failing.set(
    'notifications.saveWebhook',
    new Problem('form-invalid', { address: 'Only https:// can be used.' }),
  );
  const answer = await me.post(at, form);
  assert.is(answer.status, 422);
  assert.match(answer.text, /id="address-error"[\s\S]*Only https:\/\/ can be used/);
  assert.match(answer.text, 'value="&quot;&gt;&lt;script&gt;"');
  assert.not.match(answer.text, 'a secret value');
  for (const [field, wrong] of [
    ['style', 'yaml'],
    ['value', 'x\r\nX-Evil: 1'],
    ['value', 'sp\u00fcre'],
    ['value', 'trailing '],
    ['header', 'X\u0007'],
  ] as const) {
    const refused = await me.post(at, { ...form, [field]: wrong });
    assert.is(refused.status, 422, field);
    assert.match(refused.text, `id="${field}-error"`, field);
    assert.not.match(refused.text, 'X-Evil');
  }
});

test('a test says what was sent, what came back and what to do', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  await me.post(`${at}/test`, { channel: 'mail' });
  assert.equal(world.calls.at(-1), { name: 'notifications.test', args: ['mail', 'Miriam Okafor'] });
  const good = (await me.get(at)).text;
  assert.match(good, 'A test went out by e-mail');
  assert.match(good, 'It goes to web-team@northwick.example, ops@northwick.example. The server says: 250 Accepted');
  world.delivery = { kind: 'bad', happened: 'chat.example answered 404 <b>.', todo: 'Make a new one.' };
  assert.is((await me.post(`${at}/test`, { channel: 'webhook' })).status, 303);
  const bad = (await me.get(at)).text;
  assert.match(bad, 'The test could not be sent to the webhook');
  assert.match(bad, '<li>chat.example answered 404 &lt;b&gt;.</li><li>Make a new one.</li>');
});

test('hostile words of others stay text', async () => {
  const world = fullWorld();
  const evil = '"><script>alert(1)</script>\u202e\u001b[2J';
  const record = {
    sent: { at: 1, subject: evil },
    failure: { first: 1, at: 1, times: 1, happened: evil, todo: evil },
  };
  world.notifications = {
    mail: { from: evil, to: [evil], server: evil, tls: 'none', record },
    webhook: { on: true, form: 'json', address: 'https://x.example/"><b>', host: evil, header: evil, record },
    damaged: false,
  };
  world.delivery = { kind: 'good', said: evil };
  const me = await signedIn(world);
  await me.post(`${at}/test`, { channel: 'mail' });
  const { text } = await me.get(at);
  assert.not.match(text, /<script>alert|"><b>/);
  assert.not.match(text.replace(/<input[^>]*>/g, ''), /[\u202e\u001b]/);
});

test('nobody who is not signed in sees it, changes it or sends a test', async () => {
  const world = fullWorld();
  const nobody = visitor(world);
  assert.match(String((await nobody.get(at)).headers['location']), '/sign-in');
  for (const path of [at, `${at}/test`])
    assert.is.not((await nobody.post(path, { address: 'https://x.example' })).status, 200);
  const me = await signedIn(world);
  for (const path of [at, `${at}/test`]) {
    assert.is((await me.post(path, { token: 'wrong', channel: 'mail' })).status, 403);
    assert.is((await me.post(path, {}, { 'Sec-Fetch-Site': 'cross-site' })).status, 403);
  }
  assert.equal(
    world.calls.filter(({ name }) => name.startsWith('notifications.')),
    [],
  );
});

test('a failing way is told under Attention, with the way to its page', async () => {
  const world = fullWorld();
  world.attention = [
    { kind: 'notify', tone: 'bad', title: 'Nobody is told by e-mail', text: 'x', help: 'notifications', sites: [] },
  ];
  assert.match((await (await signedIn(world)).get('/attention')).text, `href="${at}">Open Notifications`);
});

/** The acts with a store in memory. */
function acts(before?: NoticeWebhook) {
  const held: { webhook: NoticeWebhook | undefined } = { webhook: before };
  const done: string[] = [];
  const made = createNotificationActions({
    config: {},
    store: { notify: { webhook: () => held.webhook, setWebhook: async (webhook) => void (held.webhook = webhook) } },
    notices: {
      notifier: {
        record: () => ({}),
        changed: async (channel) => void done.push(`tries ${channel} anew`),
        test: async () => ({ kind: 'good', said: '' }),
      },
    },
    parseHookUrl,
    report: ({ by, act, detail }) => void done.push(`${by} ${act} ${detail}`),
  });
  return { held, done, made };
}

const typed: NoticeWebhookForm = { on: true, form: 'json', address: 'https://chat.example/x', header: '', value: '' };

async function faults(
  form: Partial<NoticeWebhookForm>,
  before?: NoticeWebhook,
): Promise<Readonly<Record<string, string>>> {
  const { held, made } = acts(before);
  try {
    await made.saveWebhook({ ...typed, ...form }, 'Ana');
  } catch (error) {
    assert.ok(error instanceof Problem && error.code === 'form-invalid');
    assert.is(held.webhook, before, 'nothing is saved');
    return error.facts;
  }
  return {};
}

test('a change is saved, tried anew and stands in the activity', async () => {
  const { held, done, made } = acts();
  await made.saveWebhook({ ...typed, header: 'X-Key', value: 'hush' }, 'Ana');
  assert.is(held.webhook?.header?.value.open(), 'hush');
  assert.equal(done, ['tries webhook anew', 'Ana changed-settings notifications']);
  assert.not.match(JSON.stringify(made.view()), 'hush');
  await made.saveWebhook({ ...typed, address: 'https://chat.example/y', header: 'X-Key' }, 'Ana');
  assert.is(held.webhook?.header?.value.open(), 'hush', 'left blank, it stays');
  await made.saveWebhook(typed, 'Ana');
  assert.is(held.webhook?.header, undefined, 'without a name there is none');
});

test('what was altered in the file closes neither the page nor the way to put it right', async () => {
  let saved: NoticeWebhook | undefined;
  const made = createNotificationActions({
    config: {},
    store: {
      notify: {
        webhook() {
          throw new Problem('store-damaged', { record: 'notification address' });
        },
        setWebhook: async (webhook) => void (saved = webhook),
      },
    },
    notices: {
      notifier: { record: () => ({}), changed: async () => {}, test: async () => ({ kind: 'good', said: '' }) },
    },
    parseHookUrl,
    report: () => undefined,
  });
  assert.equal(made.view(), { damaged: true });
  await made.saveWebhook(typed, 'Ana');
  assert.is(saved?.address.open(), 'https://chat.example/x');
});

test('a stored value never goes to another receiver', async () => {
  const before: NoticeWebhook = {
    on: true,
    form: 'json',
    address: new Secret('https://chat.example/x'),
    header: { name: 'X-Key', value: new Secret('hush') },
  };
  for (const address of ['https://evil.example/x', 'https://chat.example:8443/x', 'http://chat.example/x'])
    assert.match(
      (await faults({ address, header: 'X-Key' }, before))['value'] ?? '',
      'meant for the old address',
      address,
    );
  assert.equal(await faults({ address: 'https://evil.example/x', header: 'X-Key', value: 'new' }, before), {});
});

test('what cannot be called or sent is said beside its field', async () => {
  assert.match((await faults({ address: '' }))['address'] ?? '', 'Enter the address');
  assert.match((await faults({ address: 'https://u:p@chat.example/' }))['address'] ?? '', 'user name or password');
  assert.match((await faults({ address: 'http://169.254.169.254/' }))['address'] ?? '', 'never called');
  assert.match((await faults({ header: 'X Key', value: 'x' }))['header'] ?? '', 'letters, digits and hyphens');
  assert.match((await faults({ header: 'Host', value: 'x' }))['header'] ?? '', 'cannot be set');
  assert.match((await faults({ header: 'X-Key' }))['value'] ?? '', 'Enter the value');
  assert.match((await faults({ value: 'x' }))['header'] ?? '', 'Enter the name');
});

test.run();
