import type { Socket } from 'node:net';
import type { Context, Next } from './context.ts';

/**
 * Admits the operator: whoever could open the daemon's own socket, which the file system allows to the daemon's user and
 * to root alone. Stands first in the app behind that socket and nowhere else, so that no header, cookie or address of a
 * request from the network can lead here. `uidOf`: the user on the other side, as the kernel says.
 */
export function admitOperator(uidOf: (socket: Socket) => number | undefined) {
  return async (ctx: Context, next: Next): Promise<void> => {
    const uid = uidOf(ctx.req.socket);
    const name = uid === undefined ? 'command line' : `command line (uid ${uid})`;
    // The account is none that is stored: nobody can sign in to it, and no token can belong to it.
    ctx.state.operator = { account: { id: 'operator', name, role: 'admin', createdAt: 0 }, by: name, role: 'admin' };
    await next();
  };
}
