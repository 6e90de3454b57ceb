import type { z } from 'zod';
import type { SettingsForm } from '../../model/settings.ts';
import type { Site } from '../../model/site.ts';
import { type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';

type Settings = z.output<typeof shapes.settings>;
type Change = z.output<typeof shapes.settingsChange>;

/** A site's settings: all pages in one document. A change names only what it changes, and is saved whole or not at all. */
export const settingsEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/sites/:id/settings',
    summary: 'Read the settings of a site',
    status: 200,
    answer: shapes.settings,
    tagged: true,
    handle: ({ site }) => settingsView(site()),
  }),
  endpoint({
    method: 'patch',
    path: '/sites/:id/settings',
    summary: 'Change settings of a site',
    body: shapes.settingsChange,
    example: { schedule: { quietSeconds: 2 }, safety: { keepDays: 30 } },
    status: 200,
    answer: shapes.settings,
    tagged: true,
    handle: async ({ deps, site, body, by }) => {
      const forms = formsOf(settingsView(site()), body);
      return settingsView(forms.length === 0 ? site() : await deps.settings.saveAll(site().id, forms, by));
    },
  }),
];

function settingsView({ name, settings: s }: Site): Settings {
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
function formsOf(now: Settings, change: Change): SettingsForm[] {
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
