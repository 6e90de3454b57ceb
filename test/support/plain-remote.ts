import { execFile } from 'node:child_process';
import { remoteLines } from '../../src/git/failure.ts';
import type { Oid } from '../../src/model/tree.ts';
import type { PushResult, Remote } from '../../src/sync/ports.ts';

/**
 * A Remote that is a bare repository on the same disk: for engine tests that need no network. It passes the same
 * contract suite as the real ones.
 */
export function plainRemote(options: { gitDir: string; bare: string; branch: string }): Remote {
  const ref = `refs/heads/${options.branch}`;
  const run = (args: string[], cwd: string): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      const env = {
        PATH: '/usr/bin:/bin',
        HOME: '/nonexistent',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        LC_ALL: 'C.UTF-8',
      };
      execFile('git', args, { cwd, env, maxBuffer: 1 << 28 }, (error, stdout, stderr) =>
        resolve({ code: error ? Number(error.code ?? 1) : 0, stdout, stderr }),
      );
    });
  const head = async (): Promise<Oid | 'absent'> => {
    const { code, stdout } = await run(['rev-parse', '--verify', '--quiet', ref], options.bare);
    return code === 0 ? (stdout.trim() as Oid) : 'absent';
  };
  return {
    head,
    async fetch() {
      const { code, stderr } = await run(
        ['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', options.bare, `+${ref}:refs/scratch/incoming`],
        options.gitDir,
      );
      if (code === 0) return (await run(['rev-parse', 'refs/scratch/incoming'], options.gitDir)).stdout.trim() as Oid;
      if (/couldn't find remote ref/.test(stderr)) return 'absent';
      throw new Error(stderr);
    },
    async push(commit, expected): Promise<PushResult> {
      const lease = `--force-with-lease=${ref}:${expected ?? ''}`;
      const { code, stdout, stderr } = await run(
        ['push', '--porcelain', lease, options.bare, `${commit}:${ref}`],
        options.gitDir,
      );
      if (code === 0) return { kind: 'done', output: stderr };
      if (/stale info|fetch first|non-fast-forward|failed to update ref|cannot lock/.test(stdout))
        return { kind: 'moved', output: stderr };
      return { kind: 'refused', text: remoteLines(stderr), output: stderr };
    },
  };
}
