import { lookup as systemLookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** Raised at connect, when a name leads to an address that is never called. */
export class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = 'EADDRREFUSED';
  readonly address: string;

  constructor(address: string) {
    super(`${address} is an address that is never called`);
    this.address = address;
  }
}

/**
 * Whether an address belongs to those a GitLab never has: link-local ones, and the metadata services of cloud hosts,
 * which hand out credentials to whoever asks from inside. Loopback and private ranges are fine: GitLab often lives there.
 */
export function isForbiddenAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && forbidden.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/**
 * The system's name look-up, for sockets. The check belongs here and not before the request: a name may lead elsewhere
 * by the time the socket opens (DNS rebinding).
 */
export const guardedLookup: LookupFunction = (host, options, callback) => {
  systemLookup(host, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0);
    const bad = addresses.find(({ address }) => isForbiddenAddress(address));
    if (bad) return callback(new AddressRefused(bad.address), '', 0);
    if (options.all) return callback(null, addresses);
    const first = addresses[0];
    if (!first) return callback(Object.assign(new Error(`no address for ${host}`), { code: 'ENOTFOUND' }), '', 0);
    callback(null, first.address, first.family);
  });
};

// IPv4 addresses written the IPv6 way (::ffff:169.254.169.254) are covered: BlockList unpacks them itself.
const forbidden = new BlockList();
forbidden.addSubnet('169.254.0.0', 16, 'ipv4');
forbidden.addSubnet('fe80::', 10, 'ipv6');
forbidden.addSubnet('224.0.0.0', 4, 'ipv4');
forbidden.addSubnet('ff00::', 8, 'ipv6');
forbidden.addAddress('100.100.100.200', 'ipv4');
forbidden.addAddress('192.0.0.192', 'ipv4');
forbidden.addAddress('fd00:ec2::254', 'ipv6');
