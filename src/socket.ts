import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import { type RequestListener, type Server, createServer } from 'node:http';
import { type Socket, createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import koffi from 'koffi';
import { Problem } from './model/problem.ts';

/** Where the command line reaches the daemon. */
export function socketPath(stateDir: string): string {
  return join(stateDir, 'run', 'mooring.sock');
}

/** What fits into `sockaddr_un.sun_path` before its final NUL, in bytes; see unix(7). */
const longestPath = 107;

/** Why no socket can have this path; undefined: it can. */
export function socketPathFault(path: string): string | undefined {
  const bytes = Buffer.byteLength(path);
  if (bytes <= longestPath) return undefined;
  return `The path of the command line’s socket, ${path}, has ${bytes} bytes, and the system allows ${longestPath}. Choose a shorter MOORING_STATE.`;
}

/**
 * Serves HTTP on the socket. Its folder is closed to everybody but this process's user before the socket exists, so that
 * there is no moment in which somebody else could connect. The caller holds the lock of the state directory: a socket
 * that is there already was left by a daemon that was killed. One that is answered is left alone all the same
 * (`state-in-use`). Throws `config-invalid` for a path that is too long or is taken by something else.
 */
export async function listenOnSocket(path: string, handler: RequestListener): Promise<Server> {
  const fault = socketPathFault(path);
  if (fault !== undefined) throw new Problem('config-invalid', { text: fault });
  const folder = dirname(path);
  const there = await lstat(folder).catch(() => undefined);
  // A link could lead the socket to where others may enter.
  if (there && !there.isDirectory())
    throw new Problem('config-invalid', { text: `${folder} must be a folder of Mooring’s own. Remove it.` });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  await removeStale(path);
  // Callers on this machine need not name a host.
  const server = createServer({ requireHostHeader: false, connectionsCheckingInterval: 5_000 }, handler);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  return server;
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket())
    throw new Problem('config-invalid', { text: `${path} is in the place of Mooring’s socket. Remove it.` });
  if (await isAnswered(path)) throw new Problem('state-in-use', { path: dirname(dirname(path)) });
  await rm(path, { force: true });
}

/** Whether a process listens on the socket. */
export function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    const end = (answered: boolean): void => {
      probe.destroy();
      resolve(answered);
    };
    probe.once('connect', () => end(true));
    // Nobody listens, or the socket is gone. With any other error somebody may: then it is theirs.
    probe.once('error', (error: NodeJS.ErrnoException) => end(!['ECONNREFUSED', 'ENOENT'].includes(error.code ?? '')));
  });
}

/** Both numbers are the same on every machine that Node runs Linux on. */
const solSocket = 1;
const soPeercred = 17;

/**
 * The user on the other side of a local socket, as the kernel noted when they connected (`SO_PEERCRED`); undefined where
 * it does not tell.
 */
export function createPeerUid(): (socket: Socket) => number | undefined {
  let getsockopt: ((fd: number, level: number, name: number, value: Buffer, length: number[]) => number) | undefined;
  try {
    const library = koffi.load('libc.so.6');
    getsockopt = library.func('int getsockopt(int fd, int level, int name, void *value, _Inout_ uint *length)');
  } catch {
    // Another C library: entries of the audit log then name no user.
  }
  return (socket) => {
    // Node has no public way to the descriptor.
    const { _handle: handle } = socket as Socket & { _handle?: { fd?: number } | null };
    const fd = handle?.fd;
    if (getsockopt === undefined || fd === undefined || fd < 0) return undefined;
    // struct ucred: pid, uid, gid.
    const credentials = Buffer.alloc(12);
    return getsockopt(fd, solSocket, soPeercred, credentials, [12]) === 0 ? credentials.readUInt32LE(4) : undefined;
  };
}
