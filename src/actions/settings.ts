import { builtInRules } from '../model/built-in-rules.ts';
import type { AuditEntry, RunRecord } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import type { ConnectionId } from '../model/instance.ts';
import type { SetUp } from '../model/set-up.ts';
import type { PathVerdict, SettingsForm } from '../model/settings.ts';
import type { LeftByRule, NotSynced, Site, SiteId, SiteSettings } from '../model/site.ts';
import { type Change, type Oid, type SitePath, displayPath, pathBytes, pathFromText } from '../model/tree.ts';

export interface SettingsDeps {
  readonly store: {
    readonly sites: {
      all(): readonly Site[];
      get(id: string): Site | undefined;
      change(id: SiteId, to: { name?: string; settings?: SiteSettings }): Promise<Site>;
    };
    readonly history: {
      runs(id: SiteId, page: { limit: number; offset: number }): Promise<{ readonly rows: readonly RunRecord[] }>;
    };
  };
  readonly runtimes: {
    /** Undefined for a site that is being added or removed. */
    find(id: SiteId): WorkerForSettings | undefined;
    /** Schedules and watcher follow the site. */
    changed(site: Site): Promise<void>;
  };
  /** What is wrong with a schedule, as a sentence. */
  readonly cronFault: (expression: string) => string | undefined;
  /** The message that a commit of these changes would carry. */
  readonly commitMessage: (changes: readonly Change[], site: Site) => string;
  /** Name and e-mail of a connection's commits, unless the site says otherwise. */
  readonly author: (id: ConnectionId | undefined) => { readonly name: string; readonly email: string };
  /** Which rule ignores a path of this folder, whether the path exists or not. */
  readonly explainPath: (site: Site, path: SitePath) => Promise<PathVerdict>;
  readonly report: (act: Omit<AuditEntry, 'id' | 'at'>) => void;
  readonly users: { userId(name: string): number | undefined; groupId(name: string): number | undefined };
  /** What this process may do with a folder that belongs to `owner`; -1: to somebody else. */
  readonly setUp: (owner: number) => SetUp;
  readonly ownerOf: (folder: string) => Promise<number>;
}

interface WorkerForSettings {
  /** What an earlier version ignored and this one does not. */
  wasIgnored(): WasIgnored;
  acceptRules(step: string): Promise<void>;
  untrack(path: SitePath): Promise<boolean>;
  /** Undefined until the folder was scanned for the first time after a start. */
  leftByRule(): { readonly at: number; readonly rules: readonly LeftByRule[] } | undefined;
}

interface WasIgnored {
  /** Names exactly these paths. */
  readonly step: string;
  readonly left: readonly NotSynced[];
}

export interface SettingsActions {
  /** Saves one page. Throws `form-invalid` whose facts are sentences by field, all at once; then nothing was saved. */
  save(id: SiteId, form: SettingsForm, by: string): Promise<Site>;
  /** What saving these pages would give. Throws `form-invalid` as saving does. The site need not exist yet. */
  read(site: Site, forms: readonly SettingsForm[]): Pick<Site, 'name' | 'settings'>;
  /** Saves several pages: all of them, or none. */
  saveAll(id: SiteId, forms: readonly SettingsForm[], by: string): Promise<Site>;
  /** Lets one path be synced that looks like a secret or a server control file. Throws `form-invalid` with `text`. */
  allow(id: SiteId, path: SitePath, by: string): Promise<void>;
  /**
   * Puts one path on the site's own list of ignored paths, and stops tracking it: it goes from the branch and stays in the
   * folder. Resolves with whether it was tracked. Throws `form-invalid` with `text`.
   */
  ignore(id: SiteId, path: SitePath, by: string): Promise<boolean>;
  /**
   * What an earlier version ignored and this one does not: committed from now on, or put on the site's own list. `step`
   * is what the person was shown; throws `plan-outdated` where it is something else by now.
   */
  decideRules(id: SiteId, step: string, choice: 'commit' | 'ignore', by: string): Promise<void>;
  wasIgnored(id: SiteId): WasIgnored;
  /** What each rule leaves out of the folder; undefined until the first scan after a start. */
  leftByRule(id: SiteId): ReturnType<WorkerForSettings['leftByRule']>;
  /** Which rule ignores a path, whether it exists or not. */
  explain(id: SiteId, path: SitePath): Promise<PathVerdict>;
  /** What is wrong with a schedule, as a sentence. */
  cronFault(expression: string): string | undefined;
  /** Name and e-mail that commits carry unless the site says otherwise. */
  author(id: SiteId): { name: string; email: string };
  /** How Mooring's user relates to the owner of the site's folder. */
  setUp(id: SiteId): Promise<SetUp>;
  /** The message as a template would make it of the last push, or of an example where there was none. */
  preview(id: SiteId, subject: string): Promise<{ text: string; from: 'last-push' | 'example' }>;
}

const KiB = 1024;
const mostRules = 500;

/** The settings of a site: each page checked, saved and recorded. */
export function createSettingsActions(deps: SettingsDeps): SettingsActions {
  const { runtimes, report } = deps;
  const store = deps.store.sites;
  const existing = (id: SiteId): Site => {
    const site = store.get(id);
    if (!site) throw new Problem('not-found', { what: 'site' });
    return site;
  };

  function read(site: Site, forms: readonly SettingsForm[]): Pick<Site, 'name' | 'settings'> {
    const faults = new Faults();
    let { name, settings } = site;
    for (const form of forms) {
      if (form.page === 'name') name = nameOf(site, form.name, faults);
      else settings = settingsOf(settings, form, faults, deps);
    }
    // What the branch has as pointers the folder has as contents: from then on they would be committed over them.
    if (site.binding && site.settings.lfs && !settings.lfs)
      faults.add('lfs', 'Large files stay on while the site is connected. Disconnect it first.');
    faults.throwIfAny();
    return { name, settings };
  }

  async function saveAll(id: SiteId, forms: readonly SettingsForm[], by: string): Promise<Site> {
    const site = existing(id);
    const { name, settings } = read(site, forms);
    const saved = await store.change(id, { name, settings });
    if (settings !== site.settings) await runtimes.changed(saved);
    for (const { page } of forms) {
      if (page !== 'name') report({ by, site: id, act: 'changed-settings', detail: titles[page] });
      else report({ by, site: id, act: 'renamed-site', detail: `before: ${site.name}` });
    }
    return saved;
  }

  const wasIgnored = (id: SiteId): WasIgnored => runtimes.find(id)?.wasIgnored() ?? { step: '', left: [] };

  return {
    wasIgnored,
    leftByRule: (id) => runtimes.find(id)?.leftByRule(),
    explain: async (id, path) => deps.explainPath(existing(id), path),
    cronFault: deps.cronFault,
    author: (id) => deps.author(store.get(id)?.binding?.connectionId),
    setUp: async (id) => deps.setUp(await deps.ownerOf(store.get(id)?.folder ?? '')),

    read,
    save: (id, form, by) => saveAll(id, [form], by),
    saveAll,

    async allow(id, path, by) {
      const site = existing(id);
      const rule = ruleFor(path);
      if (site.settings.allow.includes(rule)) return;
      if (site.settings.allow.length >= mostRules) throw new Problem('form-invalid', { text: tooManyRules });
      const saved = await store.change(id, { settings: { ...site.settings, allow: [...site.settings.allow, rule] } });
      await runtimes.changed(saved);
      report({ by, site: id, act: 'allowed', detail: displayPath(path) });
    },

    async ignore(id, path, by) {
      const site = existing(id);
      const rule = ruleFor(path);
      const { ignore } = site.settings;
      if (!ignore.includes(rule)) {
        if (ignore.length >= mostRules) throw new Problem('form-invalid', { text: tooManyRules });
        await runtimes.changed(await store.change(id, { settings: { ...site.settings, ignore: [...ignore, rule] } }));
        report({ by, site: id, act: 'changed-settings', detail: `${titles.ignored}: ${displayPath(path)}` });
      }
      return (await runtimes.find(id)?.untrack(path)) ?? false;
    },

    async decideRules(id, step, choice, by) {
      const site = existing(id);
      const { left, step: now } = wasIgnored(id);
      if (step !== now || left.length === 0) throw new Problem('plan-outdated', {});
      if (choice === 'commit') {
        await runtimes.find(id)?.acceptRules(step);
        report({ by, site: id, act: 'chose', detail: 'commit what an upgrade stopped ignoring' });
        return;
      }
      const rules = left.map(({ path, reason }) => ruleFor(path) + ('folder' in reason && reason.folder ? '/' : ''));
      const ignore = [...site.settings.ignore, ...rules.filter((rule) => !site.settings.ignore.includes(rule))];
      if (ignore.length > mostRules) throw new Problem('form-invalid', { text: tooManyPaths });
      // The next look finds them on the list, and nothing is left to decide.
      const saved = await store.change(id, { settings: { ...site.settings, ignore } });
      await runtimes.changed(saved);
      report({ by, site: id, act: 'changed-settings', detail: titles.ignored });
    },

    async preview(id, subject) {
      const site = existing(id);
      const { rows } = await deps.store.history.runs(id, { limit: 25, offset: 0 });
      const last = rows.map(pushedBy).find((changes) => changes.length > 0);
      const used = subject.trim() === '' || subjectFault(subject.trim()) !== undefined ? '{summary}' : subject.trim();
      const text = deps.commitMessage(last ?? exampleChanges, {
        ...site,
        settings: { ...site.settings, subject: used },
      });
      return { text, from: last ? 'last-push' : 'example' };
    },
  };

  function nameOf(site: Site, typed: string, faults: Faults): string {
    const name = typed.trim();
    if (name === '' || [...name].length > 100) faults.add('name', 'Give it a name of 1 to 100 characters.');
    if (/\p{Cc}/u.test(name)) faults.add('name', 'Control characters are not allowed here.');
    if (store.all().some((other) => other.id !== site.id && other.name === name))
      faults.add('name', `There is a site called ${name} already.`);
    return name;
  }
}

const entry = { mode: '100644', oid: '' as Oid } as const;

/** What a run took from the folder, as changes: enough of them for words. */
function pushedBy({ files }: RunRecord): readonly Change[] {
  return files
    .filter(({ to }) => to === 'gitlab')
    .map(({ mark, path }) => ({
      path,
      ...(mark === '+' ? {} : { before: entry }),
      ...(mark === '-' ? {} : { after: entry }),
    }));
}

export const exampleChanges: readonly Change[] = [
  'content/posts/first.md',
  'content/posts/second.md',
  'content/posts/third.md',
].map((path) => ({ path: pathFromText(path), before: entry, after: entry }));

const titles: Record<Exclude<SettingsForm['page'], 'name'>, string> = {
  schedule: 'Schedule',
  commits: 'Commits',
  safety: 'Conflicts and safety',
  ignored: 'Ignored paths',
  files: 'Files',
  permissions: 'Owner and permissions',
};

type SavedForm = Exclude<SettingsForm, { page: 'name' }>;

function settingsOf(
  now: SiteSettings,
  form: SavedForm,
  faults: Faults,
  { cronFault, ...deps }: SettingsDeps,
): SiteSettings {
  switch (form.page) {
    case 'schedule': {
      const cron = (field: 'poll' | 'rescan'): string => {
        const text = form[field].trim().split(/\s+/).join(' ');
        const fault = cronFault(text);
        if (fault !== undefined) faults.add(field, fault);
        return text;
      };
      const quietMs = 1_000 * faults.number('quiet', form.quiet, { least: 0.2, most: 600 });
      return { ...now, poll: cron('poll'), rescan: cron('rescan'), quietMs, quietMaxMs: Math.max(30_000, quietMs * 5) };
    }
    case 'commits':
      return commitsOf(now, form, faults);
    case 'safety': {
      const massPaths = faults.whole('massPaths', form.massPaths, { least: 0, most: 1_000_000 });
      const massShare = faults.number('massShare', form.massShare, { least: 1, most: 100 }) / 100;
      const keepDays = faults.whole('keepDays', form.keepDays, { least: 1, most: 3_650 });
      const { replacesWithoutCapture: _chosen, ...rest } = now;
      return {
        ...{ ...rest, policy: form.policy, keepDays, limits: { ...now.limits, massPaths, massShare } },
        ...(form.replacesWithoutCapture ? { replacesWithoutCapture: true } : {}),
      };
    }
    case 'ignored':
      return {
        ...now,
        ignore: rulesOf('ignore', form.ignore, faults),
        allow: rulesOf('allow', form.allow, faults),
        ...(form.builtInRulesOff ? { builtInRulesOff: builtInOf(form.builtInRulesOff) } : {}),
      };
    case 'files': {
      const fileBytes = Math.round(faults.number('fileMiB', form.fileMiB, { least: 0.1, most: 5_120 }) * KiB ** 2);
      const files = faults.whole('files', form.files, { least: 1, most: 5_000_000 });
      const siteBytes = Math.round(faults.number('siteGiB', form.siteGiB, { least: 0.1, most: 1_024 }) * KiB ** 3);
      if (fileBytes > siteBytes) faults.add('fileMiB', 'One file cannot be larger than the whole site.');
      const { lfs: _lfs, executables: _executables, links: _links, ...rest } = now;
      return {
        ...rest,
        limits: { ...now.limits, fileBytes, files, siteBytes },
        ...(form.lfs ? { lfs: true } : {}),
        ...(form.executables ? { executables: true } : {}),
        ...(form.links ? { links: true } : {}),
      };
    }
    case 'permissions':
      return permissionsOf(now, form, faults, deps);
  }
}

function commitsOf(now: SiteSettings, form: Extract<SavedForm, { page: 'commits' }>, faults: Faults): SiteSettings {
  const { author: _author, subject: _subject, ...rest } = now;
  const subject = form.subject.trim();
  const fault = subjectFault(subject);
  if (fault !== undefined) faults.add('subject', fault);
  const name = form.authorName.trim();
  const email = form.authorEmail.trim();
  if (form.author === 'fixed') {
    // Git drops these from names by itself, and a name that is nothing else would stop every commit.
    if (!/[^\s.,:;<>"'\\]/.test(name) || /[\p{Cc}<>]/u.test(name) || name.length > 200)
      faults.add('authorName', 'Enter a name of 1 to 200 characters, without < and >.');
    if (!/^[^\s<>@\p{Cc}]+@[^\s<>@\p{Cc}]+$/u.test(email) || email.length > 200)
      faults.add('authorEmail', 'Enter an e-mail address, such as web@example.org.');
  }
  return {
    ...rest,
    skipCi: form.skipCi,
    ...(subject === '' || subject === '{summary}' ? {} : { subject }),
    ...(form.author === 'fixed' ? { author: { name, email } } : {}),
  };
}

function permissionsOf(
  now: SiteSettings,
  form: Extract<SavedForm, { page: 'permissions' }>,
  faults: Faults,
  { users, setUp }: Pick<SettingsDeps, 'users' | 'setUp'>,
): SiteSettings {
  const { newEntries: _newEntries, ...rest } = now;
  const [user = '', group = '', ...more] = form.owner.trim().split(':');
  const owner = user === '' && group === '' ? undefined : { user, group };
  if (owner) {
    if (user === '' || group === '' || more.length > 0)
      faults.add('owner', 'Enter a user and a group, separated by a colon, such as www-data:www-data.');
    else if (users.userId(user) === undefined) faults.add('owner', `There is no user ${user} on this machine.`);
    else if (users.groupId(group) === undefined) faults.add('owner', `There is no group ${group} on this machine.`);
    else if (setUp(-1) !== 'capabilities')
      faults.add(
        'owner',
        'Mooring cannot give files to other users: it runs without CAP_CHOWN, CAP_FOWNER and CAP_FSETID. Grant them in its unit or compose file, or leave this field empty.',
      );
  }
  const fileMode = faults.mode('fileMode', form.fileMode, { owner: 0o600, words: 'read and write' });
  const folderMode = faults.mode('folderMode', form.folderMode, { owner: 0o700, words: 'read, write and enter' });
  const newEntries = {
    ...(owner ? { owner } : {}),
    ...(fileMode === undefined ? {} : { fileMode }),
    ...(folderMode === undefined ? {} : { folderMode }),
  };
  return Object.keys(newEntries).length === 0 ? rest : { ...rest, newEntries };
}

const placeholders = ['summary', 'count', 'paths', 'site', 'date'];

/** What is wrong with a template, as a sentence; undefined when it can be used. Empty stands for `{summary}`. */
export function subjectFault(subject: string): string | undefined {
  if (subject.length > 200) return 'At most 200 characters.';
  if (/\p{Cc}/u.test(subject)) return 'One line, without control characters.';
  const unknown = [...subject.matchAll(/\{(\w*)\}/g)].find(([, name = '']) => !placeholders.includes(name));
  return unknown && `${unknown[0]} is no placeholder. There are ${placeholders.map((one) => `{${one}}`).join(', ')}.`;
}

const tooManyPaths = `The list of ignored paths has room for ${mostRules} lines. Write patterns for these paths there yourself.`;
const tooManyRules = `At most ${mostRules} lines.`;

function rulesOf(field: string, text: string, faults: Faults): string[] {
  const rules = text
    .split(/\r?\n/)
    .map((rule) => rule.trimEnd())
    .filter((rule) => rule !== '');
  if (rules.length > mostRules) faults.add(field, tooManyRules);
  if (rules.some((rule) => rule.length > 1_000)) faults.add(field, 'A line has at most 1,000 characters.');
  if (rules.some((rule) => /\p{Cc}/u.test(rule))) faults.add(field, 'Control characters are not allowed here.');
  return rules;
}

const builtInOf = (ids: readonly string[]): string[] =>
  builtInRules.map(({ id }) => id).filter((id) => ids.includes(id));

/** The rule that means this one path and no other. */
function ruleFor(path: SitePath): string {
  const text = pathBytes(path).toString('utf8');
  if (text.includes('\ufffd') || /\p{Cc}/u.test(text)) {
    throw new Problem('form-invalid', { text: 'This path cannot be written as a rule. Rename the file first.' });
  }
  return `/${text.replace(/[\\*?[\]]/g, '\\$&').replace(/ $/, '\\ ')}`;
}

/** Faults by field; the first of each field counts. */
class Faults {
  readonly #found: Record<string, string> = {};

  add(field: string, sentence: string): void {
    this.#found[field] ??= sentence;
  }

  number(field: string, typed: string, { least, most }: { least: number; most: number }): number {
    const text = typed.trim().replace(',', '.');
    const value = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= least && value <= most)) this.add(field, `Enter a number from ${least} to ${most}.`);
    return value;
  }

  whole(field: string, typed: string, range: { least: number; most: number }): number {
    const value = this.number(field, typed, range);
    if (!Number.isInteger(value)) this.add(field, `Enter a whole number from ${range.least} to ${range.most}.`);
    return value;
  }

  /** Octal permission bits; undefined when nothing was typed. `owner`: what the owner needs, or syncing would fail. */
  mode(field: string, typed: string, needed: { owner: number; words: string }): number | undefined {
    const text = typed.trim();
    if (text === '') return undefined;
    const mode = /^0?[0-7]{3}$/.test(text) ? Number.parseInt(text, 8) : Number.NaN;
    if (Number.isNaN(mode)) this.add(field, 'Enter three octal digits, such as 664.');
    else if ((mode & needed.owner) !== needed.owner) this.add(field, `The owner needs to ${needed.words}.`);
    return mode;
  }

  throwIfAny(): void {
    if (Object.keys(this.#found).length > 0) throw new Problem('form-invalid', this.#found);
  }
}
