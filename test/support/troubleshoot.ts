import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProblemCode } from '../../src/model/problem.ts';
import { describe, remedies } from '../../src/model/remedy.ts';

/** `docs/troubleshoot.md` as the catalogue of problems has it. Run this file to write it. */
export function troubleshootPage(): string {
  const lines = [introduction];
  for (const code of Object.keys(remedies) as ProblemCode[]) {
    const heading = groups[code];
    if (heading !== undefined) lines.push(`## ${heading}`);
    lines.push(entry(code));
  }
  return `${lines.join('\n\n')}\n`;
}

export const troubleshootPath = join(import.meta.dirname, '../../docs/troubleshoot.md');

/** The heading that stands above the first code of each group. */
const groups: Partial<Record<ProblemCode, string>> = {
  'instance-url-invalid': 'GitLab and the network',
  'application-unknown': 'Authorisation',
  'project-missing': 'Repositories and branches',
  'folder-invalid': 'Folders and files',
  'plan-outdated': 'Connecting a site',
  'store-missing': 'State directory and server',
  'not-found': 'Pages and the HTTP API',
};

const introduction = `# Troubleshoot

Every problem that Mooring reports has a code. A page shows it under *Technical cause*; the HTTP API and the log show
it as \`code\`. This page lists all codes in general words; the message itself names the site, the
file or the host concerned.

If you don’t have a code:

- \`mooring status\` and the page *Attention* list the sites that have a problem.
- \`mooring check\` examines the whole installation, even if Mooring does not start, and explains how to fix what it finds.
- \`mooring doctor\` writes a support bundle without secrets, after it has listed what will be in it.`;

const retries = {
  soon: 'Mooring retries automatically.',
  'after-admin': 'Mooring continues after you have fixed it.',
  never: 'Mooring does not retry.',
} as const;

/** Facts where the words without any would puzzle. */
const samples: Partial<Record<ProblemCode, Readonly<Record<string, string>>>> = {
  'instance-not-gitlab': { host: 'gitlab.example.org', url: 'https://gitlab.example.org' },
};

/** The code is the heading, so that every renderer of Markdown makes it the anchor. */
function entry(code: ProblemCode): string {
  const { title, happened, untouched, todo, retry, status } = describe({ code, facts: samples[code] ?? {} });
  return [
    `### ${code}`,
    `**${plain(title)}.** ${plain(happened)}`,
    `- What was not touched: ${plain(untouched)}\n- What to do: ${plain(todo)}\n- ${retries[retry]} The HTTP API responds with status ${status}.`,
  ].join('\n\n');
}

/** Words of the catalogue are not Markdown: what would be read as such is escaped. */
const plain = (text: string): string => text.replace(/[\\`*_<>[\]|#]/g, '\\$&').replace(/\s*\n\s*/g, ' ');

if (import.meta.main) writeFileSync(troubleshootPath, troubleshootPage());
