import { type Client, createClient } from './client.ts';
import { type Output, createOutput } from './output.ts';

/** What every command is handed. */
export interface Cli {
  /** Answers are for a program: JSON on standard output, nothing else there. */
  readonly json: boolean;
  readonly stateDir: string;
  readonly out: Output;
  readonly client: Client;
  readonly env: NodeJS.ProcessEnv;
}

/** What may stand beside every command. */
export interface GlobalOptions {
  readonly json?: true;
  readonly state?: string;
}

export function createCli({ json, state }: GlobalOptions, env: NodeJS.ProcessEnv = process.env): Cli {
  // As the daemon reads it; the rest of its settings is not needed to find its socket.
  const stateDir = state ?? (env['MOORING_STATE'] || './data');
  return { json: json === true, stateDir, out: createOutput(env), client: createClient(stateDir), env };
}
