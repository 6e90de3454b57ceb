import type { Site } from '../model/site.ts';
import { type Change, type SitePath, displayPath, escapeControls, markOf, parentOf } from '../model/tree.ts';

const listed = 20;

/** What a site says about the first line of its messages. `date`: such as `2026-11-19 14:07`. */
export interface Wording {
  readonly subject: string;
  readonly site: string;
  readonly date: string;
}

/** The wording that a site's settings ask for. */
export function wording({ name, settings }: Pick<Site, 'name' | 'settings'>, at: number): Wording {
  const date = new Date(at).toISOString().slice(0, 16).replace('T', ' ');
  return { subject: settings.subject ?? plain.subject, site: name, date };
}

const plain: Wording = { subject: '{summary}', site: '', date: '' };

/** The message of a commit made from edits in the folder: what changed, in a line, then up to twenty paths. */
export function editMessage(changes: readonly Change[], wording: Wording = plain): string {
  const rows = changes.slice(0, listed).map((change) => `${markOf(change)} ${displayPath(change.path)}`);
  if (changes.length > listed) rows.push(`and ${changes.length - listed} more`);
  const body = changes.length > 1 ? `${rows.join('\n')}\n\n` : '';
  return `${subject(changes, wording)}\n\n${body}${trailer}\n`;
}

export const trailer = 'Synced-by: Mooring';

/** One pass over the template, so that a site called `{paths}` stays what it is. Never more than a line. */
function subject(changes: readonly Change[], { subject: template, site, date }: Wording): string {
  const paths = changes.slice(0, 3).map(({ path }) => displayPath(path));
  const values: Readonly<Record<string, string>> = {
    summary: summary(changes),
    count: String(changes.length),
    paths: paths.join(', ') + (changes.length > 3 ? ', …' : ''),
    site: escapeControls(site),
    date,
  };
  const text = template.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole).trim();
  return text === '' ? summary(changes) : [...text].slice(0, 200).join('');
}

/** `Update about.md`, `Update 3 files in content/posts`, `Add 2 files, remove old.md`. */
function summary(changes: readonly Change[]): string {
  const added = changes.filter(({ before }) => !before);
  const removed = changes.filter(({ before, after }) => before && !after);
  const updated = changes.filter(({ before, after }) => before && after);
  const parts = [phrase('add', added), phrase('update', updated), phrase('remove', removed)].filter(
    (part) => part !== '',
  );
  const text = parts.join(', ') || 'update';
  return text[0]?.toUpperCase() + text.slice(1);
}

function phrase(verb: string, changes: readonly Change[]): string {
  const [first] = changes;
  if (!first) return '';
  if (changes.length === 1) return `${verb} ${shorten(first.path)}`;
  const folder = commonFolder(changes.map(({ path }) => path));
  return `${verb} ${changes.length} files${folder ? ` in ${displayPath(folder as SitePath)}` : ''}`;
}

/** A subject line stays a line: long paths keep their end, which says most. */
function shorten(path: SitePath): string {
  const text = displayPath(path);
  return text.length <= 60 ? text : `…${text.slice(-59)}`;
}

function commonFolder(paths: readonly SitePath[]): string {
  let common = parentOf(paths[0] ?? '');
  for (const path of paths) while (common !== '' && !path.startsWith(`${common}/`)) common = parentOf(common);
  return common;
}

/** The message of a merge commit. `lost`: how many paths needed the policy; `where` the versions that lost are found. */
export function mergeMessage(lost: number, where: 'parents' | 'kept' = 'parents'): string {
  const paths = lost === 1 ? '1 path was' : `${lost} paths were`;
  const found = where === 'parents' ? 'both versions are in the parents' : 'the site’s version is kept at the site';
  const settled = lost === 0 ? '' : `\n${paths} changed on both sides; ${found}.\n`;
  return `Merge edits of the site and of the repository\n${settled}\n${trailer}\n`;
}
