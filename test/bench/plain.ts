import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A person's clone of a repository, and git's own commands in it. */
export class Clone {
  readonly dir: string;
  readonly #environment: Record<string, string>;
  readonly #trace: string;

  constructor(dir: string, home: string, token: string) {
    this.dir = dir;
    this.#trace = join(home, 'trace');
    const authorization = Buffer.from(`oauth2:${token}`).toString('base64');
    this.#environment = {
      ...{ PATH: process.env['PATH'] ?? '', HOME: home, GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' },
      ...{ GIT_AUTHOR_NAME: 'Bench', GIT_AUTHOR_EMAIL: 'bench@harbour.example' },
      ...{ GIT_COMMITTER_NAME: 'Bench', GIT_COMMITTER_EMAIL: 'bench@harbour.example' },
      ...{ GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'http.extraHeader' },
      GIT_CONFIG_VALUE_0: `Authorization: Basic ${authorization}`,
    };
  }

  /** What it printed, trimmed. `input`: of its stdin. */
  async git(args: readonly string[], { input = '', env = {} } = {}): Promise<string> {
    const child = spawn('git', args, {
      ...{ cwd: this.dir, env: { ...this.#environment, ...env }, stdio: ['pipe', 'pipe', 'pipe'] },
    });
    const [out, err]: string[][] = [[], []];
    child.stdout.setEncoding('utf8').on('data', (text: string) => out?.push(text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => err?.push(text));
    child.stdin.on('error', () => {}).end(input);
    const [code] = (await once(child, 'close')) as [number];
    if (code !== 0) throw new Error(`git ${args.join(' ')}: ${err?.join('')}`);
    return out?.join('').trim() ?? '';
  }

  /** How many programs `act` starts, git's own helpers included, as git itself counts them. */
  async programs(act: (env: Record<string, string>) => Promise<unknown>): Promise<number> {
    await rm(this.#trace, { force: true });
    await writeFile(this.#trace, '');
    await act({ GIT_TRACE2_EVENT: this.#trace });
    return (await readFile(this.#trace, 'utf8')).split('\n').filter((row) => row.includes('"event":"start"')).length;
  }

  /** The commands that people use. */
  async porcelain(env = {}): Promise<void> {
    await this.git(['add', '-A'], { env });
    await this.git(['commit', '-q', '-m', 'Edit'], { env });
    await this.git(['push', '-q', 'origin', 'HEAD:main'], { env });
  }

  /** The commands that scripts use, with the paths told. */
  async plumbing(paths: readonly string[], env = {}): Promise<void> {
    await this.git(['update-index', '--add', '--stdin'], { input: paths.join('\n'), env });
    const tree = await this.git(['write-tree'], { env });
    const commit = await this.git(['commit-tree', '-p', 'HEAD', '-m', 'Edit', tree], { env });
    await this.git(['update-ref', 'refs/heads/main', commit], { env });
    await this.git(['push', '-q', 'origin', 'HEAD:main'], { env });
  }

  async pull(env = {}): Promise<void> {
    await this.git(['pull', '-q', '--ff-only', 'origin', 'main'], { env });
  }
}
