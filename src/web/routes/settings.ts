import type { Router } from '@koa/router';
import { z } from 'zod';
import { builtInRules } from '../../model/built-in-rules.ts';
import { Problem } from '../../model/problem.ts';
import type { PathVerdict, SettingsForm } from '../../model/settings.ts';
import { setUpWords } from '../../model/set-up.ts';
import { defaultSettings, type LeftByRule, type Site } from '../../model/site.ts';
import {
  type SitePath,
  displayPath,
  escapeControls,
  escapeLines,
  pathFromText,
  pathBytes,
  sitePath,
} from '../../model/tree.ts';
import type { Context, WebContext, State } from '../context.ts';
import { cronWords } from '../cron-words.ts';
import { beside, block, fields, parse, type FieldErrors } from '../form.ts';
import { siteFrame, siteOf } from '../site-frame.ts';
import type { WebDeps } from '../deps.ts';
import { number, when } from '../times.ts';
import { accountName } from '../session.ts';

type PageName = SettingsForm['page'];
type Entered = Readonly<Record<string, string>>;
type SiteContext = Context & { params: Record<string, string> };

const text = z.string().max(2_000).default('');
const box = z.literal('yes').optional();

/** What each page sends. Numbers and rules are checked where they are saved; here only the shape is. */
const forms = {
  schedule: z.object({ poll: text, rescan: text, quiet: text }),
  commits: z.object({
    subject: text,
    author: z.enum(['connection', 'fixed']).default('connection'),
    authorName: text,
    authorEmail: text,
    skipCi: box,
  }),
  safety: z.object({
    policy: z.enum(['repository', 'site', 'hold']),
    massPaths: text,
    massShare: text,
    keepDays: text,
    replacesWithoutCapture: box,
  }),
  ignored: z.object({ ignore: block(200_000), allow: block(200_000) }),
  files: z.object({ fileMiB: text, files: text, siteGiB: text, lfs: box, executables: box, links: box }),
  permissions: z.object({ owner: text, fileMode: text, folderMode: text }),
  name: z.object({ name: text }),
} as const;

const pageNames = Object.keys(forms) as PageName[];

/** Site Settings: one page, one form, one thing saved. Source Syncing has a file of its own. */
export function settings(router: Router<State>, web: WebContext): void {
  for (const page of pageNames) {
    router.get(`/sites/:id/settings/${page}`, (ctx) => showPage(ctx, web, page, {}));
    router.post(`/sites/:id/settings/${page}`, (ctx) => savePage(ctx, web, page));
  }

  router.get('/sites/:id/settings', (ctx) => web.redirect(ctx, `/sites/${siteOf(ctx, web).id}/settings/syncing`));

  router.get('/sites/:id/settings/commits/preview', async (ctx) => {
    const site = siteOf(ctx, web);
    const { text: words } = await preview(web, site, fields(ctx.query)['subject'] ?? '');
    ctx.type = 'text/plain';
    ctx.set('Cache-Control', 'no-store');
    ctx.body = words;
  });

  // From the site's page: what an upgrade stopped ignoring.
  router.post('/sites/:id/settings/ignored/decide', async (ctx) => {
    const site = siteOf(ctx, web);
    const { step = '', choice = '' } = fields(ctx.request.body);
    if (choice !== 'commit' && choice !== 'ignore') throw new Problem('form-invalid');
    await web.deps.settings.decideRules(site.id, step, choice, accountName(ctx));
    web.redirect(ctx, `/sites/${site.id}`, {
      tone: 'good',
      ...(choice === 'commit'
        ? { title: 'The files are committed', lines: ['The next sync pushes them like any other new file.'] }
        : {
            title: 'The files stay ignored',
            lines: ['They are on the site’s own list under Site Settings, Ignored paths.'],
          }),
    });
  });

  // From the site's page: one path that changes without end, or a database that is always open, is ignored.
  router.post('/sites/:id/settings/ignore', async (ctx) => {
    const site = siteOf(ctx, web);
    const entered = fields(ctx.request.body);
    const path = pathIn(entered['path']);
    const tracked = await web.deps.settings.ignore(site.id, path, accountName(ctx));
    web.redirect(ctx, web.address.known(entered['to']) ?? `/sites/${site.id}/settings/ignored`, {
      tone: 'good',
      title: `${displayPath(path)} is ignored`,
      lines: [
        ...(tracked
          ? ['The next sync removes it from the branch. It stays in the folder, and its history stays on GitLab.']
          : []),
        'To undo this, remove it from the list under Site Settings, Ignored paths.',
      ],
    });
  });

  // From the warning and the site's page: one path that looks like a secret is allowed.
  router.post('/sites/:id/settings/allow', async (ctx) => {
    const site = siteOf(ctx, web);
    const entered = fields(ctx.request.body);
    const path = pathIn(entered['allow']);
    await web.deps.settings.allow(site.id, path, accountName(ctx));
    web.redirect(ctx, web.address.known(entered['to']) ?? `/sites/${site.id}/settings/ignored`, {
      tone: 'good',
      title: `${displayPath(path)} is allowed`,
      lines: [
        'It is synced like any other file from the next sync on. To undo this, go to Site Settings, Ignored paths.',
      ],
    });
  });
}

/** A path as forms carry it: its bytes in base64url. */
function pathIn(field = ''): SitePath {
  if (!/^[\w-]{1,8000}$/.test(field)) throw new Problem('form-invalid');
  return sitePath(Buffer.from(field, 'base64url'));
}

async function savePage(ctx: SiteContext, web: WebContext, page: PageName): Promise<void> {
  const site = siteOf(ctx, web);
  const entered = fields(ctx.request.body);
  // The way without script to see the message before it is saved.
  if (page === 'commits' && entered['act'] === 'preview') return showPage(ctx, web, page, { entered });
  const parsed = parse<object>(forms[page], entered);
  if (parsed.kind === 'bad') return showPage(ctx, web, page, { entered, errors: parsed.errors, status: 422 });
  try {
    const boxes = {
      commits: { skipCi: 'skipCi' in entered },
      files: { lfs: 'lfs' in entered, executables: 'executables' in entered, links: 'links' in entered },
      safety: { replacesWithoutCapture: 'replacesWithoutCapture' in entered },
      ignored: 'built-in' in entered ? { builtInRulesOff: turnedOff(entered) } : {},
    };
    const values = { ...parsed.values, page, ...(page in boxes ? boxes[page as keyof typeof boxes] : {}) };
    await web.deps.settings.save(site.id, values as SettingsForm, accountName(ctx));
  } catch (error) {
    return showPage(ctx, web, page, { entered, errors: beside(error, {}), status: 422 });
  }
  web.redirect(ctx, `/sites/${site.id}/settings/${page}`, { tone: 'good', title: 'Saved', lines: [savedLine[page]] });
}

const savedLine: Record<PageName, string> = {
  schedule: 'The new schedule counts from now on.',
  commits: 'Used from the next commit on; old commits stay as they are.',
  safety: 'Counts from the next sync on.',
  ignored: 'The lists count from the next sync on.',
  files: 'The limits count from the next sync on.',
  permissions: 'Counts for files and folders that arrive from now on; those that are there stay as they are.',
  name: 'Links to this site stay as they are.',
};

interface Turn {
  readonly entered?: Entered;
  readonly errors?: FieldErrors;
  readonly status?: number;
}

async function showPage(ctx: SiteContext, web: WebContext, page: PageName, turn: Turn): Promise<void> {
  const site = siteOf(ctx, web);
  const values: Entered = { ...saved(site), ...turn.entered };
  const model = {
    nav: 'sites',
    site: siteFrame(web, site, 'settings', page),
    v: values,
    errors: turn.errors ?? {},
    ...(await extras[page](ctx, web, site, values)),
  };
  web.render(ctx, `pages/settings-${page}.njk`, model, turn.status ?? 200);
}

/** The settings as they stand in the fields. */
function saved({ name, settings: s }: Site): Entered {
  return {
    poll: s.poll,
    rescan: s.rescan,
    quiet: String(s.quietMs / 1_000),
    subject: s.subject ?? '{summary}',
    author: s.author ? 'fixed' : 'connection',
    authorName: s.author?.name ?? '',
    authorEmail: s.author?.email ?? '',
    policy: s.policy,
    massPaths: String(s.limits.massPaths),
    massShare: plainNumber(s.limits.massShare * 100),
    keepDays: String(s.keepDays),
    ignore: s.ignore.join('\n'),
    allow: s.allow.join('\n'),
    fileMiB: plainNumber(s.limits.fileBytes / 1024 ** 2),
    files: String(s.limits.files),
    siteGiB: plainNumber(s.limits.siteBytes / 1024 ** 3),
    owner: s.newEntries?.owner ? `${s.newEntries.owner.user}:${s.newEntries.owner.group}` : '',
    fileMode: octal(s.newEntries?.fileMode),
    folderMode: octal(s.newEntries?.folderMode),
    name,
  };
}

function octal(mode: number | undefined): string {
  return mode === undefined ? '' : mode.toString(8).padStart(3, '0');
}

function plainNumber(value: number): string {
  return String(Number(value.toFixed(2)));
}

type Extras = (
  ctx: SiteContext,
  web: WebContext,
  site: Site,
  values: Entered,
) => Readonly<Record<string, unknown>> | Promise<Readonly<Record<string, unknown>>>;

/** What a page shows beside its fields. */
const extras: Record<PageName, Extras> = {
  schedule: (_ctx, { deps }, site, values) => {
    const words = (field: string): string => {
      const expression = values[field] ?? '';
      return deps.settings.cronFault(expression) === undefined ? cronWords(expression) : '';
    };
    const next = site.paused || !site.binding ? undefined : deps.sites.status(site.id).nextTryAt;
    return {
      pollWords: words('poll'),
      rescanWords: words('rescan'),
      next: next === undefined ? null : when(next, deps.now()),
      zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      hook: site.binding?.webhook.kind === 'working',
      defaults: defaultSettings,
    };
  },
  commits: async (ctx, web, site, values) => {
    const author = web.deps.settings.author(site.id);
    return {
      sample: await preview(web, site, values['subject'] ?? ''),
      owner: site.binding ? `${escapeControls(author.name)}, ${escapeControls(author.email)}` : '',
      skipCi: turnedOn(ctx, values['skipCi'], site.settings.skipCi),
    };
  },
  safety: (ctx, { deps }, site, values) => ({
    replaces: turnedOn(ctx, values['replacesWithoutCapture'], site.settings.replacesWithoutCapture === true),
    isWeak: deps.sites.status(site.id).disks?.some(({ replace }) => replace === 'rename') ?? false,
  }),
  ignored: async (ctx, { deps }, site, values) => {
    const typed = (fields(ctx.query)['path'] ?? '').trim().replace(/^\/+/, '').slice(0, 4_000);
    const off = 'built-in' in values ? turnedOff(values) : (site.settings.builtInRulesOff ?? []);
    const model = leftView(deps.settings.leftByRule(site.id), off, deps.now());
    if (typed === '') return { ...model, tried: '', verdict: null };
    const verdict = await deps.settings.explain(site.id, pathFromText(typed));
    return { ...model, tried: typed, verdict: verdictView(typed, verdict) };
  },
  files: (ctx, _room, site, values) => ({
    lfs: turnedOn(ctx, values['lfs'], site.settings.lfs === true),
    executables: turnedOn(ctx, values['executables'], site.settings.executables === true),
    links: turnedOn(ctx, values['links'], site.settings.links === true),
  }),
  permissions: async (_ctx, { deps }, site) => ({ setUp: setUpWords[await deps.settings.setUp(site.id)] }),
  name: () => ({}),
};

async function preview({ deps }: WebContext, site: Site, subject: string): Promise<{ text: string; from: string }> {
  const made = await deps.settings.preview(site.id, subject.slice(0, 2_000));
  return { ...made, text: escapeLines(made.text) };
}

/** A box that is not ticked sends nothing, so what was sent counts and not what is saved. */
function turnedOn(ctx: Context, sent: string | undefined, was: boolean): boolean {
  return ctx.method === 'POST' ? sent === 'yes' : was;
}

/** The built-in rules whose box was not ticked. */
const turnedOff = (entered: Entered): string[] =>
  builtInRules.map(({ id }) => id).filter((id) => entered[`rule-${id}`] !== 'yes');

/** The built-in rules with what they leave out, and what the other rules do. */
function leftView(left: ReturnType<WebDeps['settings']['leftByRule']>, off: readonly string[], now: number) {
  const told = (rules: readonly LeftByRule[]) => ({
    count: rules.length === 0 ? '' : number(rules.reduce((sum, rule) => sum + rule.count, 0)),
    samples: rules.flatMap(({ samples }) => samples.map(displayPath)).slice(0, 5),
  });
  const rules = left?.rules ?? [];
  return {
    lookedAt: left ? when(left.at, now) : null,
    builtIn: builtInRules.map(({ id, title, from, files, folders = [] }) => ({
      ...{ id, title, from, on: !off.includes(id) },
      patterns: [...files.map(({ shown }) => shown), ...folders.map((folder) => `${folder}/`)],
      ...told(rules.filter((rule) => rule.id === id)),
    })),
    others: rules
      .filter(({ by }) => by !== 'built-in')
      .map((rule) => ({ rule: escapeControls(rule.rule), where: whereOf(rule), ...told([rule]) })),
  };
}

function whereOf({ by, folder }: LeftByRule): string {
  return by === 'gitignore' && folder ? `${displayPath(folder as SitePath)}/.gitignore` : lists[by];
}

const lists: Record<Extract<PathVerdict, { kind: 'caught' }>['by'], string> = {
  gitignore: 'a .gitignore of the repository',
  site: 'this site’s own list',
  'built-in': 'Mooring’s built-in rules',
  secret: 'Mooring’s list of known secret names',
};

function verdictView(typed: string, verdict: PathVerdict) {
  const path = displayPath(pathFromText(typed));
  switch (verdict.kind) {
    case 'synced':
      return {
        tone: 'good',
        icon: 'state-in-sync',
        word: 'Synced',
        path,
        says: 'is not ignored.',
        rule: '',
        where: '',
      };
    case 'bad-name':
      return {
        tone: 'bad',
        icon: 'error',
        word: 'Refused',
        path,
        says: 'cannot exist on both sides.',
        rule: '',
        where: '',
      };
    case 'control-file':
      return {
        tone: 'warn',
        icon: 'attention',
        word: 'One way',
        path,
        says: 'is a server control file: pushed, but not taken from the repository until it is allowed.',
        rule: '',
        where: '',
      };
    case 'caught': {
      const folder = pathBytes(verdict.at).length < pathBytes(pathFromText(typed)).length;
      const says = folder ? `is ignored, because its folder ${displayPath(verdict.at)}/ is.` : 'is ignored.';
      const rule = escapeControls(verdict.rule);
      return { tone: 'mute', icon: 'state-off', word: 'Ignored', path, says, rule, where: lists[verdict.by] };
    }
  }
}
