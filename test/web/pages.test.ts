import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem, type ProblemCode } from '../../src/model/problem.ts';
import { describe, remedies } from '../../src/model/remedy.ts';
import type { Hold, HoldChoice, HoldCode, NotSyncedReason } from '../../src/model/site.ts';
import { pathFromText, sitePath } from '../../src/model/tree.ts';
import { compare } from '../../src/web/compare.ts';
import { holdChoices, holdReason, holdTitle } from '../../src/web/hold-words.ts';
import { bytes, count, duration, when } from '../../src/web/times.ts';
import { notSyncedWords } from '../../src/web/words.ts';
import { signedIn, visitor } from './browser.ts';
import { fullWorld, screens } from './content.ts';
import { binding, branch, now, project, run, site, status, type World } from './support.ts';

const test = suite('pages');
const hostile = '<img src=x onerror=alert(1)>"\'&\u202Egnp.exe\u001b[2J\u0007';

test('every page renders, says where it is, and holds no script or style of its own', async () => {
  const me = await signedIn(fullWorld());
  const titles = new Set<string>();
  for (const [name, path] of Object.entries(screens)) {
    const { status: code, text } = await me.get(path);
    assert.is(code, name === 'problem' ? 400 : 200, name);
    inspect(text, name);
    titles.add(/<title>([^<]*)<\/title>/.exec(text)?.[1] ?? '');
  }
  assert.ok(titles.size >= Object.keys(screens).length - 7, 'titles tell the pages apart');
});

test('a path of thousands of characters is cut in the middle, and whole behind a fold', async () => {
  const me = await signedIn(fullWorld());
  const { text } = await me.get(screens['site'] ?? '');
  const [, cut = '', whole = ''] =
    /<details class="long"><summary>([^<]*)<\/summary>([^<]*)<\/details>/.exec(text) ?? [];
  assert.ok(cut.length < 200 && cut.includes('…'), cut);
  assert.ok(whole.length > 3_900 && whole.endsWith('/end'));
  const path = `/srv/${'x'.repeat(4_000)}`;
  const { happened } = describe({ code: 'folder-unreadable', facts: { folder: path, errno: 'EACCES' } });
  assert.ok(happened.length < 400 && happened.includes('…'), happened);
});

test('no page has a dead link', async () => {
  const me = await signedIn(fullWorld());
  const seen = new Set<string>();
  for (const path of Object.values(screens)) {
    for (const [, href] of (await me.get(path)).text.matchAll(/href="([^"]*)"/g))
      seen.add((href ?? '').replaceAll('&amp;', '&'));
  }
  assert.not.ok(seen.has('#'));
  for (const href of seen) {
    if (!href.startsWith('/')) continue;
    const { status: code } = await me.get(href);
    assert.ok(code < 400, `${href} answers ${code}`);
  }
});

test('hostile names are shown as text, with what is invisible made visible', async () => {
  const world = poisoned();
  const me = await signedIn(world);
  for (const [name, path] of Object.entries(screens)) {
    const { text } = await me.get(path);
    inspect(text, name);
    assert.not.match(text, '<img src=x', name);
    // A form must send the exact name back, so attributes called value keep it as it is.
    assert.not.match(text.replaceAll(/ value="[^"]*"/g, ''), /[\u202e\u0007\u001b]/, name);
  }
  const page = (await me.get('/sites/museum')).text;
  assert.match(page.replaceAll('&#92;', '\\'), '\\u{202e}gnp.exe\\x1b[2J');
  assert.match(page, '&lt;img src=x onerror=alert(1)&gt;');
});

test('an address of a repository that is no web address is no link', async () => {
  const world = fullWorld();
  world.sites = [site('museum', { binding: binding('a/b', 'main', { webUrl: 'javascript:alert(1)' }) })];
  assert.not.match((await (await signedIn(world)).get('/sites/museum')).text, 'javascript:');
});

test('every problem has a page with all its parts, with and without facts', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const facts = Object.fromEntries(
    ['url', 'host', 'project', 'branch', 'folder', 'path', 'site', 'text', 'hint'].map((name) => [name, hostile]),
  );
  for (const code of Object.keys(remedies) as ProblemCode[]) {
    for (const given of [{}, facts]) {
      const words = describe({ code, facts: given });
      for (const part of [words.title, words.happened, words.untouched, words.todo]) {
        assert.ok(part.length > 5, code);
        assert.not.match(part, /undefined|null|\[object/, code);
      }
      world.failing.set('sites.syncNow', new Problem(code, given, { cause: new Error('ECONNREFUSED <b>') }));
      const answer = await me.post('/sites/museum/sync');
      assert.is(answer.status, words.status, code);
      assert.match(answer.text, 'What was not touched', code);
      assert.match(answer.text, code);
      inspect(answer.text, code);
      assert.not.match(answer.text, '<img src=x', code);
    }
  }
});

test('what nobody foresaw is a page too, its stack only in the log', async () => {
  const world = fullWorld();
  world.failing.set('sites.syncNow', new TypeError('cannot read properties'));
  const answer = await (await signedIn(world)).post('/sites/museum/sync');
  assert.is(answer.status, 500);
  assert.not.match(answer.text, 'at Object');
  assert.ok(world.calls.some(({ name, args }) => name === 'log.error' && JSON.stringify(args).includes('TypeError')));
});

test('a problem inside a dialog is the inside of a dialog', async () => {
  const world = fullWorld();
  world.failing.set('connecting.plan', new Problem('gitlab-unreachable', { host: 'g' }));
  const answer = await (
    await signedIn(world)
  ).get('/sites/parks/confirm?project=12&branch=main', { 'X-Part': 'dialog' });
  assert.is(answer.status, 502);
  assert.not.match(answer.text, '<html');
});

test('GitLab’s own words about a refused push stay lines, and nothing in them acts', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const text = 'remote: not allowed\nremote: <b>\u001b[2J payroll.xlsx';
  const tally = { added: 0, changed: 0, removed: 0 };
  const hold: Hold = { code: 'push-refused', at: now, step: 's', total: 0, tally, samples: [], choices: [], text };
  world.statuses.set('shop', status('hold', { hold }));
  const page = (await me.get('/sites/shop/hold')).text;
  assert.match(page, 'remote: not allowed\nremote: &lt;b&gt;&#92;x1b[2J payroll.xlsx');
});

test('every hold has a question, a reason and words for each choice', async () => {
  const codes: HoldCode[] = [
    'folder-lost-files',
    'branch-lost-files',
    'root-missing',
    'root-changed',
    'restored',
    'root-emptied',
    'history-rewritten',
    'went-back',
    'branch-missing',
    'push-refused',
    'reconnect',
    'project-missing',
    'project-archived',
    'project-other',
    'no-access',
    'application-unknown',
    'stopped',
  ];
  const choices: HoldChoice[] = ['put-back', 'go-on', 'adopt', 'try-again', 'leave-out'];
  const world = fullWorld();
  const me = await signedIn(world);
  for (const code of codes) {
    const hold: Hold = {
      code,
      at: now,
      step: 's',
      total: 10,
      tally: { added: 0, changed: 0, removed: 4 },
      samples: [],
      choices,
    };
    assert.ok(holdTitle(hold).length > 10 && holdReason(hold).length > 10);
    assert.equal(
      holdChoices(hold).map(({ choice }) => choice),
      choices,
    );
    for (const words of holdChoices(hold)) assert.ok(words.title && words.body && words.button && words.icon);
    world.statuses.set('shop', status('hold', { hold }));
    assert.is((await me.get('/sites/shop/hold')).status, 200, code);
  }
});

test('every reason for not syncing has words', () => {
  const reasons: NotSyncedReason[] = [
    ...(
      [
        'link',
        'submodule',
        'special',
        'nested-repository',
        'unreadable',
        'unwritable',
        'unremovable',
        'too-many',
        'secret',
        'control-file',
        'bad-name',
        'lfs-pointer',
        'ignored-in-the-way',
        'never-quiet',
      ] as const
    ).map((kind) => ({ kind })),
    { kind: 'too-large', bytes: 432_013_312, limit: 104_857_600 },
    { kind: 'collides', with: pathFromText('Readme') },
  ];
  for (const reason of reasons) assert.ok(notSyncedWords(reason).length > 8, reason.kind);
  assert.is(notSyncedWords(reasons.at(-2) as NotSyncedReason), '412 MiB, the limit is 100 MiB');
});

test('an errno is told in words: missing rights where it says so, and nowhere else', () => {
  const told: readonly (readonly [NotSyncedReason, string])[] = [
    [{ kind: 'unreadable' }, 'Mooring has no permission to read it'],
    [{ kind: 'unreadable', errno: 'EACCES' }, 'Mooring has no permission to read it (EACCES)'],
    [{ kind: 'unreadable', errno: 'EIO' }, 'Could not be read: input/output error (EIO)'],
    [{ kind: 'unwritable', errno: 'EPERM' }, 'Mooring has no permission to write it (EPERM)'],
    [{ kind: 'unwritable', errno: 'EROFS' }, 'Could not be written: the disk is read-only (EROFS)'],
    [{ kind: 'unremovable' }, 'Removed on GitLab, but Mooring has no permission to remove it here'],
    [{ kind: 'unremovable', errno: 'EBUSY' }, 'Removed on GitLab, but could not be removed here: it is in use (EBUSY)'],
  ];
  for (const [reason, words] of told) assert.is(notSyncedWords(reason), words);
  for (const code of ['folder-unreadable', 'folder-unwritable', 'file-unreadable'] as const) {
    const rights = describe({ code, facts: { folder: '/srv/www', path: 'a.md', errno: 'EACCES' } });
    const broken = describe({ code, facts: { folder: '/srv/www', path: 'a.md', errno: 'EIO' } });
    assert.match(rights.todo, /permission to/);
    assert.match(broken.happened, /: input\/output error \(EIO\)\.$/);
    assert.not.match(`${broken.title} ${broken.todo}`, /permission/);
  }
  const limits = ['EMFILE', 'ENFILE', 'ENOMEM'].map((errno) =>
    describe({ code: 'out-of-resources', facts: { errno } }),
  );
  assert.match(limits[0]?.todo ?? '', /LimitNOFILE=/);
  assert.match(limits[1]?.todo ?? '', /fs\.file-max/);
  assert.match(limits[2]?.todo ?? '', /memory/);
});

test('live parts come without a frame, and are the same parts as on the page', async () => {
  const me = await signedIn(fullWorld());
  for (const [page, live] of [
    ['/', '/live'],
    ['/sites/museum', '/sites/museum/live'],
    ['/sites/intranet/settings/syncing', '/sites/intranet/live?view=syncing'],
  ] as const) {
    const [whole, part] = [(await me.get(page)).text, (await me.get(live)).text];
    assert.not.match(part, '<html');
    for (const [, id] of whole.matchAll(/id="(part-[a-z]+)"/g)) assert.match(part, `id="${id}"`, live);
  }
});

test('a thousand sites make a small page', async () => {
  const world = fullWorld();
  world.sites = Array.from({ length: 1_000 }, (_, i) =>
    site(`s${i}`, { name: `Site ${i}`, binding: binding(`group/site-${i}`, 'main') }),
  );
  const page = await (await signedIn(world)).get('/');
  assert.ok(page.text.length < 60_000, `${page.text.length} bytes`);
  assert.match(page.text, '1 to 50 of 1,000');
});

test('a page out of range is the last page', async () => {
  assert.is((await (await signedIn(fullWorld())).get('/?page=99')).status, 200);
  assert.is((await (await signedIn(fullWorld())).get('/sites/museum?page=999999')).status, 200);
});

test('an empty installation says what to do first', async () => {
  const world = fullWorld();
  world.sites = [];
  world.instance = undefined;
  assert.match((await (await signedIn(world)).get('/')).text, 'No sites yet');
});

test('times, sizes and counts read like sentences', () => {
  assert.is(count(1, 'file'), '1 file');
  assert.is(count(1_140, 'file'), '1,140 files');
  assert.is(bytes(640), '640 B');
  assert.is(bytes(999_999), '1.0 MB');
  assert.is(duration(400), '0.4 s');
  assert.is(duration(130_000), '2 min 10 s');
  assert.match(when(now - 60_000, now).relative, '1 min ago');
  assert.match(when(now, now).text, /^\d\d:\d\d:\d\d \S+$/);
});

test('a comparison pairs lines, marks words and counts what it leaves out', () => {
  const same = Array.from({ length: 30 }, (_, i) => `line ${i}`);
  const rows = compare(['a b c', ...same, 'end'].join('\n'), ['a x c', ...same].join('\n')) ?? [];
  assert.equal(
    rows[0]?.kind === 'changed' && rows[0].left?.pieces.filter(({ changed }) => changed).map(({ text }) => text),
    ['b'],
  );
  assert.ok(rows.some((row) => row.kind === 'gap' && row.lines > 20));
  assert.ok(rows.some((row) => row.kind === 'changed' && row.right === null));
});

function inspect(text: string, name: string): void {
  assert.not.match(text, /<script(?![^>]*\bsrc="[^"]+"[^>]*><\/script>)/, `${name}: inline script`);
  assert.not.match(text, /<style|\sstyle="|<[^>]*\son[a-z]+\s*=\s*"/, `${name}: inline style or handler`);
  assert.not.match(text, /undefined|\[object Object\]|function ?\(/, `${name}: a value that is none`);
  assert.not.match(text, /(?:href|value|action|id)=[^"\s>]/, `${name}: unquoted attribute`);
  const ids = [...text.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
  assert.is(new Set(ids).size, ids.length, `${name}: an id twice`);
}

/** Every text that comes from elsewhere, made hostile. */
function poisoned(): World {
  const world = fullWorld();
  const path = pathFromText(hostile);
  const raw = sitePath(Buffer.from([0xff, 0x3c, 0x62, 0x3e]));
  world.sites = world.sites.map((one) => ({
    ...one,
    name: hostile,
    folder: `/srv/${hostile}`,
    ...(one.binding
      ? {
          binding: {
            ...one.binding,
            projectPath: hostile,
            branch: hostile as never,
            webhook: { kind: 'none', reason: hostile } as const,
          },
        }
      : {}),
  }));
  world.projects = [{ project: project(12, `group/${hostile}`) }, { project: project(13, hostile), disabled: hostile }];
  world.branches = [branch(hostile), branch('main', { default: true })];
  if (world.connection) world.connection = { ...world.connection, name: hostile, username: hostile, email: hostile };
  const moved = { at: now, files: 1, commit: 'abc' as never, subject: hostile, by: hostile };
  world.statuses.set(
    'museum',
    status('retrying', {
      lastPull: moved,
      lastPush: moved,
      lastAttempt: { at: now, result: hostile },
      conflicts: 1,
      notSynced: [{ path, reason: { kind: 'collides', with: raw } }],
      notSyncedCount: 1,
      problem: { code: 'gitlab-error', facts: { text: hostile, host: hostile }, cause: hostile },
    }),
  );
  world.runs = [
    run('r1', {
      subject: hostile,
      by: hostile,
      output: hostile,
      conflicts: [path, raw],
      files: [{ mark: '+', path, to: 'site' }],
      problem: { code: 'push-refused', facts: { text: hostile }, cause: hostile },
      result: 'refused',
    }),
  ];
  world.acts = world.acts.map((one) => ({ ...one, by: hostile, detail: hostile }));
  world.conflicts = world.conflicts.map((one) => ({
    ...one,
    path,
    ...(one.resolved ? { resolved: { ...one.resolved, by: hostile } } : {}),
  }));
  world.versions = { repository: Buffer.from(`${hostile}\nsame\n`), site: Buffer.from(`x ${hostile}\nsame\n`) };
  world.keptFiles = [
    { path, bytes: 1 },
    { path: raw, bytes: 2 },
  ];
  world.plan = {
    ...world.plan,
    samples: [{ mark: '+', path, bytes: 1 }],
    secrets: [path],
    untouched: [{ path, reason: { kind: 'link' } }],
    refused: [{ path, reason: { kind: 'link' } }],
  };
  world.checks = [{ name: hostile, result: 'bad', finding: hostile, fix: hostile }];
  world.folders = [{ path: '/srv/x', files: 1, bytes: 1, empty: false, disabled: hostile }];
  return world;
}

test('the sign-in page is clean too', async () => {
  inspect((await visitor(fullWorld()).get('/sign-in')).text, 'sign-in');
});

test.run();
