import { z } from 'zod';
import type { SettingsForm } from './settings.ts';
import type { Site } from './site.ts';

/**
 * A site's settings as one document: what the API reads and changes, and what a declared site says. The pages send the
 * same in parts; a document becomes their forms, so that all are checked and saved in one place.
 */

const text = (max: number) => z.string().max(max);

export const settingsDocument = z
  .strictObject({
    name: z.string().max(200),
    schedule: z.strictObject({
      poll: text(200).describe('Cron, five fields: how often the branch is checked.'),
      rescan: text(200).describe('Cron, five fields: how often the whole folder is compared.'),
      quietSeconds: z.number(),
    }),
    commits: z.strictObject({
      subject: text(500),
      author: z
        .strictObject({ name: text(500), email: text(500) })
        .nullable()
        .describe('Null: the connection’s user.'),
      skipCi: z.boolean(),
    }),
    safety: z.strictObject({
      policy: z.enum(['repository', 'site', 'hold']),
      massPaths: z.int(),
      massSharePercent: z.number(),
      keepDays: z.int(),
      replacesWithoutCapture: z.boolean(),
    }),
    ignored: z.strictObject({
      ignore: z.array(text(1_000)).max(500),
      allow: z.array(text(1_000)).max(500),
      builtInRulesOff: z.array(text(100)).max(100),
    }),
    files: z.strictObject({
      fileMiB: z.number(),
      files: z.int(),
      siteGiB: z.number(),
      lfs: z.boolean(),
      executables: z.boolean(),
      links: z.boolean(),
    }),
    permissions: z.strictObject({
      owner: text(200).nullable().describe('`user:group`; null: as the folder.'),
      fileMode: text(4).nullable().describe('Octal, such as 664; null: as the folder.'),
      folderMode: text(4).nullable(),
    }),
  })
  .meta({ id: 'Settings' });

export const settingsChange = z
  .strictObject({
    name: settingsDocument.shape.name,
    schedule: settingsDocument.shape.schedule.partial(),
    commits: settingsDocument.shape.commits.partial(),
    safety: settingsDocument.shape.safety.partial(),
    ignored: settingsDocument.shape.ignored.partial(),
    files: settingsDocument.shape.files.partial(),
    permissions: settingsDocument.shape.permissions.partial(),
  })
  .partial()
  .meta({ id: 'SettingsChange' });

type Settings = z.output<typeof settingsDocument>;
type Change = z.output<typeof settingsChange>;
export type { Settings as SettingsDocument, Change as SettingsChange };

/** Where the document has what a form calls by another name. */
export const documentPathOf: Readonly<Record<string, readonly string[]>> = {
  poll: ['schedule', 'poll'],
  rescan: ['schedule', 'rescan'],
  quiet: ['schedule', 'quietSeconds'],
  subject: ['commits', 'subject'],
  authorName: ['commits', 'author', 'name'],
  authorEmail: ['commits', 'author', 'email'],
  massPaths: ['safety', 'massPaths'],
  massShare: ['safety', 'massSharePercent'],
  keepDays: ['safety', 'keepDays'],
  ignore: ['ignored', 'ignore'],
  allow: ['ignored', 'allow'],
  fileMiB: ['files', 'fileMiB'],
  files: ['files', 'files'],
  siteGiB: ['files', 'siteGiB'],
  lfs: ['files', 'lfs'],
  owner: ['permissions', 'owner'],
  fileMode: ['permissions', 'fileMode'],
  folderMode: ['permissions', 'folderMode'],
};

/** The settings of a site as one document. */
export function settingsView({ name, settings: s }: Pick<Site, 'name' | 'settings'>): Settings {
  const { limits, newEntries } = s;
  return {
    name,
    schedule: { poll: s.poll, rescan: s.rescan, quietSeconds: s.quietMs / 1_000 },
    commits: { subject: s.subject ?? '{summary}', author: s.author ? { ...s.author } : null, skipCi: s.skipCi },
    safety: {
      policy: s.policy,
      massPaths: limits.massPaths,
      massSharePercent: rounded(limits.massShare * 100),
      keepDays: s.keepDays,
      replacesWithoutCapture: s.replacesWithoutCapture === true,
    },
    ignored: { ignore: [...s.ignore], allow: [...s.allow], builtInRulesOff: [...(s.builtInRulesOff ?? [])] },
    files: {
      fileMiB: rounded(limits.fileBytes / 1024 ** 2),
      files: limits.files,
      siteGiB: rounded(limits.siteBytes / 1024 ** 3),
      lfs: s.lfs === true,
      executables: s.executables === true,
      links: s.links === true,
    },
    permissions: {
      owner: newEntries?.owner ? `${newEntries.owner.user}:${newEntries.owner.group}` : null,
      fileMode: octal(newEntries?.fileMode),
      folderMode: octal(newEntries?.folderMode),
    },
  };
}

const rounded = (value: number): number => Number(value.toFixed(2));
const octal = (mode: number | undefined): string | null =>
  mode === undefined ? null : mode.toString(8).padStart(3, '0');

/** Only the sections that are named, each filled up with what it has now: as the pages send them. */
export function formsOf(now: Settings, change: Change): SettingsForm[] {
  const forms: SettingsForm[] = [];
  if (change.name !== undefined) forms.push({ page: 'name', name: change.name });
  if (change.schedule) {
    const { poll, rescan, quietSeconds } = merged(now.schedule, change.schedule);
    forms.push({ page: 'schedule', poll, rescan, quiet: String(quietSeconds) });
  }
  if (change.commits) {
    const { subject, author, skipCi } = merged(now.commits, change.commits);
    const fixed = { author: author ? 'fixed' : 'connection' } as const;
    forms.push({ page: 'commits', subject, ...fixed, ...authorOf(author), skipCi });
  }
  if (change.safety) {
    const { massPaths, massSharePercent, keepDays, ...rest } = merged(now.safety, change.safety);
    const numbers = { massPaths: String(massPaths), massShare: String(massSharePercent), keepDays: String(keepDays) };
    forms.push({ page: 'safety', ...rest, ...numbers });
  }
  if (change.ignored) {
    const { ignore, allow, builtInRulesOff } = merged(now.ignored, change.ignored);
    forms.push({ page: 'ignored', ignore: ignore.join('\n'), allow: allow.join('\n'), builtInRulesOff });
  }
  if (change.files) {
    const { fileMiB, files, siteGiB, ...boxes } = merged(now.files, change.files);
    forms.push({ page: 'files', fileMiB: String(fileMiB), files: String(files), siteGiB: String(siteGiB), ...boxes });
  }
  if (change.permissions) {
    const { owner, fileMode, folderMode } = merged(now.permissions, change.permissions);
    const modes = { fileMode: fileMode ?? '', folderMode: folderMode ?? '' };
    forms.push({ page: 'permissions', owner: owner ?? '', ...modes });
  }
  return forms;
}

function merged<T extends object>(now: T, change: { [K in keyof T]?: T[K] | undefined }): T {
  const given = Object.entries(change).filter(([, value]) => value !== undefined);
  return { ...now, ...(Object.fromEntries(given) as Partial<T>) };
}

function authorOf(author: Settings['commits']['author']): { authorName: string; authorEmail: string } {
  return { authorName: author?.name ?? '', authorEmail: author?.email ?? '' };
}
