import { when } from '../web/times.ts';
import type { Cli } from './cli.ts';
import { CliError, type ExitCode, exit } from './exit.ts';
import { bytes } from '../web/times.ts';
import { type Column, pairs, table } from './output.ts';
import { type SiteView, allSites, findSite, sitePath } from './sites.ts';

interface ConflictView {
  readonly id: string;
  readonly at: string;
  readonly path: string;
  readonly kind: string;
  readonly live: 'repository' | 'site' | 'both';
  readonly resolved: { readonly at: string; readonly by: string; readonly use: string } | null;
}

const ago = (time: string): string => when(Date.parse(time), Date.now()).relative;

/** Every page of a list. */
async function all<T>({ client }: Cli, path: string, member: string): Promise<T[]> {
  const found: T[] = [];
  let cursor: string | null = '';
  do {
    const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page: Record<string, unknown> = await client.get<Record<string, unknown>>(`${path}?limit=100${query}`);
    found.push(...(page[member] as T[]));
    cursor = page['next'] as string | null;
  } while (cursor !== null);
  return found;
}

async function openConflicts(cli: Cli, site: SiteView): Promise<ConflictView[]> {
  const found = await all<ConflictView>(cli, `${sitePath(site)}/conflicts`, 'conflicts');
  return found.filter(({ resolved }) => resolved === null);
}

/** Conflicts that nobody has resolved, of one site or of all. */
export async function conflicts(cli: Cli, name: string | undefined): Promise<void> {
  const sites =
    name === undefined ? (await allSites(cli)).filter((site) => site.conflicts > 0) : [await findSite(cli, name)];
  const rows: (ConflictView & { readonly site: string })[] = [];
  for (const site of sites)
    rows.push(...(await openConflicts(cli, site)).map((conflict) => ({ ...conflict, site: site.name })));
  if (cli.json) return cli.out.json({ conflicts: rows });
  if (rows.length === 0) return cli.out.line('There are no conflicts.');
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'SITE', of: ({ site }) => site, least: 8 },
    { title: 'ID', of: ({ id }) => id, least: 12 },
    { title: 'SINCE', of: ({ at }) => ago(at) },
    { title: 'IN USE', of: ({ live }) => live },
    { title: 'PATH', of: ({ path }) => path, least: 16 },
  ];
  for (const line of table(cli.out, columns, rows)) cli.out.line(line);
}

/** `which`: the path or the ID of a conflict; absent: all of the site. */
export async function resolve(cli: Cli, name: string, which: string | undefined, use: string): Promise<void> {
  const site = await findSite(cli, name);
  const open = await openConflicts(cli, site);
  const chosen = which === undefined ? open : open.filter(({ id, path }) => id === which || path === which);
  if (chosen.length === 0) {
    const happened = which === undefined ? `${site.name} has no conflicts.` : `${site.name} has no conflict ${which}.`;
    throw new CliError(exit.usage, happened, 'List them with “mooring conflicts”.', 'not-found');
  }
  for (const { id } of chosen) await cli.client.send(`${sitePath(site)}/conflicts/${encodeURIComponent(id)}`, { use });
  if (cli.json) return cli.out.json({ resolved: chosen.map(({ id, path }) => ({ id, path, use })) });
  const from = use === 'site' ? 'the folder' : 'the repository';
  for (const { path } of chosen) cli.out.line(`${path}: the version of ${from} is used. The other one is kept.`);
}

interface KeptVersion {
  readonly id: string;
  readonly at: string;
  readonly until: string;
  readonly cause: string;
  readonly files: number;
  readonly bytes: number;
}

interface KeptFile {
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
}

export interface RestoreOptions {
  /** The kept version to restore; `latest`; absent: they are listed. */
  readonly version: string | undefined;
  /** One file of it; absent: all. */
  readonly file: string | undefined;
}

/** Lists what syncs have replaced or removed, and brings one version of it back. */
export async function restore(cli: Cli, name: string, { version, file }: RestoreOptions): Promise<void> {
  const site = await findSite(cli, name);
  const kept = await all<KeptVersion>(cli, `${sitePath(site)}/kept`, 'versions');
  if (version === undefined) return showKept(cli, site, kept);
  const chosen = version === 'latest' ? kept[0] : kept.find(({ id }) => id === version);
  if (!chosen)
    throw new CliError(
      exit.usage,
      `${site.name} has no kept version ${version}.`,
      `List them with “mooring restore ${site.id}”.`,
      'not-found',
    );
  const path = `${sitePath(site)}/kept/${encodeURIComponent(chosen.id)}`;
  const files = await all<KeptFile>(cli, path, 'files');
  const one = file === undefined ? undefined : files.find((each) => each.path === file);
  if (file !== undefined && !one)
    throw new CliError(
      exit.usage,
      `This version has no file ${file}.`,
      `It has ${files
        .slice(0, 10)
        .map((each) => each.path)
        .join(', ')}.`,
      'not-found',
    );
  await cli.client.send(`${path}/restore`, one ? { file: one.id } : {});
  if (cli.json)
    return cli.out.json({
      site: site.id,
      version: chosen.id,
      files: one ? [one.path] : files.map((each) => each.path),
    });
  const what = one ? one.path : files.length === 1 ? (files[0]?.path ?? '') : `${files.length} files`;
  cli.out.line(
    `${what} as of ${chosen.at.slice(0, 19)}Z ${one || files.length === 1 ? 'is' : 'are'} restored. What was there is kept.`,
  );
}

function showKept({ json, out }: Cli, site: SiteView, versions: readonly KeptVersion[]): void {
  if (json) return out.json({ versions });
  if (versions.length === 0) return out.line(`${site.name} has no kept versions.`);
  const columns: Column<KeptVersion>[] = [
    { title: 'VERSION', of: ({ id }) => id, least: 20 },
    { title: 'KEPT', of: ({ at }) => ago(at) },
    { title: 'UNTIL', of: ({ until }) => ago(until) },
    { title: 'BECAUSE', of: ({ cause }) => cause, least: 8 },
    { title: 'FILES', of: ({ files }) => String(files), right: true },
    { title: 'SIZE', of: (one) => bytes(one.bytes), right: true },
  ];
  for (const line of table(out, columns, versions)) out.line(line);
}

interface HoldView {
  readonly step: string;
  readonly title: string;
  readonly reason: string;
  readonly choices: readonly { readonly choice: string; readonly title: string; readonly body: string }[];
  readonly samples: readonly { readonly mark: string; readonly path: string }[];
}

/** Shows the question that a site waits for, or answers it. */
export async function decide(cli: Cli, name: string, choice: string | undefined): Promise<ExitCode> {
  const site = await findSite(cli, name);
  const { hold } = await cli.client.get<{ hold: HoldView | null }>(`${sitePath(site)}/hold`);
  if (!hold) {
    if (cli.json) cli.out.json({ hold });
    else cli.out.line(`${site.name} waits for no decision.`);
    return choice === undefined ? exit.ok : exit.usage;
  }
  if (choice === undefined) {
    if (cli.json) cli.out.json({ hold });
    else showHold(cli, site, hold);
    return exit.ok;
  }
  const after = await cli.client.send<SiteView>(`${sitePath(site)}/hold`, { step: hold.step, choice });
  if (cli.json) cli.out.json(after);
  else cli.out.line(`${site.name}: answered with ${choice}.`);
  return exit.ok;
}

function showHold({ out }: Cli, site: SiteView, hold: HoldView): void {
  out.line(`${hold.title}.`);
  for (const line of pairs(out, [['Why', hold.reason]])) out.line(line);
  for (const { mark, path } of hold.samples.slice(0, 10)) out.line(`  ${mark} ${path}`);
  out.line();
  for (const line of pairs(
    out,
    hold.choices.map(({ choice, title, body }) => [choice, `${title}. ${body}`] as const),
  ))
    out.line(line);
  out.line();
  out.line(`Answer with “mooring decide ${site.id} <choice>”.`);
}
