import { resolve } from 'node:path';
import { faultLine } from '../declared/words.ts';
import type { ApplyResult, DeclaredWait } from '../model/declared.ts';
import type { Cli } from './cli.ts';
import { type ExitCode, exit } from './exit.ts';

/** Applies a file that declares the set-up, or shows what that would do. The daemon reads it: it has to be there. */
export async function apply(cli: Cli, file: string, { dryRun }: { readonly dryRun: boolean }): Promise<ExitCode> {
  const { client, json, out } = cli;
  const result = await client.send<ApplyResult>('/operator/v1/apply', { file: resolve(file), dryRun });
  if (json) out.json(result);
  else show(cli, result);
  return result.kind === 'faults' ? exit.config : result.kind === 'stopped' ? exit.failed : exit.ok;
}

function show({ out }: Cli, result: ApplyResult): void {
  if (result.kind === 'faults') {
    for (const fault of result.faults) out.note(faultLine(result.file, fault));
    const count = result.faults.length === 1 ? '1 fault' : `${result.faults.length} faults`;
    return out.note(`${count}. Nothing was changed.`);
  }
  const verbs = { planned: 'Would change', applied: 'Changed', stopped: 'Changed' } as const;
  if (result.changes.length > 0) out.line(`${verbs[result.kind]}:`);
  for (const { line, text } of result.changes) out.line(`  line ${line}: ${text}`);
  for (const wait of result.waiting) showWait(out, wait);
  for (const note of result.notes) out.line(`Note: ${note}`);
  if (result.kind === 'stopped') {
    out.note(result.why);
    out.note('Not done:');
    for (const { line, text } of result.left) out.note(`  line ${line}: ${text}`);
    return out.note('What was changed stays. Remove the cause, and apply the file again: it goes on from there.');
  }
  if (result.changes.length === 0) out.line(`Nothing to change: everything is as ${result.file} says.`);
}

function showWait(out: Cli['out'], { name, line, text, page, plan }: DeclaredWait): void {
  out.line(`Waiting, line ${line}: ${name}. ${text}`);
  if (page !== undefined) out.line(`  Page: ${page}`);
  if (!plan) return;
  const side = plan.direction === 'replace' ? 'In the folder' : 'On the branch';
  out.line(
    `  ${side}: ${plan.replaced} replaced, ${plan.added} added, ${plan.removed} removed, ${plan.same} the same.`,
  );
  for (const { mark, path } of plan.samples) out.line(`    ${mark} ${path}`);
  out.line(`  To consent to exactly this, once:  consent: ${plan.consent}`);
}

/** Prints the present set-up as such a file. */
export async function exportAll({ client, json, out }: Cli): Promise<void> {
  const { text } = await client.get<{ text: string }>('/operator/v1/export');
  if (json) return out.json({ text });
  for (const line of text.replace(/\n$/, '').split('\n')) out.line(line);
}
