/**
 * GitLab's guard against webhooks into its own network: checked when a hook is saved, and again at
 * every delivery with the address the name resolves to.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { World } from './model.ts';

export type Target =
  | { readonly kind: 'allowed'; readonly url: URL; readonly address: string }
  | { readonly kind: 'blocked'; readonly why: string };

const blocked = (why: string): Target => ({ kind: 'blocked', why: `URL is blocked: ${why}` });

function ranges(list: [string, number, 'ipv4' | 'ipv6'][]): BlockList {
  const block = new BlockList();
  for (const [net, prefix, family] of list) block.addSubnet(net, prefix, family);
  return block;
}

const loopback = ranges([
  ['127.0.0.0', 8, 'ipv4'],
  ['0.0.0.0', 32, 'ipv4'],
  ['::1', 128, 'ipv6'],
  ['::', 128, 'ipv6'],
]);
const privateNetwork = ranges([
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['fc00::', 7, 'ipv6'],
]);
const linkLocal = ranges([
  ['169.254.0.0', 16, 'ipv4'],
  ['fe80::', 10, 'ipv6'],
]);
const shared = ranges([['100.64.0.0', 10, 'ipv4']]);

/** Where a webhook would go, or why GitLab refuses to send it there. */
export async function webhookTarget(world: World, address: string): Promise<Target> {
  if (!URL.canParse(address)) return blocked('URI is invalid');
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return blocked('Only allowed schemes are http, https');
  const host = url.hostname.replace(/^\[|\]$/g, '');

  let addresses: string[];
  try {
    addresses = isIP(host) ? [host] : (await lookup(host, { all: true })).map((found) => found.address);
  } catch {
    return blocked('Host cannot be resolved or invalid');
  }
  const [first] = addresses;
  if (first === undefined) return blocked('Host cannot be resolved or invalid');

  // GitLab trusts its own configured address: a daemon on a sub-path of the same origin needs no setting.
  const own = new URL(world.url).origin === url.origin;
  if (!own && !world.settings.allowLocalWebhooks) {
    const why = refusal(host, addresses);
    if (why) return blocked(why);
  }
  return { kind: 'allowed', url, address: first };
}

function refusal(host: string, addresses: string[]): string | undefined {
  const own = new Set(
    Object.values(networkInterfaces()).flatMap((found) => found?.map(({ address }) => address) ?? []),
  );
  const anyIn = (list: BlockList) =>
    addresses.some((address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
  if (host === 'localhost') return 'Requests to localhost are not allowed';
  if (anyIn(loopback)) return 'Requests to loopback addresses are not allowed';
  if (addresses.some((address) => own.has(address))) return 'Requests to localhost are not allowed';
  if (anyIn(privateNetwork)) return 'Requests to the local network are not allowed';
  if (anyIn(linkLocal)) return 'Requests to the link local network are not allowed';
  if (anyIn(shared)) return 'Requests to the shared address space are not allowed';
  return undefined;
}
