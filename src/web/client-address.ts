import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import proxyAddr from 'proxy-addr';
import type { Context, Next } from './context.ts';

/**
 * Makes `ctx.ip` the address of the person. `X-Forwarded-For` is believed only from the proxies that the admin named, and
 * read from its end: what stands further left was written by whoever asked. `trustedProxies`: addresses and networks.
 */
export function clientAddress(trustedProxies: readonly string[]) {
  const isTrusted = proxyAddr.compile([...trustedProxies]);
  return async (ctx: Context, next: Next): Promise<void> => {
    const hops = ctx.get('X-Forwarded-For').split(',').map(bareAddress);
    // What stands left of something that is no address cannot be told apart from an invention.
    const believable = hops.slice(hops.findLastIndex((hop) => isIP(hop) === 0) + 1).slice(-mostHops);
    const request = {
      headers: { 'x-forwarded-for': believable.join(',') },
      socket: { remoteAddress: bareAddress(ctx.req.socket.remoteAddress ?? '') },
    };
    // It reads these two of a request.
    ctx.request.ip = proxyAddr(request as unknown as IncomingMessage, isTrusted);
    await next();
  };
}

const mostHops = 20;

/**
 * An IPv4 address on an IPv6 socket, with a port, or in brackets is still that address. Some proxies add the port; with
 * it, each connection of one person would have limits of its own.
 */
function bareAddress(text: string): string {
  const bare = text
    .trim()
    .replace(/^\[(.*)\](?::\d+)?$/, '$1')
    .replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1');
  return /^::ffff:(\d+(?:\.\d+){3})$/i.exec(bare)?.[1] ?? bare;
}
