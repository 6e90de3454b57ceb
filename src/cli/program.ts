import { Argument, Command, CommanderError, Option } from 'commander';
import { apiScopes } from '../model/account.ts';
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
  ofConnecting(program, command);
  ofDecisions(program, command);
  ofAccounts(program, command);
  ofShell(program, command);
  return program;
}

type Run = (
  cliFor: Cli,
  args: readonly (string | undefined)[],
  options: Readonly<Record<string, unknown>>,
) => Promise<ExitCode | void>;
type Adder = (parent: Command, usage: string, about: string, run: Run) => Command;

const site = (): Argument => new Argument('<site>', 'name or ID of the site');
const maybeSite = (otherwise: string): Argument => new Argument('[site]', `name or ID of the site; ${otherwise}`);

function ofDaemon(program: Command, command: Adder): void {
  command(program, 'serve', 'run the daemon', async (cliFor) => (await import('./serve.ts')).serve(cliFor));
  command(program, 'version', 'print the version', async ({ json, out }) =>
    json ? out.json({ version }) : out.line(`mooring ${version}`),
  );
  command(program, 'check', 'explain every fault of the set-up, with its fix', async (cliFor) =>
    (await import('./check.ts')).check(cliFor),
  );
  command(program, 'doctor', 'write a support bundle, without secrets', async (cliFor, _args, { output, yes }) =>
    (await import('./doctor.ts')).doctor(cliFor, { output: text(output), yes: yes === true }),
  )
    .option('-o, --output <file>', 'where to write it (default: mooring-support-….tar.gz here)')
    .option('--yes', 'do not ask');
  command(program, 'backup', 'write an archive of everything, while the daemon runs', async (cliFor, _args, o) =>
    (await import('./backup.ts')).backup(cliFor, {
      ...{ to: text(o['to']), withKey: text(o['withKey']), repositories: o['withoutRepositories'] !== true },
    }),
  )
    .option('--to <file>', 'where to write it; - is standard output\n(default: mooring-backup-….tar.gz here)')
    .option('--with-key <file>', 'write the key that encrypts secrets to this file')
    .option('--without-repositories', 'leave out what can be fetched from GitLab again');
  command(
    program,
    'restore-backup',
    'put a backup into an empty state directory',
    async (cliFor, [file = ''], { key }) => (await import('./backup.ts')).restore(cliFor, file, text(key)),
  )
    .argument('<file>', 'archive that “mooring backup” wrote')
    .option('--key <file>', 'the key that --with-key wrote');
  command(program, 'apply', 'apply a file that declares the set-up', async (cliFor, [file = ''], { dryRun }) =>
    (await import('./apply.ts')).apply(cliFor, file, { dryRun: dryRun === true }),
  )
    .argument('<file>', 'YAML or JSON; the daemon must be able to read it')
    .option('--dry-run', 'show what would change, and change nothing');
  command(program, 'export', 'print the present set-up as such a file, without secrets', async (cliFor) =>
    (await import('./apply.ts')).exportAll(cliFor),
  );
  command(program, 'rotate-key', 'replace the key that encrypts secrets', async (cliFor) =>
    (await import('./keys.ts')).rotate(cliFor),
  );
}

function ofSites(program: Command, command: Adder): void {
  command(program, 'status', 'show how sites are', async (cliFor, [name], { watch }) =>
    (await import('./status.ts')).status(cliFor, name, { watch: watch === true }),
  )
    .addArgument(maybeSite('without it, all of them'))
    .option('--watch', 'keep showing it as it changes');
  command(program, 'sync', 'sync a site now', async (cliFor, [name = ''], { wait, timeout }) =>
    (await import('./sync.ts')).sync(cliFor, name, { wait: wait === true, timeout: Number(timeout) }),
  )
    .addArgument(site())
    .option('--wait', 'until everything that was there before is synced')
    .addOption(new Option('--timeout <seconds>', 'how long to wait').default('60').argParser(whole(1, 600)));
  command(program, 'pause', 'stop syncing until it is resumed', async (cliFor, [name], { all, now, until }) =>
    (await import('./sync.ts')).pause(cliFor, name, { all: all === true, now: now === true, until: text(until) }),
  )
    .addArgument(maybeSite('or --all'))
    .option('--all', 'all sites')
    .option('--now', 'break off a sync that is under way')
    .option('--until <time>', 'with --all: resume automatically, such as 2027-01-10T22:00Z');
  command(program, 'resume', 'resume syncing', async (cliFor, [name], { all }) =>
    (await import('./sync.ts')).resume(cliFor, name, { all: all === true }),
  )
    .addArgument(maybeSite('or --all'))
    .option('--all', 'all sites that were paused together');
  command(program, 'log', 'list the runs of a site, the newest last', async (cliFor, [name = ''], { lines, follow }) =>
    (await import('./log.ts')).log(cliFor, name, { lines: Number(lines), follow: follow === true }),
  )
    .addArgument(site())
    .addOption(new Option('-n, --lines <number>', 'how many runs').default('20').argParser(whole(1, 100)))
    .option('-f, --follow', 'keep listing new ones');
}

function ofConnecting(program: Command, command: Adder): void {
  const sites = group(program, 'site', 'add and remove sites');
  command(sites, 'add', 'add a folder of this server as a site', async (cliFor, [name = '', folder = '']) =>
    (await import('./connect.ts')).addSite(cliFor, name, folder),
  )
    .argument('<name>', 'what it is called in Mooring')
    .argument('<folder>', 'its folder, below one of the roots in MOORING_SITES');
  command(sites, 'remove', 'remove a site from Mooring; its files stay', async (cliFor, [name = ''], { yes }) =>
    (await import('./connect.ts')).removeSite(cliFor, name, { yes: yes === true }),
  )
    .addArgument(site())
    .option('--yes', 'do not ask');
  command(program, 'sites', 'list sites, as “status” does', async (cliFor) =>
    (await import('./status.ts')).status(cliFor, undefined, { watch: false }),
  );
  command(program, 'connections', 'list connections to GitLab', async (cliFor) =>
    (await import('./connect.ts')).listConnections(cliFor),
  );
  command(
    program,
    'connect',
    'connect a site to a branch, after showing what changes',
    async (cliFor, [name = ''], o) =>
      (await import('./connect.ts')).connect(cliFor, name, {
        ...{ connection: text(o['connection']) ?? '', repository: text(o['repository']) ?? '' },
        ...{ branch: text(o['branch']) ?? '', folder: text(o['folder']), fromFolder: o['fromFolder'] === true },
        ...{ plan: o['plan'] === true, consent: text(o['consent']) },
      }),
  )
    .addArgument(site())
    .requiredOption('--connection <user>', 'whose access to use: a GitLab user, or the ID of a connection')
    .requiredOption('--repository <path>', 'such as group/website')
    .requiredOption('--branch <name>', 'the branch to follow')
    .option('--folder <path>', 'the folder of the repository that is the site (default: all of it)')
    .option('--from-folder', 'fill the branch from the folder, in place of the other way round')
    .addOption(new Option('--plan', 'show what would change, and change nothing').conflicts('consent'))
    .option('--consent <plan>', 'connect without asking, exactly as the plan of this ID says');
  command(program, 'disconnect', 'disconnect a site; all files stay', async (cliFor, [name = ''], { yes }) =>
    (await import('./connect.ts')).disconnect(cliFor, name, { yes: yes === true }),
  )
    .addArgument(site())
    .option('--yes', 'do not ask');
}

function ofDecisions(program: Command, command: Adder): void {
  command(program, 'conflicts', 'list conflicts that nobody has resolved', async (cliFor, [name]) =>
    (await import('./decisions.ts')).conflicts(cliFor, name),
  ).addArgument(maybeSite('without it, of all'));
  command(program, 'resolve', 'choose a version; the other one is kept', async (cliFor, [name = '', which], { use }) =>
    (await import('./decisions.ts')).resolve(cliFor, name, which, text(use) ?? ''),
  )
    .addArgument(site())
    .argument('[conflict]', 'path or ID of a conflict; without it, all of the site')
    .addOption(new Option('--use <side>', 'whose version').choices(['site', 'repository']).makeOptionMandatory());
  command(program, 'restore', 'list kept versions, or bring one back', async (cliFor, [name = '', version], { file }) =>
    (await import('./decisions.ts')).restore(cliFor, name, { version, file: text(file) }),
  )
    .addArgument(site())
    .argument('[version]', 'ID of a kept version, or “latest”; without it, they are listed')
    .option('--file <path>', 'only this file of it');
  command(program, 'decide', 'show why a site is on hold, or answer', async (cliFor, [name = '', choice]) =>
    (await import('./decisions.ts')).decide(cliFor, name, choice),
  )
    .addArgument(site())
    .argument('[choice]', 'one of those it shows');
}

function ofAccounts(program: Command, command: Adder): void {
  const admins = group(program, 'admin', 'accounts that may sign in');
  const password = 'The password is asked on the terminal, or read from standard input.';
  command(admins, 'add', 'add an admin', async (cliFor, [name = '']) =>
    (await import('./accounts.ts')).addAdmin(cliFor, name),
  )
    .argument('<name>', 'what they sign in with')
    .addHelpText('after', `\n${password}`);
  command(
    admins,
    'reset-password',
    'set a new password; also while the daemon is stopped',
    async (cliFor, [name = '']) => (await import('./accounts.ts')).resetPassword(cliFor, name),
  )
    .argument('<name>', 'of the account')
    .addHelpText('after', `\n${password}`);
  command(admins, 'list', 'list accounts', async (cliFor) => (await import('./accounts.ts')).listAdmins(cliFor));

  const tokens = group(program, 'token', 'tokens for programs that use the API');
  command(tokens, 'create', 'create a token and print it, once', async (cliFor, [name = ''], o) =>
    (await import('./accounts.ts')).createToken(cliFor, {
      ...{ name, account: text(o['account']) ?? '', scopes: o['scope'] as readonly string[] },
      ...{ sites: (o['site'] as readonly string[] | undefined) ?? [], days: o['days'] ? Number(o['days']) : undefined },
    }),
  )
    .argument('<name>', 'what it is for')
    .requiredOption('--account <name>', 'the account whose rights it has')
    .addOption(new Option('--scope <scope...>', 'what it may do').choices(apiScopes).default(['read']))
    .option('--site <site...>', 'only these sites')
    .addOption(new Option('--days <number>', 'when it expires (default: never)').argParser(whole(1, 3_650)));
  command(tokens, 'revoke', 'revoke a token', async (cliFor, [which = '']) =>
    (await import('./accounts.ts')).revokeToken(cliFor, which),
  ).argument('<token>', 'its ID or name');
  command(tokens, 'list', 'list tokens', async (cliFor) => (await import('./accounts.ts')).listTokens(cliFor));
}

/** A command that only has others below it. */
function group(program: Command, name: string, about: string): Command {
  return program.command(name).description(about).copyInheritedSettings(program);
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

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
  const [{ inWords }, { wrap }] = await Promise.all([import('./words.ts'), import('./output.ts')]);
  const { exitCode, lines, code } = inWords(error);
  const text = json
    ? JSON.stringify({ error: { code, text: lines.join('\n') } })
    : lines.flatMap((line) => wrap(line, 80)).join('\n');
  process.stderr.write(`${text}\n`);
  return exitCode;
}
