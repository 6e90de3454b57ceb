import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSettingsActions, subjectFault } from '../../src/actions/settings.ts';
import type { AuditEntry, RunRecord } from '../../src/model/event.ts';
import { Problem } from '../../src/model/problem.ts';
import type { SettingsForm } from '../../src/model/settings.ts';
import { defaultSettings, type NotSynced, type Site, type SiteId } from '../../src/model/site.ts';
import { type SitePath, pathFromText, sitePath } from '../../src/model/tree.ts';
import { editMessage, wording } from '../../src/sync/message.ts';
import { checkCron } from '../../src/triggers/poll.ts';

const test = suite('settings');
const id = 'museum' as SiteId;

const ids: Record<string, number> = { 'www-data': 33, root: 0 };

const number = (name: string): number | undefined => (/^\d+$/.test(name) ? Number(name) : undefined);

function world(runs: readonly RunRecord[] = [], mayGive = true) {
  const site = (name: string): Site => ({
    id: name.toLowerCase() as SiteId,
    name,
    folder: `/srv/${name}`,
    createdAt: 0,
    paused: false,
    settings: defaultSettings,
  });
  const sites = new Map([site('Museum'), site('Shop')].map((one) => [one.id, one]));
  const told: Omit<AuditEntry, 'id' | 'at'>[] = [];
  const changed: Site[] = [];
  const accepted: string[] = [];
  const untracked: SitePath[] = [];
  const left: NotSynced[] = [
    { path: 'build' as SitePath, reason: { kind: 'was-ignored', folder: true } },
    { path: 'a/[x] news.log' as SitePath, reason: { kind: 'was-ignored' } },
  ];
  const acts = createSettingsActions({
    store: {
      sites: {
        all: () => [...sites.values()],
        get: (key) => sites.get(key as SiteId),
        async change(key, to) {
          const next = { ...sites.get(key), ...to } as Site;
          sites.set(key, next);
          return next;
        },
      },
      history: { runs: async () => ({ rows: runs }) },
    },
    runtimes: {
      find: () => ({
        wasIgnored: () => ({ step: 'three', left }),
        acceptRules: async (step) => void accepted.push(step),
        untrack: async (path) => untracked.push(path) > 0,
        leftByRule: () => undefined,
      }),
      changed: async (one) => void changed.push(one),
    },
    cronFault: checkCron,
    author: () => ({ name: 'Mooring', email: 'mooring@localhost' }),
    explainPath: () => Promise.reject(new Error('not asked here')),
    ownerOf: async () => 33,
    commitMessage: (changes, of) => editMessage(changes, wording(of, Date.UTC(2026, 10, 19, 14, 7))),
    report: (act) => told.push(act),
    users: { userId: (name) => ids[name] ?? number(name), groupId: (name) => ids[name] ?? number(name) },
    setUp: () => (mayGive ? 'capabilities' : 'group'),
  });
  const bind = (): void =>
    void sites.set(id, { ...(sites.get(id) as Site), binding: {} as NonNullable<Site['binding']> });
  return { acts, told, changed, accepted, untracked, left, bind, now: () => sites.get(id) as Site };
}

async function faults(form: SettingsForm): Promise<Readonly<Record<string, string>>> {
  const { acts, now } = world();
  try {
    await acts.save(id, form, 'Miriam');
  } catch (error) {
    assert.instance(error, Problem);
    assert.equal(now().settings, defaultSettings, 'nothing was saved');
    return (error as Problem).facts;
  }
  return {};
}

const commits = {
  page: 'commits',
  subject: '{summary}',
  author: 'connection',
  authorName: '',
  authorEmail: '',
  skipCi: false,
} as const;

test('built-in rules are turned off by their id, and others are not known', async () => {
  const { acts, now } = world();
  const form = { page: 'ignored', ignore: 'a', allow: '' } as const;
  await acts.save(id, { ...form, builtInRulesOff: ['rsync', 'no such rule', 'vim'] }, 'Miriam');
  assert.equal(now().settings.builtInRulesOff, ['vim', 'rsync']);
  await acts.save(id, form, 'Miriam');
  assert.equal(now().settings.builtInRulesOff, ['vim', 'rsync'], 'a form that does not show them changes none');
});

test('what an upgrade stopped ignoring is committed, or put on the list path by path', async () => {
  const { acts, accepted, changed, told, now } = world();
  await acts.decideRules(id, 'three', 'commit', 'Miriam');
  assert.equal(accepted, ['three']);
  assert.equal(now().settings, defaultSettings);
  await acts.decideRules(id, 'three', 'ignore', 'Miriam');
  assert.equal(now().settings.ignore, ['/build/', '/a/\\[x\\] news.log']);
  assert.is(changed.length, 1);
  assert.equal(accepted, ['three'], 'the next look finds them on the list');
  assert.equal(
    told.map(({ act }) => act),
    ['chose', 'changed-settings'],
  );
});

test('R20: one path is ignored: on the list once, in the audit log, and taken from the branch', async () => {
  const { acts, changed, told, untracked, now } = world();
  const path = 'a/[x] access.log' as SitePath;
  assert.is(await acts.ignore(id, path, 'Miriam'), true);
  assert.is(await acts.ignore(id, path, 'Miriam'), true);
  assert.equal(now().settings.ignore, ['/a/\\[x\\] access.log']);
  assert.equal(untracked, [path, path], 'a second try goes on from what a crash left');
  assert.is(changed.length, 1);
  assert.equal(
    told.map(({ act, detail }) => [act, detail]),
    [['changed-settings', 'Ignored paths: a/[x] access.log']],
  );
});

test('a decision about other paths than were shown is not carried out', async () => {
  const { acts, accepted, now } = world();
  for (const choice of ['commit', 'ignore'] as const) {
    try {
      await acts.decideRules(id, 'two', choice, 'Miriam');
      assert.unreachable();
    } catch (error) {
      assert.is((error as Problem).code, 'plan-outdated');
    }
  }
  assert.equal(accepted, []);
  assert.equal(now().settings, defaultSettings);
});

test('more paths than the list has room for are not put there in part', async () => {
  const { acts, left, now } = world();
  for (let n = 0; n < 500; n += 1) left.push({ path: `n${n}.log` as SitePath, reason: { kind: 'was-ignored' } });
  try {
    await acts.decideRules(id, 'three', 'ignore', 'Miriam');
    assert.unreachable();
  } catch (error) {
    assert.match((error as Problem).facts['text'] ?? '', '500 lines');
  }
  assert.equal(now().settings, defaultSettings);
});

test('a saved page changes its own settings and is told', async () => {
  const { acts, told, changed, now } = world();
  await acts.save(id, { page: 'schedule', poll: ' */5  * * * *', rescan: '0 3 * * *', quiet: '2,5' }, 'Miriam');
  assert.equal(now().settings, {
    ...defaultSettings,
    poll: '*/5 * * * *',
    rescan: '0 3 * * *',
    quietMs: 2_500,
    quietMaxMs: 30_000,
  });
  assert.equal(told, [{ by: 'Miriam', site: id, act: 'changed-settings', detail: 'Schedule' }]);
  assert.is(changed.length, 1, 'the schedule follows');
});

test('large files are not switched off under a connected site', async () => {
  const { acts, now, bind } = world();
  const files = { page: 'files', fileMiB: '100', files: '1000', siteGiB: '1' } as const;
  await acts.save(id, { ...files, lfs: true, executables: false, links: false }, 'Miriam');
  await acts.save(id, { ...files, lfs: false, executables: false, links: false }, 'Miriam');
  await acts.save(id, { ...files, lfs: true, executables: false, links: false }, 'Miriam');
  bind();
  const problem = await acts
    .save(id, { ...files, lfs: false, executables: false, links: false }, 'Miriam')
    .catch((error: unknown) => error as Problem);
  assert.instance(problem, Problem);
  assert.match((problem as Problem).facts['lfs'] ?? '', 'stay on');
  assert.is(now().settings.lfs, true);
});

test('every fault of a form is told at once, each at its field, and nothing is saved', async () => {
  assert.equal(
    Object.keys(await faults({ page: 'schedule', poll: '* *', rescan: '61 * * * *', quiet: 'soon' })).sort(),
    ['poll', 'quiet', 'rescan'],
  );
  const safety = {
    page: 'safety',
    policy: 'site',
    massPaths: '-1',
    massShare: '101',
    keepDays: '1.5',
    replacesWithoutCapture: false,
  } as const;
  assert.equal(Object.keys(await faults(safety)), ['massPaths', 'massShare', 'keepDays']);
  assert.equal(
    Object.keys(
      await faults({
        page: 'files',
        fileMiB: '5000',
        files: '1e9',
        siteGiB: '1',
        lfs: false,
        executables: false,
        links: false,
      }),
    ).sort(),
    ['fileMiB', 'files'],
  );
  assert.equal(Object.keys(await faults({ page: 'ignored', ignore: 'a\u0007b', allow: 'x\n'.repeat(501) })), [
    'ignore',
    'allow',
  ]);
  const fixed = { ...commits, subject: '{who}', author: 'fixed', authorName: '<>', authorEmail: 'nobody' } as const;
  assert.equal(Object.keys(await faults(fixed)), ['subject', 'authorName', 'authorEmail']);
  assert.match((await faults({ page: 'name', name: 'Shop' }))['name'] ?? '', 'already');
});

test('a fixed author and a template are kept, and taken back without a trace', async () => {
  const { acts, now } = world();
  const form = { ...commits, subject: '{site}: {summary}', authorName: 'CMS', authorEmail: 'cms@example.org' };
  await acts.save(id, { ...form, author: 'fixed', skipCi: true }, 'Miriam');
  assert.equal(now().settings.author, { name: 'CMS', email: 'cms@example.org' });
  assert.is(now().settings.subject, '{site}: {summary}');
  assert.is(now().settings.skipCi, true);
  await acts.save(id, commits, 'Miriam');
  assert.equal(now().settings, defaultSettings);
});

test('a template fills in once, whatever the values hold', async () => {
  const { acts } = world();
  await acts.save(id, { page: 'name', name: '{paths} {date}' }, 'Miriam');
  const { text, from } = await acts.preview(id, '{site} | {count} | {date}');
  assert.is(text.split('\n')[0], '{paths} {date} | 3 | 2026-11-19 14:07');
  assert.is(from, 'example');
  assert.match(text, /\n\nSynced-by: Mooring\n$/);
  assert.match((await acts.preview(id, '{nope}')).text, /^Update 3 files in content\/posts/);
  assert.match(subjectFault('{nope}') ?? '', '{nope} is no placeholder');
});

test('the preview speaks of the last push', async () => {
  const none = { added: 0, changed: 0, removed: 0 };
  const run: RunRecord = {
    id: 'r1',
    at: 0,
    durationMs: 1,
    triggers: ['watch'],
    result: 'pushed',
    pulled: none,
    pushed: { ...none, added: 1 },
    files: [{ mark: '+', path: pathFromText('a/\u001b[2J.md'), to: 'gitlab' }],
    conflicts: [],
    output: '',
  };
  const { acts } = world([{ ...run, files: [] }, run]);
  const { text, from } = await acts.preview(id, '{summary}');
  assert.is(from, 'last-push');
  assert.match(text, 'Add a/\\x1b[2J.md');
});

test('allowing a path makes a rule for this path and no other', async () => {
  const { acts, told, now } = world();
  await acts.allow(id, pathFromText('a/[x]*?.env'), 'Miriam');
  await acts.allow(id, pathFromText('a/[x]*?.env'), 'Miriam');
  assert.equal(now().settings.allow, ['/a/\\[x\\]\\*\\?.env']);
  assert.is(told.length, 1);
  for (const bytes of [Buffer.from([0x61, 0xff]), Buffer.from('a\nb')]) {
    const refused = await acts.allow(id, sitePath(bytes) as SitePath, 'Miriam').then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.instance(refused, Problem);
  }
});

test('owner and permissions of new files: checked, saved, and taken back by empty fields', async () => {
  const { acts, now } = world();
  const form = { page: 'permissions', owner: '', fileMode: '', folderMode: '' } as const;
  await acts.save(id, { ...form, owner: 'www-data:33', fileMode: '0664', folderMode: '775' }, 'Ana');
  assert.equal(now().settings.newEntries, {
    owner: { user: 'www-data', group: '33' },
    fileMode: 0o664,
    folderMode: 0o775,
  });
  await acts.save(id, form, 'Ana');
  assert.not('newEntries' in now().settings);
});

const wrong: Record<string, [field: string, typed: string, says: string]> = {
  'no group': ['owner', 'www-data', 'separated by a colon'],
  'two colons': ['owner', 'a:b:c', 'separated by a colon'],
  'a user that nobody is': ['owner', 'nobody-here:root', 'There is no user nobody-here'],
  'a group that is none': ['owner', 'root:nobody-here', 'There is no group nobody-here'],
  'no octal digits': ['fileMode', '689', 'three octal digits'],
  'a set-user-ID bit': ['fileMode', '4755', 'three octal digits'],
  'a file that its owner cannot write': ['fileMode', '444', 'The owner needs to read and write'],
  'a folder that its owner cannot enter': ['folderMode', '664', 'The owner needs to read, write and enter'],
};
for (const [name, [field, typed, says]] of Object.entries(wrong)) {
  test(`permissions with ${name} are refused beside their field`, async () => {
    const form = { page: 'permissions', owner: '', fileMode: '', folderMode: '', [field]: typed } as const;
    assert.match((await faults(form))[field] ?? '', says);
  });
}

test('an owner for new files is refused where the process may not give files away', async () => {
  const { acts, now } = world([], false);
  const form = { page: 'permissions', owner: 'www-data:33', fileMode: '', folderMode: '' } as const;
  const problem = await acts.save(id, form, 'Ana').then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.match(problem instanceof Problem ? (problem.facts['owner'] ?? '') : '', 'CAP_CHOWN');
  assert.not('newEntries' in now().settings);
});

test.run();
