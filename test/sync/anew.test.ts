import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import type { Remote } from '../../src/sync/ports.ts';
import type { Outcome } from '../../src/sync/notes.ts';
import type { EngineWorld } from '../support/engine.ts';
import { allow, forbid, installHook, prohibited } from '../support/forbid.ts';
import { git } from '../support/plain-git.ts';
import { plainRemote } from '../support/plain-remote.ts';
import { connected, isFound, kept } from '../faults/support.ts';

/** Commits that GitLab refused for what is in them, and made anew without it. */
const anew = suite('anew');

/** Syncs as the keeper does, which remembers what was refused. */
function remembering(world: EngineWorld): (more?: Parameters<EngineWorld['sync']>[0]) => Promise<Outcome> {
  let refusal: Outcome['refused'];
  return async (more = {}) => {
    const outcome = await world.sync({ trigger: 'rescan', ...(refusal ? { refusal } : {}), ...more });
    refusal = outcome.refused;
    return outcome;
  };
}

const onBranch = (world: EngineWorld, content: string): boolean =>
  git(world.bare, 'log', 'main', '-p', '-m', '--text', '--format=').includes(content);

const count = (world: EngineWorld, range: string): number => Number(git(world.bare, 'rev-list', '--count', range));

anew('a file that a rule refuses, other edits, and its removal: the rest arrives, in one commit', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    const before = world.tip();
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    assert.ok((await sync()).refused);
    world.write('about.md', 'edited\n');
    assert.ok((await sync()).refused);
    world.remove('secret.txt');
    const outcome = await sync();
    assert.is(outcome.refused, undefined);
    assert.is(world.branch()['about.md'], 'edited');
    assert.is(count(world, `${before}..main`), 1);
    assert.not.ok(onBranch(world, 'hunter2'));
    assert.equal(
      (await world.repository.kept()).filter(({ cause }) => cause === 'refused').map(({ cause }) => cause),
      ['refused'],
    );
    assert.ok(isFound(world, 'hunter2'), 'the old line is gone');
    const { disk, remote } = await world.repository.ledger();
    assert.equal([disk, remote], [world.tip() as Oid, world.tip() as Oid]);
  }),
);

anew('while the refused file is there and nobody knows which it is, nothing is made anew', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await sync();
    const { disk } = await world.repository.ledger();
    const again = await sync({ isDue: true });
    assert.ok(again.refused);
    assert.is((await world.repository.ledger()).disk, disk);
    assert.equal(
      again.refused?.leaves?.map(({ path }) => path as string),
      ['secret.txt'],
    );
  }),
);

anew('a file that GitLab names waits alone; it goes along when it changes, or when the rule is gone', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret', prohibited);
    world.write('secret.txt', 'hunter2\n');
    world.write('about.md', 'edited\n');
    const first = await sync();
    assert.is(first.refused, undefined);
    assert.equal(first.leftBehind?.paths, ['secret.txt' as SitePath]);
    assert.equal(first.notSynced, [{ path: 'secret.txt' as SitePath, reason: { kind: 'refused' } }]);
    assert.is(world.branch()['about.md'], 'edited');
    assert.is(world.read('secret.txt'), 'hunter2\n');
    world.write('index.html', 'later\n');
    await sync();
    assert.is(world.branch()['index.html'], 'later');
    assert.not.ok(onBranch(world, 'hunter2'));
    allow(world.bare);
    await sync();
    assert.not.ok('secret.txt' in world.branch(), 'offered although nothing changed');
    world.write('secret.txt', 'harmless\n');
    const healed = await sync();
    assert.equal([world.branch()['secret.txt'], healed.notSynced], ['harmless', []]);
    assert.not.ok(onBranch(world, 'hunter2'));
  }),
);

anew('a file that waits and is removed from the folder is removed on the branch too', () =>
  connected({ repository: { 'index.html': 'home\n', 'about.md': 'about\n' } }, async (world) => {
    const sync = remembering(world);
    const before = world.tip();
    forbid(world.bare, 'about', 'GitLab: File "about.md" is larger than the allowed size of 1 MB');
    world.write('about.md', 'large\n');
    assert.equal((await sync()).leftBehind?.paths, ['about.md' as SitePath]);
    assert.is(world.tip(), before, 'nothing was left to push');
    assert.is(world.read('about.md'), 'large\n');
    world.remove('about.md');
    await sync();
    assert.equal(world.branch(), { 'index.html': 'home' });
    assert.equal(world.files(), { 'index.html': 'home' });
  }),
);

anew('what others push to a path that waits is not written over the folder’s file', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret', prohibited);
    world.write('secret.txt', 'hunter2\n');
    await sync();
    allow(world.bare);
    world.push({ 'secret.txt': 'theirs\n', 'index.html': 'theirs\n' });
    await sync({ trigger: 'poll' });
    assert.is(world.read('index.html'), 'theirs\n');
    assert.is(world.read('secret.txt'), 'hunter2\n');
    await sync({ isDue: true });
    assert.ok(onBranch(world, 'hunter2') || isFound(world, 'hunter2'));
    assert.ok(isFound(world, 'theirs'));
  }),
);

anew('names one after another, as GitLab does: all of them wait', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret', prohibited);
    for (let i = 0; i < 8; i += 1) world.write(`secret-${i}`, `hunter${i}\n`);
    world.write('about.md', 'edited\n');
    const { refused, notSynced } = await sync();
    assert.equal([refused, notSynced.length, world.branch()['about.md']], [undefined, 8, 'edited']);
  }),
);

anew('a version that lost a conflict while pushes were refused is on GitLab all the same', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    world.write('about.md', 'the version of the site\n');
    await sync();
    allow(world.bare);
    const theirs = world.push({ 'about.md': 'the version of the repository\n' });
    forbid(world.bare, 'secret');
    await sync({ trigger: 'poll' });
    assert.is(world.read('about.md'), 'the version of the repository\n');
    world.remove('secret.txt');
    assert.is((await sync()).refused, undefined);
    assert.ok(onBranch(world, 'the version of the site'), 'it is nowhere on GitLab');
    assert.not.ok(onBranch(world, 'hunter2'));
    git(world.bare, 'merge-base', '--is-ancestor', theirs, 'main');
    assert.equal(world.files(), world.branch());
  }),
);

anew('a path that waits for a person’s choice goes on waiting, by the new commits', () =>
  connected({ settings: { policy: 'hold' } }, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    world.write('about.md', 'the version of the site\n');
    await sync();
    allow(world.bare);
    world.push({ 'about.md': 'the version of the repository\n' });
    forbid(world.bare, 'secret');
    await sync({ trigger: 'poll' });
    world.remove('secret.txt');
    assert.is((await sync()).refused, undefined);
    await sync();
    assert.equal(
      (await world.repository.held()).map(({ path, by }) => [path as string, by as string]),
      [['about.md', world.tip()]],
    );
    assert.is(world.read('about.md'), 'the version of the site\n');
    assert.is(world.branch()['about.md'], 'the version of the repository');
  }),
);

anew('one commit for each author, and none for one whose edits were replaced', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    const before = world.tip();
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await sync();
    // Another person reconnected meanwhile, and then Ana again.
    const { disk } = await world.repository.ledger();
    const edit = async (path: string, by: string): Promise<void> => {
      const { disk: parent } = await world.repository.ledger();
      const { tree } = await world.repository.commit(parent as Oid);
      const taken = await world.repository.commitFiles(
        undefined,
        [world.directory.pendingFile(path as SitePath)],
        () => 'x',
      );
      const entry = taken.entries.get(path as SitePath);
      const author = { name: by, email: `${by.toLowerCase()}@harbour.example` };
      const made = await world.repository.createCommit({
        ...{ parents: [parent as Oid], tree, author, message: 'Edit\n\nSynced-by: Mooring\n' },
        edits: [entry ? { path: path as SitePath, entry } : { path: path as SitePath }],
      });
      await world.repository.updateRefs({ disk: made });
    };
    assert.ok(disk);
    world.write('about.md', 'by Ben\n');
    await edit('about.md', 'Ben');
    world.write('index.html', 'by Cleo\n');
    await edit('index.html', 'Cleo');
    world.remove('secret.txt');
    assert.is((await sync()).refused, undefined);
    assert.equal(git(world.bare, 'log', '--format=%an: %s', `${before}..main`).split('\n').sort(), [
      'Ben: Update about.md',
      'Cleo: Update index.html',
    ]);
    assert.equal(world.files(), world.branch());
  }),
);

anew('a push that arrived although its answer did not is never made anew', () => {
  let cut = false;
  const remote = (real: Remote): Remote => ({
    ...real,
    push: async (...args) => {
      const result = await real.push(...args);
      if (!cut) return result;
      cut = false;
      // What a proxy in between may say of a push that GitLab is still carrying out.
      return { kind: 'refused', text: 'forbidden content', output: '' };
    },
  });
  return connected({ remote }, async (world) => {
    const sync = remembering(world);
    world.write('first.txt', 'first\n');
    world.write('second.txt', 'second\n');
    await sync();
    world.write('first.txt', 'changed\n');
    cut = true;
    await sync();
    const arrived = world.tip();
    world.remove('first.txt');
    const outcome = await sync();
    assert.is(outcome.refused, undefined);
    git(world.bare, 'merge-base', '--is-ancestor', arrived, 'main');
    assert.equal((await world.repository.kept()).filter(({ cause }) => cause === 'refused').length, 0);
    assert.equal(world.files(), world.branch());
  });
});

anew('an old commit that arrives late, after the line was made anew, brings nothing back', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await sync();
    const { disk: late } = await world.repository.ledger();
    world.remove('secret.txt');
    world.write('about.md', 'edited\n');
    // The line is made anew, and in the instant before its push the old one is let through.
    const pushes: string[] = [];
    const racing: Remote = {
      ...world.remote,
      async push(commit, expected, ...more) {
        pushes.push(commit);
        if (pushes.length === 2) {
          allow(world.bare);
          git(world.gitDir, 'push', '-q', world.bare, `${late}:refs/heads/main`);
        }
        return world.remote.push(commit, expected, ...more);
      },
    };
    const outcome = await sync({ remote: racing });
    assert.is(outcome.refused, undefined);
    assert.ok(pushes.length > 2, 'nobody was faster');
    assert.not.ok(world.has('secret.txt'), 'a removed file came back');
    assert.not.ok('secret.txt' in world.branch());
    git(world.bare, 'merge-base', '--is-ancestor', late as string, 'main');
    assert.equal(world.files(), world.branch());
  }),
);

anew('a person agrees to leave out what came with the refused push: it stays in the folder, the rest arrives', () =>
  kept({}, async (world) => {
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await world.triggered('rescan');
    world.write('about.md', 'edited\n');
    await world.triggered('rescan');
    const { hold } = world.worker.status();
    assert.equal([hold?.code, hold?.choices], ['push-refused', ['try-again', 'leave-out']]);
    await world.worker.choose(hold?.step ?? '', 'leave-out');
    await world.triggered('rescan');
    const status = world.worker.status();
    assert.equal([status.state, status.waiting.toPush, status.notSyncedCount], ['in-sync', 0, 1]);
    assert.is(world.branch()['about.md'], 'edited');
    assert.is(world.read('secret.txt'), 'hunter2\n');
    assert.not.ok(onBranch(world, 'hunter2'));
  }),
);

anew('Push to a new branch takes the commits made anew, not those that were refused', () =>
  kept({}, async (world) => {
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await world.triggered('rescan');
    world.write('about.md', 'edited\n');
    // The rule of the branch refuses everything now, so that the commits made anew are refused as well.
    await world.triggered('rescan');
    world.remove('secret.txt');
    installHook(world.bare, [
      'while read old new ref; do',
      '  [ "$ref" = refs/heads/main ] && { echo "not on main" >&2; exit 1; }',
      '  for commit in $(git rev-list "$new" --not --all); do',
      '    git ls-tree -r --name-only "$commit" | grep -q secret && { echo "forbidden content" >&2; exit 1; }',
      '  done',
      'done',
      'exit 0',
    ]);
    await world.triggered('rescan');
    assert.is(world.worker.status().hold?.code, 'push-refused');
    await world.worker.pushElsewhere(plainRemote({ gitDir: world.gitDir, bare: world.bare, branch: 'proposal' }));
    assert.is(git(world.bare, 'show', 'proposal:about.md'), 'edited');
    assert.is(count(world, 'main..proposal'), 1);
  }),
);

anew('a rule on author or message: the same files under another author, never by themselves otherwise', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    installHook(world.bare, [
      'read old new ref',
      'git log --format=%s "$old..$new" | grep -qv "^PROJ-" || exit 0',
      'echo "GitLab: Commit message does not follow the pattern \'^PROJ-\'" >&2',
      'exit 1',
    ]);
    world.write('about.md', 'edited\n');
    assert.ok((await sync()).refused);
    const { disk } = await world.repository.ledger();
    assert.ok((await sync({ isDue: true })).refused);
    assert.is((await world.repository.ledger()).disk, disk, 'made anew to no avail');
    const siteModel = { ...world.siteModel, settings: { ...world.siteModel.settings, subject: 'PROJ-1 {summary}' } };
    assert.is((await sync({ isDue: true, site: siteModel })).refused, undefined);
    assert.match(git(world.bare, 'log', '-1', '--format=%s', 'main'), 'PROJ-1 Update about.md');
  }),
);

anew('many edits while everything is refused are one kept version, and all of them are found', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    installHook(world.bare, ['echo "forbidden content" >&2', 'exit 1']);
    for (let i = 1; i <= 4; i += 1) {
      world.write('about.md', `version ${i}\n`);
      assert.ok((await sync()).refused);
    }
    const lines = (await world.repository.kept()).filter(({ cause }) => cause === 'refused');
    assert.is(lines.length, 1);
    for (let i = 1; i <= 4; i += 1) assert.ok(isFound(world, `version ${i}`), `version ${i} is nowhere`);
    allow(world.bare);
    await sync({ isDue: true });
    assert.is(world.branch()['about.md'], 'version 4');
  }),
);

anew('the old line goes when the branch has all of it, and not before', () =>
  connected({}, async (world) => {
    const sync = remembering(world);
    const refusedLines = async (): Promise<number> => {
      await world.repository.maintain(0);
      return (await world.repository.kept()).filter(({ cause }) => cause === 'refused').length;
    };
    forbid(world.bare, 'secret');
    world.write('secret.txt', 'hunter2\n');
    await sync();
    world.remove('secret.txt');
    world.write('about.md', 'edited\n');
    await sync();
    assert.is(await refusedLines(), 1);
    allow(world.bare);
    world.write('allowed.txt', 'hunter2\n');
    await sync();
    assert.is(await refusedLines(), 0);
  }),
);

anew.run();
