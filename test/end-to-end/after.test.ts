import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { run } from '../support/command.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { scratch } from '../support/plain-git.ts';
import { until } from '../support/until.ts';

/** A real daemon starts real programs after real syncs. What they do wrong is told, and syncing goes on. */
const test = suite('programs after a sync');

const { dir, remove } = scratch();
const [pull, push] = [join(dir, 'flush-cache'), join(dir, 'after-push')];
let world: Harbour;
let site: MooredSite;

/** From now on, the program does this. `$DIR` is a folder of the test. */
async function does(program: string, text: string): Promise<void> {
  await writeFile(program, `#!/bin/sh\n${text.replaceAll('$DIR', dir)}\n`, { mode: 0o755 });
}

test.before(async () => {
  await does(pull, 'cat >> $DIR/pulls');
  await does(push, 'cat >> $DIR/pushes');
  const env = { MOORING_AFTER_PULL: pull, MOORING_AFTER_PUSH: push, MOORING_AFTER_LIMIT: '2' };
  world = await harbour({ env });
  site = await mooredSite(world);
  await site.settled();
});
test.after(async () => {
  if (process.exitCode) console.log(world?.output().slice(-4_000));
  await world?.close();
  remove();
});

interface Told {
  readonly event: string;
  readonly site: { readonly id: string; readonly name: string; readonly folder: string };
  readonly commit: string;
  readonly branch: string;
  readonly repository: string;
  readonly by: string;
  readonly complete: boolean;
  readonly changes: readonly { readonly path: string; readonly change: string }[];
}

async function told(name: 'pulls' | 'pushes'): Promise<Told[]> {
  const text = await readFile(join(dir, name), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Told);
}

const saysPage = (words: string | RegExp): Promise<unknown> =>
  until(`the activity says ${String(words)}`, async () => {
    const page = await site.clicker.open(site.url);
    return typeof words === 'string' ? page.words.includes(words) : words.test(page.words);
  });

const git = (...args: string[]): string =>
  execFileSync('git', ['-C', site.project.repoPath, ...args], { encoding: 'utf8' }).trim();

async function pushes(path: string, content: string): Promise<void> {
  await site.project.push('main', { [path]: content });
  await until(`${path} is in the folder`, async () => (await readFile(join(site.folder, path), 'utf8')) === content);
}

test('it is told the site, the commit, who, and the changed paths', async () => {
  await pushes('pulled.txt', 'from GitLab\n');
  const pulled = await until('the program has run', async () =>
    (await told('pulls')).find(({ changes }) => changes.some(({ path }) => path === 'pulled.txt')),
  );
  assert.is(pulled.event, 'pulled');
  assert.equal(pulled.site, { id: site.id, name: 'Harbour', folder: site.folder });
  assert.is(pulled.commit, git('rev-parse', 'main'));
  assert.is(pulled.branch, 'main');
  assert.is(pulled.repository, site.project.path);
  assert.is(pulled.complete, true);
  assert.equal(pulled.changes, [{ path: 'pulled.txt', change: 'added' }]);
  await site.write('pushed.txt', 'from the folder\n');
  const pushed = await until('the other program has run', async () =>
    (await told('pushes')).find(({ changes }) => changes.some(({ path }) => path === 'pushed.txt')),
  );
  assert.is(pushed.event, 'pushed');
  await saysPage('MOORING_AFTER_PUSH finished');
});

test('one that fails is told on the page, under Attention and by the API, and started again by itself', async () => {
  await does(pull, 'echo broken on purpose; test -e $DIR/mended');
  await pushes('fails.txt', 'a\n');
  await saysPage('MOORING_AFTER_PULL failed');
  const page = await site.clicker.open(site.url);
  assert.match(page.words, 'It ended with exit code 1.');
  assert.match(page.words, 'broken on purpose');
  assert.match(
    (await site.clicker.open(`${world.url}/attention`)).words,
    'The program in MOORING_AFTER_PULL fails for Harbour',
  );
  await writeFile(join(dir, 'mended'), '');
  await saysPage('MOORING_AFTER_PULL finished');
  await until(
    'Attention is quiet',
    async () => !(await site.clicker.open(`${world.url}/attention`)).words.includes('MOORING_AFTER_PULL'),
  );
});

test('one that hangs, floods and forks holds no sync up', async () => {
  await does(pull, 'echo $$ > $DIR/pid; sleep 600 & yes flood | head -c 20000000; while :; do sleep 1; done');
  await pushes('hangs.txt', 'a\n');
  await until('it has started', () => readFile(join(dir, 'pid'), 'utf8').then(Boolean));
  // While it hangs, both directions go on.
  await pushes('meanwhile.txt', 'pulled meanwhile\n');
  await site.write('edited.txt', 'edited meanwhile\n');
  await until('the edit is pushed', async () => (await site.project.files()).has('edited.txt'));
  await saysPage('MOORING_AFTER_PULL timed out');
  assert.match((await site.clicker.open(site.url)).words, 'bytes left out');
  const group = (await readFile(join(dir, 'pid'), 'utf8')).trim();
  await does(pull, 'true');
  await until('its group has ended', () => {
    try {
      process.kill(-Number(group), 0);
      return false;
    } catch {
      return true;
    }
  });
});

test('one that edits the site: the commit has its name, the other edits have not, and nothing loops', async () => {
  await does(push, 'cat >> $DIR/pushes; date +%N > FILE'.replace('FILE', join(site.folder, 'stamp.txt')));
  await does(pull, `echo built > ${join(site.folder, 'built.txt')}`);
  await pushes('source.txt', 'a\n');
  await until('what it built is pushed', async () => (await site.project.files()).has('built.txt'));
  assert.match(git('log', '-1', '--format=%B', 'main', '--', 'built.txt'), 'Edits of flush-cache');
  assert.match(git('log', '-1', '--format=%B', 'main', '--', 'built.txt'), 'MOORING_AFTER_PULL');
  await site.write('mine.txt', 'mine\n');
  await until('the stamp is pushed', async () => (await site.project.files()).has('stamp.txt'));
  assert.match(git('log', '-1', '--format=%B', 'main', '--', 'stamp.txt'), 'Edits of after-push');
  assert.not.match(git('log', '-1', '--format=%B', 'main', '--', 'mine.txt'), 'Edits of');
  await site.settled();
  const count = (await told('pushes')).length;
  await site.write('last.txt', 'last\n');
  await until('the program has run for that', async () => (await told('pushes')).length > count);
  await saysPage('The push contains only edits that the program had made');
  await site.settled();
  assert.ok((await told('pushes')).length <= count + 2, 'it was started by its own edit again and again');
  const known = (await told('pushes')).length;
  await site.write('very-last.txt', 'last\n');
  await until('the program has run for that', async () => (await told('pushes')).length > known);
  await until('its edit is pushed', async () => {
    const files = await site.project.files();
    return files.get('stamp.txt')?.toString() === (await readFile(join(site.folder, 'stamp.txt'), 'utf8'));
  });
  await site.settled();
  assert.is((await told('pushes')).length, known + 1, 'it was started by its own edit');
  await does(push, 'true');
  await does(pull, 'true');
});

test('one that others can change is not started, at a start and later', async () => {
  execFileSync('chmod', ['o+w', pull]);
  await pushes('open.txt', 'a\n');
  await saysPage('can be changed by other users');
  await world.stop();
  const { code, stderr, stdout } = await run(['serve'], {
    env: { MOORING_STATE: world.stateDir, MOORING_AFTER_PULL: pull, MOORING_ALLOW_ROOT: 'yes', MOORING_PORT: '0' },
  });
  assert.is(code, 78, stdout + stderr);
  assert.match(stdout + stderr, 'MOORING_AFTER_PULL');
  execFileSync('chmod', ['o-w', pull]);
});

test.run();
