import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readConfig, type Config } from '../src/config.ts';
import { Problem } from '../src/model/problem.ts';
import { variables } from '../src/settings.ts';
import { exampleEnv, exampleEnvPath } from './support/example-env.ts';

const config = suite('config');
const PATH = process.env['PATH'];
const around = { terminal: false, uid: 1000 };

const read = (env: Record<string, string> = {}): Config => readConfig({ PATH, ...env }, around);

function faultsOf(env: Record<string, string>): string[] {
  try {
    read(env);
  } catch (error) {
    if (error instanceof Problem && error.code === 'config-invalid') return error.facts['text']?.split('\n') ?? [];
    throw error;
  }
  return [];
}

config('with nothing set, the defaults hold', () => {
  const { git, ...rest } = read();
  assert.match(git, /^\/.*\/git$/);
  assert.equal(rest, {
    stateDir: join(process.cwd(), 'data'),
    roots: [join(process.cwd(), 'sites')],
    host: '127.0.0.1',
    port: 7420,
    publicUrl: 'http://127.0.0.1:7420',
    keyFile: join(process.cwd(), 'data/secret.key'),
    log: { format: 'json', level: 'info' },
    trustedProxies: [],
    metrics: { sites: 200 },
    after: { programs: {}, limitMs: 60_000 },
    warnings: [],
  });
});

config('an empty variable counts as not set', () => {
  assert.equal(read({ MOORING_PORT: '', MOORING_LOG: '', MOORING_KEY_FILE: '' }), read());
});

config('it is frozen through and through', () => {
  const made = read();
  assert.throws(() => Object.assign(made, { port: 1 }));
  assert.throws(() => Object.assign(made.log, { level: 'debug' }));
  assert.throws(() => (made.roots as string[]).push('/'));
});

config('every fault is said at once, each with its variable and a valid example', () => {
  const faults = faultsOf({
    MOORING_PORT: '70000',
    MOORING_PUBLIC_URL: 'ftp://x',
    MOORING_LOG: 'loud',
    MOORING_LOG_LEVEL: 'all',
    MOORING_HOST: 'a b',
    MOORING_TRUSTED_PROXIES: '10.0.0.0/99',
    MOORING_ALLOW_ROOT: 'maybe',
    MOORING_SITES: '/srv:/',
    MOORING_GIT: 'git',
  });
  assert.is(faults.length, 9, faults.join('\n'));
  for (const line of faults) {
    const name = line.split(':')[0] ?? '';
    const example = variables().find((setting) => setting.name === name)?.example;
    assert.ok(line.endsWith(`Example: ${name}=${example}`), line);
  }
});

config('every example is valid', () => {
  const mail = ['MOORING_SMTP_URL', 'MOORING_MAIL_FROM', 'MOORING_MAIL_TO'];
  const together = variables()
    .filter(({ name }) => mail.includes(name))
    .map(({ name, example }) => [name, example]);
  assert.equal(faultsOf(Object.fromEntries(together) as Record<string, string>), []);
  for (const { name, example } of variables()) {
    // Files and programs of the examples need not be here.
    if ((name.endsWith('_FILE') && name !== 'MOORING_KEY_FILE') || mail.includes(name)) continue;
    const here: Record<string, string> = { MOORING_GIT: read().git, MOORING_BACKUP_FOLDER: '/var/tmp' };
    assert.equal(faultsOf({ [name]: here[name] ?? example }), [], name);
  }
});

config('backups must not be written into a site or the state directory, nor where nobody can write', () => {
  for (const folder of ['/srv/sites/a', '/srv/sites', '/var/lib/mooring/backups', '/nowhere', 'relative'])
    assert.is(
      faultsOf({
        ...{ MOORING_SITES: '/srv/sites', MOORING_STATE: '/var/lib/mooring', MOORING_BACKUP_FOLDER: folder },
      }).length,
      1,
      folder,
    );
  for (const schedule of ['every day', '* * * *', '* * * * * *', '99 * * * *'])
    assert.is(faultsOf({ MOORING_BACKUP_SCHEDULE: schedule }).length, 1, schedule);
});

config('a public URL keeps its path and loses its slash; other parts are refused', () => {
  assert.is(read({ MOORING_PUBLIC_URL: 'https://git.example/mooring/' }).publicUrl, 'https://git.example/mooring');
  for (const url of ['https://u:p@h', 'https://h/?x', 'https://h/#x', 'h', 'javascript:1']) {
    assert.is(faultsOf({ MOORING_PUBLIC_URL: url }).length, 1, url);
  }
});

config('the public URL follows the address it is served on', () => {
  assert.is(read({ MOORING_HOST: '0.0.0.0' }).publicUrl, 'http://127.0.0.1:7420');
  assert.is(read({ MOORING_HOST: '::1', MOORING_PORT: '80' }).publicUrl, 'http://[::1]:80');
});

config('the password comes from a file or the environment, not both, and prints as [secret]', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'mooring-config-')), 'password');
  writeFileSync(file, 'a long password\n');
  const { admin } = read({ MOORING_ADMIN_PASSWORD_FILE: file, MOORING_ADMIN_NAME: 'root' });
  assert.equal([admin?.name, admin?.password.open()], ['root', 'a long password']);
  assert.not.match(JSON.stringify(admin), 'long');
  const both = faultsOf({ MOORING_ADMIN_PASSWORD_FILE: file, MOORING_ADMIN_PASSWORD: 'another password' });
  assert.match(both[0] ?? '', 'together');
  assert.match(faultsOf({ MOORING_ADMIN_PASSWORD_FILE: `${file}-x` })[0] ?? '', 'cannot be read');
  writeFileSync(file, '');
  assert.match(faultsOf({ MOORING_ADMIN_PASSWORD_FILE: file })[0] ?? '', 'empty');
});

const mailed = (url: string, more: Record<string, string> = {}): Record<string, string> => ({
  MOORING_SMTP_URL: url,
  MOORING_MAIL_FROM: 'Mooring <mooring@example.org>',
  MOORING_MAIL_TO: 'web@example.org, ops@example.org',
  ...more,
});

config('a mail server is an address: encrypted unless it is this machine or said otherwise', () => {
  const { mail } = read(mailed('smtp://mooring:p%40ss%2Fword@mail.example.org'));
  assert.equal(
    { ...mail, password: mail?.password?.open() },
    {
      host: 'mail.example.org',
      port: 587,
      tls: 'starttls',
      user: 'mooring',
      password: 'p@ss/word',
      from: 'Mooring <mooring@example.org>',
      to: ['web@example.org', 'ops@example.org'],
    },
  );
  assert.not.match(JSON.stringify(mail), 'p@ss');
  const server = (url: string): string => {
    const { host, port, tls } = read(mailed(url)).mail ?? {};
    return `${host} ${port} ${tls}`;
  };
  assert.is(server('smtps://mail.example.org'), 'mail.example.org 465 from-the-start');
  assert.is(server('smtp://relay.lan:2525?tls=no'), 'relay.lan 2525 none');
  assert.is(server('smtp://localhost'), 'localhost 25 none');
  assert.is(server('smtp://u:p@127.0.0.1:1025/'), '127.0.0.1 1025 none');
  assert.is(server('smtp://[::1]:25'), '::1 25 none');
  const file = join(mkdtempSync(join(tmpdir(), 'mooring-config-')), 'url');
  writeFileSync(file, 'smtps://u:from-a-file@mail.example.org\n');
  const { MOORING_SMTP_URL: _not, ...rest } = mailed('');
  assert.is(read({ ...rest, MOORING_SMTP_URL_FILE: file }).mail?.password?.open(), 'from-a-file');
});

config('a fault of the mail settings names its variable and never the password', () => {
  const cases: [Record<string, string>, string, string][] = [
    [{ MOORING_SMTP_URL: 'smtps://mail.example.org' }, 'MOORING_MAIL_FROM', 'together'],
    [{ MOORING_MAIL_TO: 'a@example.org' }, 'MOORING_SMTP_URL', 'together'],
    [mailed('http://u:hidden@h'), 'MOORING_SMTP_URL', 'start with smtp://'],
    [mailed('smtp://u:hid/den@h'), 'MOORING_SMTP_URL', ''],
    [mailed('smtp://u:hidden@h/path'), 'MOORING_SMTP_URL', 'except ?tls=no'],
    [mailed('smtp://u:hidden@h?tls=maybe'), 'MOORING_SMTP_URL', 'except ?tls=no'],
    [mailed('smtp://u:hidden@h?tls=no'), 'MOORING_SMTP_URL', 'sent unencrypted'],
    [mailed('smtps://h?tls=no'), 'MOORING_SMTP_URL', 'encrypted'],
    [mailed('smtp://u@h'), 'MOORING_SMTP_URL', 'or neither'],
    [mailed('smtp://u:hidden%zz@h'), 'MOORING_SMTP_URL', '%25'],
    [mailed('smtps://h', { MOORING_MAIL_FROM: 'a@b\r\nBcc: c@d' }), 'MOORING_MAIL_FROM', 'one address'],
    [mailed('smtps://h', { MOORING_MAIL_FROM: 'x\n<a@b>' }), 'MOORING_MAIL_FROM', 'one address'],
    [mailed('smtps://h', { MOORING_MAIL_FROM: 'a@b, c@d' }), 'MOORING_MAIL_FROM', 'one address'],
    [mailed('smtps://h', { MOORING_MAIL_TO: 'a@b,' }), 'MOORING_MAIL_TO', 'addresses'],
    [mailed('smtps://h', { MOORING_MAIL_TO: 'A <a@b>' }), 'MOORING_MAIL_TO', 'addresses'],
    [mailed('smtps://h', { MOORING_MAIL_TO: 'a@b\nRCPT TO:<c@d>' }), 'MOORING_MAIL_TO', 'addresses'],
  ];
  for (const [env, name, why] of cases) {
    const faults = faultsOf(env);
    const said = faults.find((line) => line.startsWith(`${name}:`)) ?? '';
    assert.ok(said.includes(why) && said !== '', `${JSON.stringify(env)}: ${faults.join()}`);
    assert.not.match(faults.join(), /hid\/?den/);
  }
});

config('what is odd but works is a warning', () => {
  const warnings = (env: Record<string, string>, uid = 1000): readonly string[] =>
    readConfig({ PATH, ...env }, { terminal: false, uid }).warnings;
  assert.match(warnings({ MOORING_PROT: '1' })[0] ?? '', 'MOORING_PROT');
  assert.equal(warnings({ MOORING_ALLOW_ROOT: 'yes' }, 0), []);
  assert.match(warnings({ MOORING_PUBLIC_URL: 'http://mooring.example' })[0] ?? '', 'https');
});

config('on a terminal the log is for people', () => {
  assert.is(readConfig({ PATH }, { ...around, terminal: true }).log.format, 'pretty');
  assert.is(readConfig({ PATH, MOORING_LOG: 'json' }, { ...around, terminal: true }).log.format, 'json');
});

config('example.env is what the table of settings says', () => {
  assert.is(readFileSync(exampleEnvPath, 'utf8'), exampleEnv(), 'write it with: node test/support/example-env.ts');
});

config.run();
