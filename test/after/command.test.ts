import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { runProgram } from '../../src/after/command.ts';
import { programFault } from '../../src/after/program.ts';
import { systemClock } from '../../src/world.ts';
import { scratch } from '../support/plain-git.ts';
import { until } from '../support/until.ts';

/** What a program of the operator's may do, and may not. */
const test = suite('programs after a sync');

function script(dir: string, text: string): string {
  const path = join(dir, 'program');
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return path;
}

async function ran(text: string, { limitMs = 30_000, input = '{}\n', signal = new AbortController().signal } = {}) {
  const { dir, remove } = scratch();
  try {
    return await runProgram(script(dir, text.replaceAll('$DIR', dir)), input, { limitMs, clock: systemClock, signal });
  } finally {
    remove();
  }
}

const lives = (pid: number): boolean => {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

test('it reads its input, and its environment is exactly this', async () => {
  process.env['MOORING_SECRET'] = 'nobody may see this';
  try {
    const { code, output } = await ran('cat; env | sort; pwd; umask', { input: '{"site":1}\n' });
    assert.is(code, 0);
    assert.equal(
      output.split('\n').filter((line) => line !== '' && !line.startsWith('_=')),
      [
        ...['{"site":1}', 'HOME=/', 'LANG=C.UTF-8'],
        'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        ...['PWD=/', '/', '0022'],
      ],
    );
  } finally {
    delete process.env['MOORING_SECRET'];
  }
});

test('it fails: code, signal and words are told', async () => {
  assert.equal(await ran('echo no >&2; exit 3'), { code: 3, wasTooLong: false, output: 'no\n' });
  assert.is((await ran('kill -KILL $$')).signal, 'SIGKILL');
  assert.is((await ran('exit 0', { input: 'x'.repeat(1_000_000) })).code, 0);
});

test('it hangs: its time ends, with all it forked, also where it ignores being asked', async () => {
  const ended = await ran('trap "" TERM; sleep 600 & echo $!; echo $$; while :; do sleep 1; done', { limitMs: 300 });
  assert.is(ended.wasTooLong, true);
  for (const pid of ended.output.trim().split('\n')) await until(`${pid} has ended`, () => !lives(Number(pid)));
});

test('what it leaves behind in its group ends with it', async () => {
  const ended = await ran('sleep 600 & echo $!; exit 0');
  assert.is(ended.code, 0);
  await until('the child has ended', () => !lives(Number(ended.output)));
});

test('what leaves the group stays, and holds nobody up', async () => {
  const ended = await ran('setsid sleep 60 & echo $!; exit 0');
  assert.is(ended.code, 0);
  const pid = Number(ended.output);
  if (lives(pid)) process.kill(pid, 'SIGKILL');
});

test('it floods: the beginning and the end are kept, and it comes to its end', async () => {
  const { code, output } = await ran('echo first; head -c 50000000 /dev/zero | tr "\\0" x; echo; echo last');
  assert.is(code, 0);
  assert.ok(output.length < 70_000, `${output.length} characters`);
  assert.match(output, /^first\n/);
  assert.match(output, /last\n$/);
  assert.match(output, /… \d+ bytes left out …/);
});

test('it is ended when Mooring stops', async () => {
  const stop = new AbortController();
  const running = ran('sleep 600', { signal: stop.signal, limitMs: 600_000 });
  setTimeout(() => stop.abort(), 100);
  assert.is((await running).signal, 'SIGTERM');
});

test('whose file or folder somebody else can change is not started', () => {
  const { dir, remove } = scratch();
  try {
    const uid = process.getuid?.() ?? 0;
    const site = join(dir, 'sites', 'a');
    const open = join(dir, 'open');
    for (const folder of [site, open]) mkdirSync(folder, { recursive: true });
    const [good, inSite, inOpen] = [script(dir, ''), script(site, ''), script(open, '')];
    chmodSync(open, 0o777);
    const link = join(dir, 'link');
    symlinkSync(inSite, link);
    const of = (path: string) => programFault(path, { uid, roots: [join(dir, 'sites')] });
    assert.is(of(good), undefined);
    assert.match(of('program') ?? '', 'absolute');
    assert.match(of(join(dir, 'none')) ?? '', 'There is no file');
    assert.match(of(dir) ?? '', 'not a file');
    assert.match(of(inSite) ?? '', 'must not be in');
    assert.match(of(link) ?? '', 'must not be in');
    assert.match(of(inOpen) ?? '', 'Other users can change');
    chmodSync(good, 0o775);
    assert.match(of(good) ?? '', 'chmod go-w');
    chmodSync(good, 0o644);
    assert.match(of(good) ?? '', 'not executable');
    if (uid === 0) assert.match(programFault(good, { uid: 1_234, roots: [] }) ?? '', /another user|not executable/);
  } finally {
    remove();
  }
});

test.run();
