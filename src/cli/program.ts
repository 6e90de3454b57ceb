import { Argument, Command, CommanderError, Option } from 'commander';
import { version } from '../version.ts';
import { type Cli, type GlobalOptions, createCli } from './cli.ts';
import { CliError, type ExitCode, exit } from './exit.ts';

/**
 * Runs one command; resolves with the exit code when it is done. `status` is typed often and must answer at once, so
 * each command loads what it needs when it runs.
 */
export async function cli(args: readonly string[]): Promise<number> {
  // A reader that has seen enough, as in `mooring log site | head`, is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  const ended: { code: ExitCode } = { code: exit.ok };
  const program = createProgram((code) => (ended.code = code));
  try {
    await program.parseAsync(args.length === 0 ? ['serve'] : [...args], { from: 'user' });
    return ended.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.ok : exit.usage;
    return report(error, args.includes('--json'));
  }
}

/** Every command with its arguments and options. `done` is told the exit code. */
export function createProgram(done: (code: ExitCode) => void): Command {
  const program = new Command('mooring')
    .description('Keeps the folders of your websites in sync with your self-hosted GitLab.')
    .option('--state <folder>', 'state directory of the daemon (default: MOORING_STATE, else ./data)')
    .option('--json', 'print JSON, for programs')
    .helpCommand('help [command]', 'show help for a command')
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('Run “mooring help” for the list of commands.')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 it failed, 64 wrong usage, 69 the daemon does not run,\n70 a fault of Mooring, 75 try again, 77 not allowed, 78 wrong configuration.',
    )
    .exitOverride();
  const command: Adder = (parent, usage, about, run) => {
    const made = parent.command(usage).description(about).copyInheritedSettings(parent);
    return made.action(async () => {
      const cliFor = createCli(made.optsWithGlobals<GlobalOptions>());
      done((await run(cliFor, made.processedArgs as string[], made.opts())) ?? exit.ok);
    });
  };
  ofDaemon(program, command);
  ofSites(program, command);
  ofShell(program, command);
  return program;
}

type Run = (
  cliFor: Cli,
  args: readonly (string | undefined)[],
  options: Readonly<Record<string, string | boolean | undefined>>,
) => Promise<ExitCode | void>;
type Adder = (parent: Command, usage: string, about: string, run: Run) => Command;

const site = (): Argument => new Argument('<site>', 'name or ID of the site');

function ofDaemon(program: Command, command: Adder): void {
  command(program, 'serve', 'run the daemon', async () => (await import('./serve.ts')).serve());
  command(program, 'version', 'print the version', async ({ json, out }) =>
    json ? out.json({ version }) : out.line(`mooring ${version}`),
  );
  command(program, 'check', 'explain every fault of the set-up, with its fix', async (cliFor) =>
    (await import('./check.ts')).check(cliFor),
  );
  command(program, 'rotate-key', 'replace the key that encrypts secrets; the daemon must be stopped', async (cliFor) =>
    (await import('./keys.ts')).rotate(cliFor),
  );
}

function ofSites(program: Command, command: Adder): void {
  command(program, 'status', 'show how sites are', async (cliFor, [name], { watch }) =>
    (await import('./status.ts')).status(cliFor, name, { watch: watch === true }),
  )
    .argument('[site]', 'name or ID of the site; without it, all of them')
    .option('--watch', 'go on showing it as it changes');
  command(program, 'sync', 'sync a site now', async (cliFor, [name = '']) =>
    (await import('./sync.ts')).sync(cliFor, name),
  ).addArgument(site());
  command(program, 'pause', 'stop syncing a site until it is resumed', async (cliFor, [name = '']) =>
    (await import('./sync.ts')).pause(cliFor, name),
  ).addArgument(site());
  command(program, 'resume', 'go on syncing', async (cliFor, [name = '']) =>
    (await import('./sync.ts')).resume(cliFor, name),
  ).addArgument(site());
  command(program, 'log', 'list the runs of a site, the newest last', async (cliFor, [name = ''], { lines, follow }) =>
    (await import('./log.ts')).log(cliFor, name, { lines: Number(lines), follow: follow === true }),
  )
    .addArgument(site())
    .addOption(new Option('-n, --lines <number>', 'how many runs').default('20').argParser(whole(1, 100)))
    .option('-f, --follow', 'go on with those that come');
}

function ofShell(program: Command, command: Adder): void {
  command(program, 'completion', 'print the completion script of a shell', async ({ out }, [shell = '']) =>
    (await import('./completion.ts')).completion(out, program, shell),
  ).addArgument(new Argument('<shell>', 'for which shell').choices(['bash', 'zsh', 'fish']));
  const names = program.command('site-names', { hidden: true }).description('print the names of sites, for completion');
  names.action(async () => {
    const cliFor = createCli(names.optsWithGlobals<GlobalOptions>());
    for (const { name } of await (await import('./sites.ts')).allSites(cliFor)) cliFor.out.line(name);
  });
}

/** A whole number within these bounds; commander names the option in its message. */
function whole(least: number, most: number) {
  return (text: string): string => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return text;
    throw new CliError(exit.usage, `${text} is not a whole number from ${least} to ${most}.`);
  };
}

async function report(error: unknown, json: boolean): Promise<ExitCode> {
  const { inWords } = await import('./words.ts');
  const { exitCode, lines, code } = inWords(error);
  const text = json ? JSON.stringify({ error: { code, text: lines.join('\n') } }) : lines.join('\n');
  process.stderr.write(`${text}\n`);
  return exitCode;
}
