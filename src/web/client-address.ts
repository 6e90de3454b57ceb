import { BlockList, isIP } from 'node:net';
import type { Context, Next } from './context.ts';

/**
 * Makes `ctx.ip` the address of the person. `X-Forwarded-For` is believed only from the proxies that the admin named, and
 * read from its end: what stands further left was written by whoever asked.
 */
export function clientAddress(trustedProxies: readonly string[]) {
  const trusted = listOf(trustedProxies);
  const isTrusted = (address: string): boolean =>
    isIP(address) !== 0 && trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
  return async (ctx: Context, next: Next): Promise<void> => {
    let address = plain(ctx.req.socket.remoteAddress ?? '');
    const said = ctx.get('X-Forwarded-For').split(',').slice(-20);
    while (isTrusted(address)) {
      const before = plain((said.pop() ?? '').trim());
      if (isIP(before) === 0) break;
      address = before;
    }
    ctx.request.ip = address;
    await next();
  };
}

function listOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (isIP(address) === 0) continue;
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return list;
}

/** An IPv4 address on an IPv6 socket, with a port, or in brackets is still that address. */
function plain(address: string): string {
  const bare = address.replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1');
  return /^::ffff:(\d+(?:\.\d+){3})$/i.exec(bare)?.[1] ?? bare;
}
