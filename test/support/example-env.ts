import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { variables } from '../../src/settings.ts';

/** `config/example.env` as the table of settings has it. Run this file to write it. */
export function exampleEnv(): string {
  const blocks = variables().map(({ name, about, fallback, example }) =>
    [...commented(about), ...commented(`Default: ${fallback}`), `#${name}=${example}`].join('\n'),
  );
  return `${[header, ...blocks].join('\n\n')}\n`;
}

export const exampleEnvPath = join(import.meta.dirname, '../../config/example.env');

const header = [
  ...commented('All settings of Mooring, each with its meaning, its default and an example.'),
  ...commented(
    'Copy this file, uncomment the lines you need, and pass it to the daemon (`EnvironmentFile=` in a systemd unit, `env_file:` in docker-compose). An empty value counts as unset. Mooring reports all invalid settings at once at start.',
  ),
].join('\n');

/** Lines of at most 120 characters, each behind `# `. */
function commented(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= 118) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines.map((line) => `# ${line}`);
}

if (import.meta.main) writeFileSync(exampleEnvPath, exampleEnv());
