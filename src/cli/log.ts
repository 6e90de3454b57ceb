import type { Cli } from './cli.ts';
import { CliError, exit } from './exit.ts';
import { escapeControls } from '../model/tree.ts';
import { type SiteView, findSite, sitePath } from './sites.ts';

/** A run as the API shows it. */
interface RunView {
  readonly id: string;
  readonly at: string;
  readonly durationMs: number;
  readonly triggers: readonly string[];
  readonly result: string;
  readonly pulled: Tally;
  readonly pushed: Tally;
  readonly conflicts: readonly string[];
  readonly problem: { readonly title: string } | null;
}

interface Tally {
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
}

/** The runs of a site, the newest last, as a log reads; with `follow` those to come as well. */
export async function log(
  cli: Cli,
  name: string,
  { lines, follow }: { lines: number; follow: boolean },
): Promise<void> {
  const site = await findSite(cli, name);
  const first = (await runsOf(cli, site, lines)).toReversed();
  if (!follow) return show(cli, site, first);
  for (const run of first) showOne(cli, run);
  const seen = new Set(first.map(({ id }) => id));
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  let turn = Promise.resolve();
  await cli.client.events('/api/v1/events', stopped.signal, ({ kind, data }) => {
    if (kind !== 'run' || (JSON.parse(data) as { site?: string }).site !== site.id) return;
    // One after the other: two events at once must not print a run twice.
    turn = turn.then(async () => {
      for (const run of (await runsOf(cli, site, 25)).toReversed()) {
        if (!seen.has(run.id)) showOne(cli, run);
        seen.add(run.id);
      }
    });
  });
  await turn;
  if (!stopped.signal.aborted)
    throw new CliError(exit.unavailable, 'The daemon stopped.', 'Follow it again once it runs.');
}

async function runsOf({ client }: Cli, site: SiteView, limit: number): Promise<readonly RunView[]> {
  const { runs } = await client.get<{ runs: readonly RunView[] }>(`${sitePath(site)}/activity?limit=${limit}`);
  return runs;
}

function show(cli: Cli, site: SiteView, runs: readonly RunView[]): void {
  if (cli.json) return cli.out.json({ runs });
  if (runs.length === 0) return cli.out.line(`${site.name} was never synced.`);
  for (const run of runs) showOne(cli, run);
}

/** Followed runs are one JSON object a line, as programs read streams. */
function showOne({ json, out }: Cli, run: RunView): void {
  if (json) return void process.stdout.write(`${JSON.stringify(run)}\n`);
  const { style } = out;
  const failed = run.problem !== null;
  const moved = [tallyWords('pulled', run.pulled), tallyWords('pushed', run.pushed)].filter(Boolean).join(', ');
  const conflicts = run.conflicts.length === 0 ? '' : `, ${run.conflicts.length} in conflict`;
  const text = run.problem?.title ?? (moved === '' ? '' : `${moved}${conflicts}`);
  const time = `${run.at.slice(0, 19)}Z`;
  const result = style(failed ? 'red' : 'green', run.result.padEnd(9));
  out.line(`${style('dim', time)}  ${result}  ${escapeControls(text)}`.trimEnd());
}

function tallyWords(what: string, { added, changed, removed }: Tally): string {
  const parts = [added && `+${added}`, changed && `~${changed}`, removed && `-${removed}`].filter(Boolean);
  return parts.length === 0 ? '' : `${what} ${parts.join(' ')}`;
}
