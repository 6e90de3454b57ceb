import { AsyncResource } from 'node:async_hooks';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createLog, createMask, withLogFields, type Log, type LogFormat, type LogLevel } from '../src/log.ts';
import { Secret } from '../src/model/secret.ts';

const logSuite = suite('log');

function logTo(lines: string[], format: LogFormat = 'json', level: LogLevel = 'info', mask = createMask()): Log {
  return createLog({ format, level, mask, write: (line) => lines.push(line) });
}

logSuite('a JSON line holds the sentence, the level, the time and the fields', () => {
  const lines: string[] = [];
  logTo(lines).with({ site: 's1' })('warn', 'Disk nearly full', { free: 7 });
  const { time, ...rest } = JSON.parse(lines[0] ?? '');
  assert.equal(rest, { level: 40, site: 's1', free: 7, msg: 'Disk nearly full' });
  assert.match(time, /^\d{4}-\d\d-\d\dT/);
});

logSuite('lines carry the fields of the work they are about, and only while it goes on', async () => {
  const lines: string[] = [];
  const log = logTo(lines);
  let later = (): void => {};
  await withLogFields({ request: 'r1' }, async () => {
    later = AsyncResource.bind(() => log('info', 'much later'));
    await Promise.all([
      Promise.resolve().then(() => log.with({ site: 's' })('info', 'deep inside')),
      withLogFields({ request: 'r2' }, async () => log('info', 'another')),
    ]);
    log('info', 'at the end');
  });
  later();
  log('info', 'outside');
  const told = lines.map((line) => JSON.parse(line) as { msg: string; request?: string; site?: string });
  assert.equal(
    told.map(({ msg, request }) => [msg, request]),
    [
      ['another', 'r2'],
      ['deep inside', 'r1'],
      ['at the end', 'r1'],
      ['much later', undefined],
      ['outside', undefined],
    ],
  );
  assert.is(told[1]?.site, 's');
});

logSuite('below the level nothing is written', () => {
  const lines: string[] = [];
  const log = logTo(lines, 'json', 'warn');
  log('info', 'x');
  log('error', 'y');
  assert.is(lines.length, 1);
});

for (const format of ['json', 'pretty'] as const) {
  logSuite(`${format}: whatever comes, one event is one line`, () => {
    const lines: string[] = [];
    const cause = new Error('why\nso');
    const fields = { err: new Error('a\nb', { cause }), text: 'c\r\nd\u2028e\u001b[31m', deep: { list: ['x\ny'] } };
    logTo(lines, format)('error', 'one\ntwo\u202e', fields);
    assert.is(lines.length, 1);
    assert.is(lines[0]?.indexOf('\n'), lines[0]!.length - 1);
    assert.not.match(lines[0]!, /[\u001b\u2028\u202e\r]/);
    assert.match(lines[0]!, 'why');
  });
}

const value = 'S3cret/value+"with\\odd=chars';
const shapes: Record<string, string> = {
  plain: value,
  'in a URL': `https://h/?t=${encodeURIComponent(value)}`,
  'as Basic': Buffer.from(`oauth2:${value}`).toString('base64'),
  'as base64': Buffer.from(value).toString('base64'),
  'as base64url': Buffer.from(value).toString('base64url'),
};

for (const [name, text] of Object.entries(shapes)) {
  logSuite(`a known secret never shows: ${name}`, () => {
    const lines: string[] = [];
    const mask = createMask();
    mask.hide(new Secret(value));
    for (const format of ['json', 'pretty'] as const) {
      logTo(lines, format, 'info', mask)('info', `got ${text}`, { text, err: new Error(text), list: [{ text }] });
    }
    for (const line of lines) {
      assert.match(line, '[secret]');
      assert.not(line.includes(text.replace(/=+$/, '')), line);
      assert.not(line.includes(JSON.stringify(text).slice(1, -1)), line);
    }
    JSON.parse(lines[0] ?? '');
  });
}

logSuite('of more secrets than it can know, it knows those that were used last', () => {
  const mask = createMask();
  const used = new Secret('used-again-and-again');
  mask.hide(used);
  for (let n = 0; n < 150; n += 1) mask.hide(new Secret(`secret-number-${n}`));
  mask.hide(used);
  for (let n = 150; n < 300; n += 1) mask.hide(new Secret(`secret-number-${n}`));
  assert.is(mask.mask('used-again-and-again secret-number-299'), '[secret] [secret]');
  assert.is(mask.mask('secret-number-0'), 'secret-number-0');
});

const looks: Record<string, [string, string]> = {
  'a GitLab token': ['remote: glpat-abcDEF123_456-xyz bad', 'abcDEF'],
  'an OAuth token': ['token gloas-0123456789abcdef', '0123456789'],
  'a URL with a password': ['fetch https://bob:hunter2@h/x.git', 'hunter2'],
  'oauth2 in a URL': ['fetch https://oauth2:t0ken@h/x.git', 't0ken'],
  'a header': ['> Authorization: Basic Zm9vOmJhcg==', 'Zm9v'],
  'a bearer header': ['authorization: Bearer abcdefghijkl', 'abcdefgh'],
  'a coded header': ['extraHeader b2F1dGgyOnRva2Vu', 'OnRva'],
  'a code': ['GET /callback?code=abc123&state=xyz789 302', 'abc123'],
  'a state': ['GET /callback?code=abc123&state=xyz789 302', 'xyz789'],
  'a token answer': ['{"access_token":"abc123","refresh_token":"def456"}', 'def456'],
  'a form': ['client_secret=abc123&grant_type=x', 'abc123'],
};

for (const [name, [text, hidden]] of Object.entries(looks)) {
  logSuite(`what looks like a secret is masked: ${name}`, () => {
    const lines: string[] = [];
    logTo(lines)('info', text, { text, deep: [{ text }] });
    assert.not(lines[0]?.includes(hidden), lines[0]);
    JSON.parse(lines[0] ?? '');
  });
}

logSuite('the codes of problems and plain words stay', () => {
  const lines: string[] = [];
  logTo(lines)('error', 'Basic settings of the token page, code review', { code: 'disk-full', state: 'hold' });
  const line = JSON.parse(lines[0] ?? '');
  assert.equal([line.code, line.state], ['disk-full', 'hold']);
  assert.match(line.msg, 'code review');
});

logSuite('a Secret in the fields prints as [secret]', () => {
  const lines: string[] = [];
  logTo(lines)('info', 'x', { token: new Secret('whatever') });
  assert.is(JSON.parse(lines[0] ?? '').token, '[secret]');
});

logSuite.run();
