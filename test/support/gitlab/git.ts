/**
 * Runs real git for the practice GitLab, with an environment that owes nothing to this machine.
 * Every child is remembered, so that stop() leaves none behind.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { buffer, text } from 'node:stream/consumers';
import type { Readable, Writable } from 'node:stream';

type GitChild = ChildProcessByStdio<Writable, Readable, Readable>;

interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface Git {
  /** Starts git and hands out its pipes; the caller reads them to the end. */
  spawn(args: string[], env?: Record<string, string>): GitChild;
  /** Runs git to its end. Never rejects because of an exit code. */
  run(args: string[], input?: Buffer | string): Promise<GitResult>;
  /** Like run, in a repository, for commands that must succeed; gives stdout as text without the last newline. */
  text(repoPath: string, args: string[], input?: Buffer | string): Promise<string>;
  stop(): Promise<void>;
}

export function createGit(home: string): Git {
  const running = new Set<GitChild>();

  const git: Git = {
    spawn(args, env = {}) {
      // Its own process group: http-backend starts receive-pack, which starts hooks, and all must end together.
      const child = spawn('git', args, {
        cwd: home,
        detached: true,
        stdio: ['pipe', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'] ?? '/usr/bin:/bin',
          HOME: home,
          LC_ALL: 'C.UTF-8',
          GIT_CONFIG_NOSYSTEM: '1',
          GIT_CONFIG_GLOBAL: '/dev/null',
          GIT_TERMINAL_PROMPT: '0',
          ...env,
        },
      });
      running.add(child);
      child.once('close', () => running.delete(child));
      child.once('error', () => running.delete(child));
      // git may end without reading all of its input; that is its right, not our crash.
      child.stdin.on('error', () => {});
      return child;
    },
    async run(args, input = '') {
      const child = git.spawn(args);
      const ended = new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (code) => resolve(code ?? -1));
      });
      child.stdin.end(input);
      const [stdout, stderr, code] = await Promise.all([buffer(child.stdout), text(child.stderr), ended]);
      return { code, stdout, stderr };
    },
    async text(repoPath, args, input) {
      const { code, stdout, stderr } = await git.run(['--git-dir', repoPath, ...args], input);
      if (code !== 0) throw new Error(`git ${args.join(' ')} ended with ${code}: ${stderr}`);
      return stdout.toString().replace(/\n$/, '');
    },
    async stop() {
      const ended = [...running].map((child) => new Promise((resolve) => child.once('close', resolve)));
      for (const { pid } of running) {
        if (pid === undefined) continue;
        try {
          process.kill(-pid, 'SIGKILL');
        } catch {
          // Already gone.
        }
      }
      await Promise.all(ended);
    },
  };
  return git;
}
