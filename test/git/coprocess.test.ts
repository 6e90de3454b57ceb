import { constants } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Coprocess, CoprocessPool } from '../../src/git/coprocess.ts';
import { type GitProcess, createDriver } from '../../src/git/driver.ts';
import { Objects } from '../../src/git/objects.ts';
import { openRefs } from '../../src/git/refs.ts';
import type { Problem } from '../../src/model/problem.ts';
import type { Oid } from '../../src/model/tree.ts';
import { problemOf } from '../net/support.ts';
import { environment, git, scratch } from '../support/plain-git.ts';

const coprocesses = suite('git processes that are kept');

interface Kept {
  readonly bare: string;
  readonly tip: Oid;
  readonly objects: Objects;
  /** What was started, in order. */
  readonly started: GitProcess[];
  readonly open: (args: readonly string[]) => GitProcess;
}

async function kept(test: (kept: Kept) => Promise<void>, pool = new CoprocessPool()): Promise<void> {
  const { dir, remove } = scratch();
  try {
    const bare = `${dir}/repo.git`;
    git(dir, 'init', '-q', '--bare', bare);
    const tree = git(bare, 'hash-object', '-t', 'tree', '-w', '/dev/null');
    const tip = git(bare, 'commit-tree', '-m', 'Begin', tree) as Oid;
    const started: GitProcess[] = [];
    const driver = createDriver('/usr/bin/git');
    const open = (args: readonly string[]): GitProcess => {
      const process = driver.open({ args, environment: { ...environment, GIT_DIR: bare } });
      started.push(process);
      return process;
    };
    const objects = new Objects(open, pool);
    await test({ bare, tip, objects, started, open });
    await objects.end();
  } finally {
    remove();
  }
}

coprocesses('an object that is not there is an answer: the process stays, and what comes later is seen', () =>
  kept(async ({ bare, tip, objects, started }) => {
    const absent = 'f'.repeat(40) as Oid;
    assert.ok(await objects.has(tip));
    assert.not(await objects.has(absent));
    assert.is((await problemOf(objects.commit(absent))).code, 'git-damaged');
    const later = git(bare, 'commit-tree', '-m', 'Later', '-p', tip, '4b825dc642cb6eb9a060e54bf8d69288fbee4904') as Oid;
    assert.equal((await objects.commit(later)).parents, [tip]);
    git(bare, 'update-ref', 'refs/heads/x', later);
    git(bare, 'repack', '-adq');
    assert.is((await objects.read(later)).type, 'commit');
    assert.is(started.length, 1);
  }),
);

coprocesses('killed while it rests and in the midst of an answer: the question is asked again', () =>
  kept(async ({ tip, objects, started }) => {
    await objects.read(tip);
    started[0]?.child.kill('SIGKILL');
    assert.is((await objects.read(tip)).type, 'commit');
    const questions = Array.from({ length: 20 }, () => objects.read(tip));
    started.at(-1)?.child.kill('SIGKILL');
    for (const answer of await Promise.all(questions)) assert.is(answer.type, 'commit');
    assert.ok(started.length <= 4, String(started.length));
  }),
);

coprocesses('one that hangs is ended in time, and holds up no other', () =>
  kept(
    async ({ tip, objects, started, open }) => {
      await objects.read(tip);
      const stopped = started[0] as GitProcess;
      stopped.child.kill('SIGSTOP');
      const late = objects.read(tip);
      const other = new Objects(open, new CoprocessPool());
      assert.is((await other.read(tip)).type, 'commit');
      await other.end();
      assert.is((await late).type, 'commit');
      assert.is((await stopped.ended).code, 128 + constants.signals.SIGKILL);
    },
    new CoprocessPool({ answerMs: 300 }),
  ),
);

coprocesses('answers that are none: an error, not a wrong object', () =>
  kept(async ({ tip }) => {
    const shell = createDriver('/bin/sh');
    const say = (what: string) => (): GitProcess =>
      shell.open({ args: ['-c', `while read -r line; do ${what}; done`], environment: { PATH: '/usr/bin:/bin' } });
    for (const what of [
      'echo rubbish',
      `echo ${'e'.repeat(40)} commit 4`,
      `echo ${tip} commit x`,
      `echo ${tip} commit 10; echo short; exit 3`,
    ]) {
      const objects = new Objects(say(what), new CoprocessPool());
      assert.is((await problemOf(objects.read(tip))).code, 'git-failed', what);
      await objects.end();
    }
  }),
);

coprocesses('refs move together or not at all; a refusal names it and the next move works', () =>
  kept(async ({ bare, tip, open, started }) => {
    const refs = openRefs(open, new CoprocessPool());
    await refs.move([`update refs/sync/disk ${tip}`, `update refs/sync/remote ${tip}`]);
    const refused = await problemOf(
      refs.move([`update refs/sync/offered ${tip}`, `update refs/sync/disk ${tip} ${'1'.repeat(40)}`]),
    );
    assert.is(refused.code, 'git-failed');
    assert.match(refused.facts['text'] ?? '', /refs\/sync\/disk/);
    assert.is(git(bare, 'for-each-ref', '--format=%(refname)'), 'refs/sync/disk\nrefs/sync/remote');
    await refs.move([`delete refs/sync/remote ${tip}`]);
    assert.is(git(bare, 'for-each-ref', '--format=%(refname)'), 'refs/sync/disk');
    started.at(-1)?.child.kill('SIGKILL');
    await refs.move([`update refs/sync/remote ${tip}`]);
    await refs.end();
    assert.is(git(bare, 'rev-parse', 'refs/sync/remote'), tip);
  }),
);

coprocesses('one that died in the midst of a step is not asked twice', () => {
  const shell = createDriver('/bin/sh');
  let asked = 0;
  const start = (): GitProcess => {
    asked += 1;
    const script = 'read -r a; echo "start: ok"; read -r b; exit 1';
    return shell.open({ args: ['-c', script], environment: { PATH: '/usr/bin:/bin' } });
  };
  const refs = openRefs(start, new CoprocessPool());
  return problemOf(refs.move(['update refs/sync/disk x'])).then(({ code }) => {
    assert.is(code, 'git-failed');
    assert.is(asked, 1);
  });
});

coprocesses('they end when nobody asks, and make room for each other', async () => {
  const pool = new CoprocessPool({ processes: 2, idleMs: 50 });
  const shell = createDriver('/bin/sh');
  const started: GitProcess[] = [];
  const one = (): Coprocess =>
    new Coprocess(
      'echo',
      () => {
        const process = shell.open({
          args: ['-c', 'while read -r line; do echo "$line"; done'],
          environment: { PATH: '/usr/bin:/bin' },
        });
        started.push(process);
        return process;
      },
      pool,
    );
  const echo = (at: Coprocess, text: string): Promise<string> =>
    at.ask(async (line) => {
      await line.send(`${text}\n`);
      return line.row();
    });
  // What rests keeps nobody from exiting, this test neither.
  const awake = setInterval(() => {}, 1_000);
  const all = [one(), one(), one()];
  for (const [index, each] of all.entries()) assert.is(await echo(each, String(index)), String(index));
  await started[0]?.ended;
  assert.is(pool.size, 2);
  for (const { ended } of started) assert.is((await ended).code, 0);
  assert.is(pool.size, 0);
  assert.is(await echo(all[0] as Coprocess, 'again'), 'again');
  await Promise.all(all.map((each) => each.end()));
  clearInterval(awake);
});

coprocesses('an object larger than asked for is not read', () =>
  kept(async ({ tip, objects }) => {
    const { code } = await problemOf(objects.read(tip, 10));
    assert.is(code, 'repository-too-large' satisfies Problem['code']);
    assert.is((await objects.read(tip)).type, 'commit');
  }),
);

coprocesses.run();
