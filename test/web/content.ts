import type { AuditEntry } from '../../src/model/event.ts';
import type { BranchName, ProjectId } from '../../src/model/instance.ts';
import type { Obstacle } from '../../src/model/plan.ts';
import type { Site, SiteId } from '../../src/model/site.ts';
import { pathFromText } from '../../src/model/tree.ts';
import {
  ana,
  binding,
  branch,
  createWorld,
  gitlab,
  now,
  oid,
  project,
  run,
  site,
  status,
  type World,
} from './support.ts';

const day = 86_400_000;

/** A world as a council's web team would have it: every page has something to show. */
export function fullWorld(over: Parameters<typeof createWorld>[0] = {}): World {
  const world = createWorld(over);
  world.instance = { ...gitlab(), advanced: { ...gitlab().advanced, headers: { 'X-Northwick-Zone': 'dmz' } } };
  world.connection = ana;
  world.wasIgnored = [
    { path: pathFromText('theme/build'), reason: { kind: 'was-ignored', folder: true } },
    { path: pathFromText('content/news.log'), reason: { kind: 'was-ignored' } },
  ];
  if (world.accounts.length > 0)
    world.accounts = [
      { id: 'a1', name: 'Miriam Okafor', role: 'admin', createdAt: now - 410 * day },
      { id: 'a7', name: 'Jonas Lindqvist', role: 'owner', sites: ['museum' as SiteId], createdAt: now - 96 * day },
      { id: 'a8', name: 'Ana Petrović', role: 'viewer', createdAt: now - 12 * day },
    ];
  const add = (
    id: string,
    name: string,
    repo: string,
    branchName: string,
    state: ReturnType<typeof status>,
    paused = false,
  ): void => {
    world.sites.push(site(id, { name, binding: binding(repo, branchName), paused }));
    world.statuses.set(id, state);
  };
  const moved = {
    at: now - 291_000,
    files: 3,
    commit: oid('9e41c07b'),
    subject: 'Winter opening hours',
    by: 'Ana Petrović',
  };
  add(
    'museum',
    'Museum website',
    'museum/www',
    'main',
    status('syncing', {
      since: now - 11_000,
      lastPull: moved,
      lastPush: { at: now - 1_105_000, files: 1, commit: oid('5d20f8ae'), subject: 'Update content/visit/hours.md' },
      lastAttempt: { at: now - 4_000, result: 'nothing to do' },
      waiting: { toPull: 1_140, toPush: 0 },
      nextTryAt: now + 58_000,
      progress: { act: 'pulling', done: 214, total: 1_140, bytes: 38_400_000, bytesPerSecond: 2_900_000 },
      conflicts: 2,
      notSynced: [
        {
          path: pathFromText('static/film/tour-4k.mp4'),
          reason: { kind: 'too-large', bytes: 432_013_312, limit: 104_857_600 },
        },
        { path: pathFromText('.htaccess'), reason: { kind: 'control-file' } },
        { path: pathFromText('current'), reason: { kind: 'link' } },
        { path: pathFromText(`archive/${'a-folder-whose-name-goes-on/'.repeat(140)}end`), reason: { kind: 'link' } },
      ],
      notSyncedCount: 4,
    }),
  );
  add(
    'shop',
    'Museum shop',
    'museum/shop',
    'production',
    status('hold', {
      since: now - 1_555_000,
      lastPull: moved,
      checkedAt: now - 1_560_000,
      hold: {
        code: 'branch-lost-files',
        at: now - 1_555_000,
        step: 'step-1',
        total: 968,
        tally: { added: 0, changed: 0, removed: 412 },
        samples: [
          'assets/products/harbour.jpg',
          'assets/catalogue/2025/p1.webp',
          'content/products/prints/harbour-etching.md',
          'robots.txt',
        ].map((path) => ({ path: pathFromText(path), mark: '-' })),
        choices: ['put-back', 'go-on'],
      },
    }),
  );
  add(
    'library',
    'Library help',
    'library/help',
    'main',
    status('retrying', {
      since: now - 660_000,
      checkedAt: now - 660_000,
      lastPull: moved,
      lastPush: { at: now - 1_105_000, files: 1, commit: oid('5d20f8ae'), subject: 'Update content/visit/hours.md' },
      waiting: { toPull: 0, toPush: 2, oldestUnpushedAt: now - 410_000 },
      nextTryAt: now + 78_000,
      problem: {
        code: 'gitlab-error',
        facts: { host: 'gitlab.northwick.example', status: '502 Bad Gateway' },
        cause: 'HTTPError: Response code 502 (Bad Gateway)',
      },
    }),
  );
  add(
    'minutes',
    'Council minutes',
    'council/minutes',
    'main',
    status('unknown', { since: now - 10_020_000, checkedAt: now - 10_020_000 }),
  );
  add(
    'docs-next',
    'Product docs, next',
    'docs/handbook',
    'next',
    status('waiting', { waiting: { toPull: 0, toPush: 3, oldestUnpushedAt: now - 800 } }),
  );
  add(
    'fair',
    'Winter fair',
    'tourism/fair',
    'main',
    status('hold', {
      since: now - 2_400_000,
      lastPull: moved,
      hold: {
        ...{ code: 'branch-missing', at: now - 2_400_000, step: 'step-2', total: 0 },
        ...{ tally: { added: 0, changed: 0, removed: 0 }, samples: [], choices: ['try-again', 'put-back'] },
      },
    }),
  );
  add('theatre', 'Town theatre', 'culture/theatre', 'main', wentBack(2, 260_000));
  add('harbour', 'Harbour office', 'harbour/www', 'main', wentBack(11, 214_000, 1));
  add('intranet', 'Council intranet', 'council/intranet', 'main', status('in-sync', { lastPull: moved, conflicts: 1 }));
  add('events', 'Tourism events', 'tourism/events', 'release/winter', status('in-sync', { lastPull: moved }));
  add(
    'summer',
    'Summer school',
    'schools/summer',
    'main',
    status('paused', { since: now - 3 * day, checkedAt: now - 3 * day }),
    true,
  );
  world.sites.push(site('parks'), site('depot', { name: 'Depot' }));
  const file = '/etc/mooring/mooring.yaml';
  const source = {
    connection: 'robot',
    repository: 'depot/website',
    branch: 'main' as BranchName,
    subfolder: '',
  } as const;
  const known = { connectionId: ana.id, projectId: 12 as ProjectId, direction: 'replace' } as const;
  world.declared = {
    accounts: { a8: { file, line: 12, column: 5 } },
    sites: { depot: { file, line: 31, column: 5 }, library: { file, line: 44, column: 5 } },
    sources: {
      depot: { ...source, ...known },
      library: { ...source, ...known, repository: 'library/help', branch: 'next' as BranchName },
    },
  };
  world.quiet.add('parks' as SiteId);
  const museum = world.sites.findIndex(({ id }) => id === 'museum');
  const website = world.sites[museum];
  if (website)
    world.sites[museum] = {
      ...website,
      settings: {
        ...website.settings,
        ignore: ['cache/', 'static/film/raw/', '*.bak'],
        allow: ['/public/.htaccess'],
      },
    };
  const intranet = world.sites.findIndex(({ id }) => id === 'intranet');
  world.sites[intranet] = site('intranet', {
    name: 'Council intranet',
    binding: binding('council/intranet', 'main', { projectId: 16 as ProjectId }),
  });
  const leftBehind = { defaultBranch: 'trunk' as BranchName };
  for (const [id, repo, branchName] of [
    ['fair', 'tourism/fair', 'main'],
    ['docs-next', 'docs/handbook', 'next'],
  ] as const) {
    const at = world.sites.findIndex((one) => one.id === id);
    const then = { ...leftBehind, defaultThen: branchName as BranchName };
    const { name } = world.sites[at] as Site;
    world.sites[at] = site(id, { name, binding: binding(repo, branchName, then) });
  }
  const blocked = world.sites.findIndex(({ id }) => id === 'events');
  world.sites[blocked] = site('events', {
    name: 'Tourism events',
    binding: binding('tourism/events', 'release/winter', {
      webhook: { kind: 'blocked', address: 'mooring.northwick.example:8443' },
    }),
  });
  const ids = { theatre: 31, harbour: 32 };
  world.sites = world.sites.map((one) => {
    const projectId = ids[one.id as keyof typeof ids] as ProjectId | undefined;
    return projectId && one.binding ? { ...one, binding: { ...one.binding, projectId } } : one;
  });
  fillRest(world);
  fillSystem(world);
  return world;
}

/** On hold since GitLab lost commits of the branch. */
function wentBack(lost: number, agoMs: number, newer = 0): ReturnType<typeof status> {
  const at = now - agoMs;
  return status('hold', {
    ...{ since: at, waiting: { toPull: 0, toPush: newer, oldestUnpushedAt: at } },
    hold: {
      ...{ code: 'went-back', at, step: `step-${lost}`, total: 386, choices: ['put-back', 'go-on'] },
      tally: { added: 1, changed: lost, removed: 2 },
      samples: [
        { path: pathFromText('content/programme/winter.md'), mark: '~' },
        { path: pathFromText('content/programme/2025.md'), mark: '+' },
        { path: pathFromText('static/img/poster-december.webp'), mark: '-' },
        { path: pathFromText('content/news/premiere.md'), mark: '-' },
      ],
      back: { lost, newer, to: now - day - 30_000_000 },
    },
  });
}

function fillRest(world: World): void {
  const reporter = 'You cannot push: your role is Reporter, and Developer is required.';
  world.projects = [
    { project: project(12, 'parks/gardens-site') },
    {
      project: project(13, 'parks/internal/opening-times', {
        visibility: 'internal',
        lastActivityAt: now - 90_000_000,
      }),
    },
    {
      project: project(14, 'parks/trails-map', {
        visibility: 'public',
        empty: true,
        lastActivityAt: now - 16 * day,
      }),
    },
    { project: project(15, 'parks/allotments'), disabled: reporter },
    { project: project(16, 'council/intranet'), disabled: 'Used by the site Council intranet' },
    {
      project: project(17, 'parks/archive/site-2019', { archived: true }),
      disabled: 'Archived in GitLab: nothing can be pushed',
    },
  ];
  world.after = [
    {
      ...{ run: 'r1', hook: 'after-pull', at: now - 50_000, durationMs: 412, result: 'failed' },
      ...{ text: 'It ended with exit code 1.', output: 'purge: cannot connect to 127.0.0.1:6081' },
    },
    { run: 'r1', hook: 'after-pull', at: now - 40_000, durationMs: 95, result: 'done', text: '', output: '' },
  ];
  world.runs = [
    run('r1', {
      files: [
        { mark: '~', path: pathFromText('content/visit/hours.md'), to: 'site' },
        { mark: '~', path: pathFromText('data/opening.yml'), to: 'site' },
        { mark: '+', path: pathFromText('static/img/winter-courtyard.webp'), to: 'site' },
      ],
      letGo: [pathFromText('config.php'), pathFromText('cache/pages/visit.html')],
      subject: 'Winter opening hours',
      output:
        '$ git fetch --no-tags https://gitlab.northwick.example/museum/www.git main\nPOST git-upload-pack (214 bytes)\n   5d20f8ae..9e41c07b  main\ncredential: [secret]',
    }),
    run('r2', {
      at: now - 1_105_000,
      durationMs: 600,
      triggers: ['watch'],
      result: 'pushed',
      before: oid('77c90be4'),
      after: oid('5d20f8ae'),
      pulled: zero,
      pushed: { added: 0, changed: 1, removed: 0 },
      files: [{ mark: '~', path: pathFromText('content/visit/hours.md'), to: 'gitlab' }],
    }),
    stopped('r3', {
      at: now - 9_740_000,
      durationMs: 500,
      triggers: ['watch'],
      result: 'refused',
      pulled: zero,
      files: [],
      problem: {
        code: 'push-refused',
        facts: {
          project: 'museum/www',
          text: 'Author’s email cms@localhost does not follow the pattern @northwick\\.example$',
        },
        cause: 'pre-receive hook declined',
      },
      output:
        "remote: GitLab: Author's email 'cms@localhost' does not follow the pattern\n ! [remote rejected] main -> main (pre-receive hook declined)",
    }),
    run('r4', {
      at: now - 72_900_000,
      triggers: ['person'],
      by: 'Ana Petrović',
      result: 'restored',
      pulled: { added: 402, changed: 0, removed: 0 },
      files: [],
    }),
    stopped('r5', {
      at: now - 73_700_000,
      triggers: ['rescan'],
      result: 'held',
      hold: 'folder-lost-files',
      pulled: zero,
      files: [],
    }),
    run('r7', {
      at: now - 75_400_000,
      durationMs: 1_900,
      triggers: ['watch', 'webhook'],
      result: 'merged',
      before: oid('1c03d5a7'),
      after: oid('77c90be4'),
      pushed: { added: 2, changed: 1, removed: 0 },
      subject: 'Press release, and the new tour of the harbour',
      by: 'Jonas Lindqvist',
    }),
    stopped('r6', {
      at: now - 127_000_000,
      durationMs: 130_000,
      triggers: ['poll', 'retry'],
      result: 'failed',
      pulled: zero,
      files: [],
      problem: {
        code: 'gitlab-unreachable',
        facts: { host: 'gitlab.northwick.example' },
        cause: 'ECONNREFUSED connect ECONNREFUSED 10.0.4.12:443',
      },
    }),
  ];
  world.acts = [
    act('1', 'connected', 900_000, 'parks', 'to parks/gardens-site on main: 38 replaced, 121 added, 43 removed'),
    act('2', 'resolved', 17_000_000, 'intranet', 'results/ward-03.md: the site’s version'),
    act('3', 'chose', 72_900_000, 'museum', 'Put 402 files back'),
    act('5', 'changed-settings', 79_100_000, 'museum', 'Commits: the author is fixed'),
    act('6', 'paused', 3 * day, 'summer', ''),
    act('7', 'made-api-token', 9 * day, undefined, 'newsroom CMS, “publish” button'),
    act('8', 'added-admin', 12 * day, undefined, 'Ana Petrović'),
    act('4', 'configured-instance', 48 * day, undefined, 'https://gitlab.northwick.example'),
  ];
  world.conflicts = [
    {
      id: 'k1',
      at: now - 14_000_000,
      path: pathFromText('content/exhibitions/tidal-lives.md'),
      kind: 'content',
      live: 'repository',
      base: oid('1'),
      repository: oid('2'),
      site: oid('3'),
    },
    {
      id: 'k2',
      at: now - 78_000_000,
      path: pathFromText('static/img/poster-tidal-lives.png'),
      kind: 'binary',
      live: 'repository',
      repository: oid('4'),
      site: oid('5'),
    },
    {
      id: 'k3',
      at: now - 98_000_000,
      path: pathFromText('content/visit/café.md'),
      kind: 'modify-delete',
      live: 'site',
      site: oid('5'),
      resolved: { at: now - 90_000_000, by: 'Jonas Lindqvist', choice: 'site' },
    },
  ];
  const rooms = ['The slipway', 'Nets and knots', 'The dredger’s log', 'Harbour paintings', 'A pilot’s house'];
  const lines = Array.from({ length: 22 }, (_, i) => `${i + 1}. ${rooms[i % rooms.length]}, room ${(i % 9) + 1}.`);
  world.versions = {
    repository: Buffer.from(
      [
        '---',
        'title: Tidal lives',
        'closes: 2027-01-10',
        '---',
        '',
        'Two centuries of work on the estuary, told by the people who fished, dredged and drew it.',
        '',
        'Admission is free for members of the library.',
        ...lines,
        'Guided tours: Wednesdays, 14:00, in English and Welsh.',
        '',
      ].join('\n'),
    ),
    site: Buffer.from(
      [
        '---',
        'title: Tidal lives',
        'closes: 2027-02-28',
        '---',
        '',
        'Two centuries of work on the estuary, told by the people who fished and painted it.',
        '',
        '**Extended until 28 February.** The last entry is at 16:15.',
        '',
        'Admission is free for members of the library.',
        ...lines,
        '',
      ].join('\n'),
    ),
  };
  world.outgoing = [
    {
      ...{ id: 'w1', address: 'https://build.example.org/hooks/mooring', host: 'build.example.org', on: true },
      ...{ events: ['pulled', 'hold'], createdAt: now - 3 * 86_400_000 },
    },
    {
      ...{ id: 'w2', address: 'http://10.0.0.7:8080/purge', host: '10.0.0.7:8080', on: false },
      ...{ events: ['pushed'], createdAt: now - 86_400_000 },
    },
  ];
  const call = { webhook: 'w1', event: 'pulled' as const, site: 'museum' as SiteId, body: '{"type":"pulled"}' };
  world.deliveries = [
    {
      ...{ ...call, id: 'msg_3', at: now - 60_000, state: 'waiting', nextAt: now + 240_000 },
      tries: [{ at: now - 60_000, good: false, said: 'build.example.org answered 503.' }],
    },
    {
      ...{ ...call, id: 'msg_2', at: now - 3_600_000, state: 'delivered' },
      tries: [{ at: now - 3_600_000, good: true, said: 'It answered 202 and says “queued”.' }],
    },
    {
      ...{ ...call, id: 'msg_1', at: now - 86_400_000, state: 'failed' },
      tries: [{ at: now - 86_400_000, good: false, said: 'build.example.org could not be reached.' }],
    },
  ];
  world.apiTokens = [
    {
      id: 't1',
      name: 'monitoring',
      accountId: 'a1',
      scopes: ['read'],
      createdAt: now - 40 * day,
      endsAt: now + 50 * day,
      usedAt: now - 90_000,
    },
    { id: 't2', name: 'newsroom CMS, “publish” button', accountId: 'a1', scopes: ['sync'], createdAt: now - 9 * day },
    {
      id: 't3',
      name: 'old script',
      accountId: 'gone',
      scopes: ['read'],
      createdAt: now - 400 * day,
      endsAt: now - 35 * day,
    },
  ];
  world.kept = [
    { id: 'kv2', at: now - 291_000, cause: 'removed', files: 2, bytes: 2_400 },
    { id: 'kv3', at: now - 5_291_000, cause: 'conflict', files: 1, bytes: 812 },
    { id: 'kv1', at: now - 17 * day, cause: 'connect', files: 83, bytes: 61_000_000 },
  ];
  const uploads = ['bandstand-programme.pdf', 'heron-walk.md', 'map.svg', 'allotments.csv', 'pond.jpg'];
  const named = (amount: number) =>
    Array.from({ length: amount }, (_, i) =>
      pathFromText(`uploads/${2026 - Math.floor(i / 20)}/${(i % 12) + 1}/${i % 4}-${uploads[i % uploads.length]}`),
    );
  world.keptFiles = ['content/opening-times.md', 'uploads/2024/rose-garden.jpg']
    .map(pathFromText)
    .concat(named(81))
    .map((path, i) => ({
      path,
      bytes: 1_800 + ((i * 7_919) % 997) * 1_400,
    }));
  const rest = named(197).map(
    (path, i) => ({ mark: i < 36 ? '~' : i < 156 ? '+' : '-', path, bytes: 900 + i * 310 }) as const,
  );
  world.plan = { ...world.plan, samples: [...world.plan.samples, ...rest] };
  const held = world.statuses.get('shop')?.hold?.samples ?? [];
  const gone = named(412 - held.length).map((path) => ({ mark: '-', path }) as const);
  const { connecting, decisions, repositories } = world.deps;
  world.deps = {
    ...world.deps,
    repositories: {
      ...repositories,
      branches: async (connection, asked, search) =>
        asked.id === 13 ? manyBranches : repositories.branches(connection, asked, search),
    },
    connecting: {
      ...connecting,
      async plan(...asked) {
        const plan = await connecting.plan(...asked);
        if (asked[0].branch === 'slow') {
          asked[2]?.progress({ act: 'fetching', done: 8_120, total: 21_400, bytes: 48e6, bytesPerSecond: 6e6 });
          await world.gate;
        }
        return asked[0].branch === 'release/winter' ? { ...plan, refused: large, obstacles } : plan;
      },
    },
    decisions: { ...decisions, heldPaths: (id) => (id === 'shop' ? [...held, ...gone] : []) },
  };
  world.folders = [
    { path: '/srv/sites/harbour', files: 318, bytes: 42_000_000, empty: false },
    { path: '/srv/sites/heritage', files: 0, bytes: 0, empty: true },
    {
      path: '/srv/sites/intranet',
      files: 900,
      bytes: 1,
      empty: false,
      disabled: 'Belongs to the site Council intranet',
    },
  ];
  world.checks = [
    { name: 'Name', result: 'good', finding: 'gitlab.northwick.example is 10.0.4.12' },
    { name: 'TLS', result: 'good', finding: 'TLS 1.3, issued by Northwick Internal CA R2, valid until 3 Mar 2027' },
    {
      name: 'Clock',
      result: 'bad',
      finding: 'This server is 94 seconds behind GitLab.',
      fix: 'Start time synchronisation here: timedatectl set-ntp true.',
    },
    { name: 'Version', result: 'good', finding: 'GitLab 17.8.2, supported' },
    { name: 'Webhook’s way back', result: 'unknown', finding: 'Known after the first site is connected.' },
  ];
}

/** The default branch is not to be pushed to, and GitLab has more than it gives at once. */
const manyBranches = {
  branches: [
    branch('main', { default: true, protected: true, canPush: false }),
    ...Array.from({ length: 100 }, (_, i) => branch(`archive/${2019 + Math.floor(i / 20)}-${(i % 20) + 1}`)),
  ],
  more: true,
};

/** One of each that GitLab can have against a plan. */
const obstacles: readonly Obstacle[] = [
  { kind: 'branch-protected', certain: true, pattern: 'release/*', needed: 'Maintainer' },
  { kind: 'branch-name', certain: true, pattern: '^(site|fix)/[a-z-]+$' },
  { kind: 'author-pattern', certain: true, email: 'cms@localhost', pattern: '@northwick\\.example$' },
  { kind: 'author-member', certain: false, email: 'web@northwick.example' },
  { kind: 'committer-email', certain: false, email: 'web@northwick.example', username: 'ana.p' },
  { kind: 'committer-name', certain: true, name: 'Web team', wanted: 'Ana Petrović' },
  { kind: 'message-pattern', certain: true, subject: 'Update 3 files in content/visit', pattern: '^[A-Z]{2,}-\\d+ ' },
  { kind: 'message-forbidden', certain: true, subject: 'Update 3 files in content/visit', pattern: '^Update' },
  { kind: 'unsigned', certain: true },
  { kind: 'no-sign-off', certain: true },
  {
    ...{ kind: 'file-name', certain: true, pattern: '\\.(exe|jar)$' },
    paths: ['tools/resize.exe', 'tools/sign.jar'].map(pathFromText),
  },
  { kind: 'file-size', certain: false, limit: 5_242_880, paths: [] },
  { kind: 'repository-size', certain: false, bytes: 14.6 * 1024 ** 3, limit: 10 * 1024 ** 3 },
];

const large = ['static/film/harbour.mp4', 'static/film/tour.mp4', 'static/map.tif'].map(
  (path) => ({ path: pathFromText(path), reason: { kind: 'lfs-pointer' } }) as const,
);

function fillNotifications(world: World): void {
  const failure = {
    first: now - 5_400_000,
    at: now - 1_500_000,
    times: 4,
    happened: 'chat.northwick.example answered 404.',
    todo: 'The receiver no longer has this webhook. Create a new one and enter its address.',
  };
  world.notifications = {
    mail: {
      from: 'Mooring <mooring@northwick.example>',
      to: ['web-team@northwick.example', 'ops@northwick.example'],
      server: 'mail.northwick.example port 587',
      tls: 'starttls',
      record: { sent: { at: now - 5_460_000, subject: 'Mooring: Market shop is on hold' }, digestDay: '2026-11-19' },
    },
    webhook: {
      on: true,
      form: 'mattermost',
      address: 'https://chat.northwick.example/hooks/7n4q1mfw3bgr',
      host: 'chat.northwick.example',
      header: 'X-Room-Key',
      record: { failure },
    },
    damaged: false,
  };
}

function fillSystem(world: World): void {
  fillNotifications(world);
  world.systemChecks = [
    { name: 'Mooring', result: 'good', finding: '1.4.0' },
    { name: 'Node', result: 'good', finding: '24.11.0, supported until April 2028' },
    { name: 'Git', result: 'good', finding: '2.43.0, supported' },
    { name: 'State directory', result: 'good', finding: '/var/lib/mooring, opened without errors' },
    {
      name: 'Disk',
      result: 'warn',
      finding: '4.6 GiB free of 80.0 GiB on the disk of the state directory',
      fix: 'Keep versions for a shorter time, or enlarge the volume.',
    },
    { name: 'Watches', result: 'good', finding: '41,208 of 524,288' },
  ];
  world.attention = [
    {
      ...{ kind: 'went-back', tone: 'bad', help: 'went-back', sites: ['theatre', 'harbour'] as SiteId[] },
      title: '2 branches lost commits in GitLab, probably because it was restored from an older backup',
      text: 'GitLab no longer has commits of these branches that the sites were in sync with. Mooring did not change any files or branches. New edits in the folders are committed locally and pushed after you decide.',
    },
    {
      kind: 'disk',
      tone: 'warn',
      title: 'Disk: 4.6 GiB free of 80.0 GiB on the disk of the state directory',
      text: 'Keep versions for a shorter time, or enlarge the volume.',
      help: 'system',
      sites: [],
    },
    {
      kind: 'too-large',
      tone: 'warn',
      title: 'Files over the limit: 1 site',
      text: 'They stay where they are and are not synced. The site’s page names them; limits are set under Files.',
      help: 'files',
      sites: ['museum' as SiteId],
    },
    {
      kind: 'webhook',
      tone: 'mute',
      title: 'No webhook: 2 sites',
      text: 'Mooring polls the branch instead, so pushes arrive up to a minute late. Source Syncing explains why and how to change it.',
      help: 'syncing',
      sites: ['events' as SiteId, 'minutes' as SiteId],
    },
  ];
  // A working week by day and by hour: the day's work ends in the evening, and nobody works on Sunday.
  const today = Math.floor(now / day);
  const beat = (i: number, most: number) => ({
    pulled: (i * 7) % most,
    pushed: (i * 11) % (most - 1),
    failed: i % 9 === 4 ? 1 : 0,
  });
  const rest = { pulled: 0, pushed: 0, failed: 0 };
  const took = Array.from({ length: 30 }, (_, i) =>
    (today - 29 + i) % 7 === 3
      ? { syncs: 0, medianMs: 0, slowestMs: 0 }
      : {
          syncs: 12 + ((i * 7) % 19),
          medianMs: 500 + ((i * 370) % 900),
          slowestMs: i === 12 ? 190_000 : 1_900 + ((i * 1_730) % 9_000),
        },
  );
  world.pulse = {
    hours: Array.from({ length: 24 }, (_, i) => (i > 5 && i < 15 ? rest : beat(i, 4))),
    days: took.map(({ syncs }, i) => (syncs === 0 ? rest : beat(i + 3, 21))),
    took: {
      days: took,
      whole: {
        syncs: took.reduce((sum, { syncs }) => sum + syncs, 0),
        medianMs: 860,
        slowestMs: Math.max(...took.map(({ slowestMs }) => slowestMs)),
      },
    },
  };
}

const zero = { added: 0, changed: 0, removed: 0 };

/** A run that moved nothing has no commits to name. */
function stopped(id: string, over: Parameters<typeof run>[1]): ReturnType<typeof run> {
  const { before: _before, after: _after, ...rest } = run(id, over);
  return rest;
}

function act(id: string, what: AuditEntry['act'], ago: number, siteId: string | undefined, detail: string): AuditEntry {
  return {
    id,
    at: now - ago,
    by: 'Miriam Okafor',
    act: what,
    detail,
    ...(siteId === undefined ? {} : { site: siteId as SiteId }),
  };
}

/** Every page of the signed-in, by a short name. */
export const screens: Readonly<Record<string, string>> = {
  dashboard: '/',
  'add-site': '/sites/add',
  'source-syncing': '/sites/parks/settings/syncing',
  'pick-repository': '/sites/parks/repository',
  'pick-branch': '/sites/parks/repository?project=12',
  'pick-branch-shut': '/sites/parks/repository?project=13',
  'pick-none': '/sites/parks/repository?q=playground',
  confirm: '/sites/parks/confirm?project=12&branch=main',
  'confirm-refused': '/sites/parks/confirm?project=12&branch=release/winter',
  'confirm-push': '/sites/parks/confirm?project=12&branch=main&direction=start-from-folder',
  wait: '/sites/parks/confirm?project=12&branch=slow',
  connected: '/sites/intranet/settings/syncing',
  'syncing-declared': '/sites/depot/settings/syncing',
  'connected-declared': '/sites/library/settings/syncing',
  'settings-declared': '/sites/library/settings/ignored',
  'account-declared': '/account/admins/a8',
  'connected-blocked': '/sites/events/settings/syncing',
  disconnect: '/sites/intranet/disconnect',
  'switch-branch': '/sites/intranet/branch',
  'access-token': '/sites/parks/access-token',
  'pause-all': '/pause-all',
  connections: '/account/connections',
  'hand-over': '/account/connections/c1/hand-over?to=c1',
  'hand-over-to': '/account/connections/c1/hand-over',
  remove: '/sites/parks/remove',
  site: '/sites/museum',
  'site-retrying': '/sites/library',
  'site-hold': '/sites/shop',
  'site-off': '/sites/parks',
  'site-new-default': '/sites/docs-next',
  'connected-new-default': '/sites/docs-next/settings/syncing',
  'went-back': '/attention/went-back',
  'hold-went-back': '/sites/theatre/hold',
  hold: '/sites/shop/hold',
  'hold-branch-gone': '/sites/fair/hold',
  conflicts: '/sites/museum/conflicts',
  conflict: '/sites/museum/conflicts/k1',
  'conflict-inline': '/sites/museum/conflicts/k1?view=inline',
  kept: '/sites/museum/kept',
  'kept-version': '/sites/museum/kept/kv1',
  restore: '/sites/museum/kept/kv1/restore',
  'plan-paths': '/sites/parks/confirm/paths?project=12&branch=main',
  'hold-paths': '/sites/shop/hold/paths',
  'kept-found': '/sites/museum/kept?q=rose',
  'settings-schedule': '/sites/museum/settings/schedule',
  'settings-commits': '/sites/museum/settings/commits',
  'settings-safety': '/sites/museum/settings/safety',
  'settings-ignored': '/sites/museum/settings/ignored?path=backup/visitors.sql',
  'settings-files': '/sites/museum/settings/files',
  'settings-permissions': '/sites/museum/settings/permissions',
  'settings-name': '/sites/museum/settings/name',
  gitlab: '/account/gitlab',
  accounts: '/account/admins',
  account: '/account/admins/a7',
  'own-account': '/account/password',
  'remove-account': '/account/admins/a7/remove',
  tokens: '/account/tokens',
  'remove-token': '/account/tokens/t2/remove',
  notifications: '/account/notifications',
  webhooks: '/account/webhooks',
  webhook: '/account/webhooks/w1',
  'remove-webhook': '/account/webhooks/w1/remove',
  system: '/system',
  attention: '/attention',
  guide: '/guide',
  docs: '/docs',
  'docs-found': '/docs?q=webhook+network',
  doc: '/docs/install',
  'doc-wide': '/docs/operate',
  'doc-long': '/docs/troubleshoot',
  activity: '/activity',
  problem: '/oauth/callback',
};
