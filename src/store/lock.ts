import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { Problem } from '../model/problem.ts';
import { FILE_MODE } from './durable.ts';

export interface Lock {
  /** May be called twice. */
  release(): void;
}

/**
 * Makes this process the only one on a state directory. `flock` locks the open file, not the name and not the process
 * that calls it: the lock lives in the descriptor we go on holding, and the kernel frees it with us, also after kill -9.
 * Somebody would have to decide when a pid file is stale. Node opens with O_CLOEXEC, so no git child keeps it.
 * Throws `state-in-use` with the other's process id.
 */
export function takeLock(path: string): Lock {
  let descriptor: number | undefined = openSync(path, 'a+', FILE_MODE);
  const release = (): void => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
  };
  const tried = spawnSync('flock', ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', descriptor], timeout: 10_000 });
  if (tried.status === 0) {
    ftruncateSync(descriptor);
    // For people only; nothing depends on it.
    writeSync(descriptor, `${process.pid}\n`);
    return { release };
  }
  release();
  if (tried.error) {
    const hint = 'The program flock (package util-linux) is needed to keep two daemons from one state directory.';
    throw new Problem('config-invalid', { text: hint, hint }, { cause: tried.error });
  }
  throw new Problem('state-in-use', { path, pid: readFileSync(path, 'utf8').trim() });
}
