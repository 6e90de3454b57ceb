import { BlockList, isIP } from 'node:net';
import { Problem } from '../model/problem.ts';

/** Which way leads out: a proxy, and what is reached without it. */
export interface ProxyRules {
  /** `http://host:port`, user info allowed; empty: everything goes straight. */
  readonly proxy: string;
  /** As {@link readNoProxy} gives them. */
  readonly noProxy: readonly string[];
}

/** The proxy for a request to `url`; empty: it goes straight. */
export function proxyFor(url: URL, { proxy, noProxy }: ProxyRules): string {
  return noProxy.some((rule) => matches(rule, url)) ? '' : proxy;
}

/**
 * The hosts that a proxy is not for, as people write them: between commas, spaces or lines, a name (with all below it), an
 * address or a network such as `10.0.0.0/8`, each with a port or without. Throws `form-invalid` with fact `noProxy`.
 */
export function readNoProxy(text: string): readonly string[] {
  const rules = text.split(/[\s,;]+/).filter(Boolean);
  return rules.map((typed) => {
    const rule = typed.toLowerCase().replace(/^\*?\./, '');
    if (!isRule(rule)) {
      const noProxy = `“${typed.slice(0, 60)}” is no name, address or network. Write them as storage.example or 10.0.0.0/8.`;
      throw new Problem('form-invalid', { noProxy });
    }
    return rule;
  });
}

function isRule(rule: string): boolean {
  const { host, bits } = partsOf(rule);
  const family = isIP(host);
  if (bits !== undefined) return family !== 0 && bits <= (family === 4 ? 32 : 128);
  return family !== 0 || /^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/.test(host);
}

interface Parts {
  readonly host: string;
  readonly port?: string | undefined;
  readonly bits?: number;
}

/** An address of IPv6 has its colons; a port after it needs brackets. */
function partsOf(rule: string): Parts {
  const network = /^([0-9a-f.:]+)\/(\d{1,3})$/.exec(rule);
  if (network) return { host: network[1] as string, bits: Number(network[2]) };
  if (isIP(rule)) return { host: rule };
  const [, bracketed, named, port] = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d{1,5}))?$/.exec(rule) ?? [];
  return { host: bracketed ?? named ?? '', port };
}

function matches(rule: string, url: URL): boolean {
  const { host, port, bits } = partsOf(rule);
  const asked = url.hostname.replace(/^\[|\]$/g, '');
  if (port !== undefined && port !== (url.port || (url.protocol === 'https:' ? '443' : '80'))) return false;
  const family = isIP(host);
  if (family === 0) return asked === host || asked.endsWith(`.${host}`);
  if (isIP(asked) !== family) return false;
  const kind = family === 6 ? 'ipv6' : 'ipv4';
  const list = new BlockList();
  if (bits === undefined) list.addAddress(host, kind);
  else list.addSubnet(host, bits, kind);
  return list.check(asked, kind);
}
