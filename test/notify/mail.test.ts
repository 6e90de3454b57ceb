import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MailSettings, Message } from '../../src/model/notice.ts';
import { Secret } from '../../src/model/secret.ts';
import { createMail, type MailLimits } from '../../src/notify/mail.ts';
import { headerOf, type MailServer, mailServer } from '../support/mail-server.ts';
import { makeCertificates } from '../net/certificates.ts';
import { listenRaw, realClock } from '../net/support.ts';
import { noon } from './support.ts';

const test = suite('e-mail');

const message: Message = {
  kind: 'news',
  at: noon,
  subject: 'Mooring: Café is on hold',
  lead: 'This message is sent once.',
  entries: [
    {
      state: 'began',
      kind: 'hold',
      since: Date.UTC(2026, 10, 19, 12),
      words: { title: 'Café is on hold', happened: 'A.', untouched: 'B.', todo: 'C.' },
      sites: [{ id: 's1', name: 'Café', repository: 'town/café', branch: 'main', link: 'https://m.example/sites/s1' }],
      moreSites: 0,
    },
  ],
  more: 0,
  link: 'https://m.example/',
};

const settings = (over: Partial<MailSettings>): MailSettings => ({
  host: 'localhost',
  port: 1,
  tls: 'none',
  from: 'Mooring <mooring@example.org>',
  to: ['web@example.org', 'ops@example.org'],
  ...over,
});

const send = (over: Partial<MailSettings>, { ca = '', limits, what = message }: Sending = {}) =>
  createMail({ settings: settings(over), ca: () => ca, clock: realClock, ...(limits ? { limits } : {}) })(what);

interface Sending {
  ca?: string;
  limits?: MailLimits;
  what?: Message;
}

async function within(
  options: Parameters<typeof mailServer>[0],
  use: (server: MailServer) => Promise<void>,
): Promise<void> {
  const server = await mailServer(options);
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

test('a letter arrives with its words, for everybody, marked as written by a program', () =>
  within({}, async (server) => {
    const delivery = await send({ port: server.port });
    assert.is(delivery.kind, 'good');
    assert.match(delivery.kind === 'good' ? delivery.said : '', /^250 /);
    const [letter] = server.letters;
    assert.equal(letter?.to, ['web@example.org', 'ops@example.org']);
    assert.is(letter?.from, 'mooring@example.org');
    assert.is(headerOf(letter!, 'Subject'), 'Mooring: Café is on hold');
    assert.is(headerOf(letter!, 'From'), 'Mooring <mooring@example.org>');
    assert.is(headerOf(letter!, 'Auto-Submitted'), 'auto-generated');
    assert.match(headerOf(letter!, 'Content-Type'), 'text/plain');
    assert.is(
      letter?.body.trim(),
      [
        'This message is sent once.',
        '',
        'Café is on hold',
        'Since 2026-11-19 12:00 UTC',
        'What happened: A.',
        'What was not touched: B.',
        'What to do: C.',
        'Site Café, repository town/café, branch main:',
        'https://m.example/sites/s1',
        '',
        'Mooring: https://m.example/',
      ].join('\n'),
    );
  }));

test('a subject with line breaks makes no header, and a body with dots alone ends nothing', () =>
  within({}, async (server) => {
    const what = {
      ...message,
      subject: 'a\r\nBcc: evil@example.com\r\n\r\nbody\u2028x\u0000',
      lead: '.\r\n.\nQUIT',
    };
    await send({ port: server.port }, { what });
    const [letter] = server.letters;
    assert.equal(letter?.to, ['web@example.org', 'ops@example.org']);
    assert.not.ok(letter?.headers.some((line) => /^bcc/i.test(line)));
    assert.is(headerOf(letter!, 'Subject'), 'a\\x0d\\x0aBcc: evil@example.com\\x0d\\x0a\\x0d\\x0abody\\u{2028}x\\x00');
    assert.match(letter?.body ?? '', '.\n.\nQUIT');
    assert.is(server.letters.length, 1);
  }));

const certificates = makeCertificates();

test('the certificate is checked: nothing is sent to an unknown authority or under another name', async () => {
  const { ca, good, foreign, expired } = certificates;
  const cases = [
    { name: 'unknown authority', server: good, trusted: '' },
    { name: 'another name', server: foreign, trusted: ca },
    { name: 'expired', server: expired, trusted: ca },
  ];
  for (const tls of ['starttls', 'from-the-start'] as const) {
    for (const { name, server: options, trusted } of cases) {
      await within({ ...options, secure: tls === 'from-the-start' }, async (server) => {
        const delivery = await send({ port: server.port, tls }, { ca: trusted });
        assert.is(delivery.kind, 'bad', `${tls} ${name}`);
        assert.match(delivery.kind === 'bad' ? delivery.happened : '', 'certificate', `${tls} ${name}`);
        assert.is(server.letters.length, 0, `${tls} ${name}`);
      });
    }
    await within({ ...good, secure: tls === 'from-the-start' }, async (server) => {
      assert.is((await send({ port: server.port, tls }, { ca })).kind, 'good', tls);
      assert.is(server.letters[0]?.secure, true);
    });
  }
});

test('a password goes only through encryption, and a wrong one is told with what to do', async () => {
  const login = { user: 'mooring', password: new Secret('open-sesame') };
  const offered: string[] = [];
  const onAuth: NonNullable<Parameters<typeof mailServer>[0]>['onAuth'] = (auth, _session, done) => {
    offered.push(auth.password ?? '');
    if (auth.password === 'open-sesame') done(null, { user: auth.username ?? '' });
    else done(new Error('No such user'));
  };
  await within({ onAuth, allowInsecureAuth: true }, async (server) => {
    const delivery = await send({ port: server.port, tls: 'starttls', ...login });
    assert.match(delivery.kind === 'bad' ? delivery.happened : '', 'offers no encryption');
    assert.equal(offered, [], 'the server speaks in the clear, so it learns nothing');
    assert.equal(server.letters, []);
  });
  await within({ ...certificates.good, onAuth }, async (server) => {
    const over = { port: server.port, tls: 'starttls' } as const;
    assert.is((await send({ ...over, ...login }, { ca: certificates.ca })).kind, 'good');
    assert.is(server.letters[0]?.user, 'mooring');
    const wrong = { user: 'mooring', password: new Secret('wrong-password') };
    const delivery = await send({ ...over, ...wrong }, { ca: certificates.ca });
    assert.match(delivery.kind === 'bad' ? delivery.happened : '', 'does not accept the name or the password');
    assert.match(delivery.kind === 'bad' ? delivery.todo : '', 'MOORING_SMTP_URL');
    assert.not.match(JSON.stringify(delivery), 'wrong-password');
  });
});

test('whom the server refuses is said', () =>
  within(
    { onRcptTo: (address, _session, done) => done(new Error(`no mailbox ${address.address}`)) },
    async (server) => {
      const delivery = await send({ port: server.port });
      assert.match(delivery.kind === 'bad' ? delivery.happened : '', 'refuses the sender or who it goes to');
      assert.match(delivery.kind === 'bad' ? delivery.happened : '', 'no mailbox');
    },
  ));

test('one who is refused among others is said too', () =>
  within(
    {
      onRcptTo: (address, _session, done) => done(address.address.startsWith('ops') ? new Error('no mailbox') : null),
    },
    async (server) => {
      const delivery = await send({ port: server.port });
      assert.match(delivery.kind === 'good' ? delivery.said : '', 'Refused: ops@example.org');
      assert.equal(server.letters[0]?.to, ['web@example.org']);
    },
  ));

test('a server that is not there, is silent or drips holds nobody for ever', async () => {
  const limits = { connectMs: 300, idleMs: 300, totalMs: 600 };
  const gone = await listenRaw(() => undefined);
  await gone.close();
  const refused = await send({ port: gone.port }, { limits });
  assert.match(refused.kind === 'bad' ? refused.happened : '', `localhost port ${gone.port} could not be reached`);
  const silent = await listenRaw(() => undefined);
  const mute = await send({ port: silent.port }, { limits: { connectMs: 300, idleMs: 60_000, totalMs: 10_000 } });
  assert.match(mute.kind === 'bad' ? mute.happened : '', /could not be reached: .*greeting/i);
  await silent.close();
  // Each line comes in time, and the greeting never ends.
  const dripping = await listenRaw((socket) => {
    const timer = setInterval(() => socket.write('220-wait\r\n'), 50);
    socket.on('close', () => clearInterval(timer));
  });
  const late = await send({ port: dripping.port }, { limits: { ...limits, connectMs: 60_000, idleMs: 60_000 } });
  assert.match(late.kind === 'bad' ? late.happened : '', 'did not take the message in time');
  await dripping.close();
});

test.run();
