import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { ClientCertificate } from '../model/instance.ts';
import { guardedLookup } from './address.ts';
import { trustedAuthorities } from './trust.ts';

export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** What a connection depends on; another value means other connections. */
export interface Route {
  /** PEM of one or more authorities, on top of the usual ones; empty: none. */
  readonly ca: string;
  /** `http://host:port`, user info allowed; empty: go straight. */
  readonly proxy: string;
  readonly client?: ClientCertificate | undefined;
}

/**
 * Hands out kept-alive connections for the present route. When the route changes, the old connections are closed: a
 * certificate authority that was withdrawn must not live on in a pool.
 */
export function createAgentPool(): { for(route: Route): Agents; close(): void } {
  let key = '';
  let agents: Agents | undefined;
  const close = () => {
    agents?.http.destroy();
    agents?.https.destroy();
    agents = undefined;
  };
  return {
    for(route) {
      const wanted = JSON.stringify([route.ca, route.proxy, route.client?.certificate, route.client?.key.open()]);
      if (agents && wanted === key) return agents;
      close();
      key = wanted;
      agents = create(route);
      return agents;
    },
    close,
  };
}

function create({ ca, proxy, client }: Route): Agents {
  const common = {
    keepAlive: true,
    // GitLab's nginx closes idle connections after 65 s: ours must be gone before, or a POST meets a closed socket.
    timeout: 50_000,
    maxSockets: 32,
    maxFreeSockets: 8,
    lookup: guardedLookup,
    // Always given, also empty: the daemon's own environment must not choose a proxy behind the admin's back.
    proxyEnv: proxy === '' ? {} : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy },
  };
  const secureContext = createSecureContext({
    ca: [...trustedAuthorities(ca)],
    // As in git: who trusts the authority that signed, and not the one above it, means what they say.
    allowPartialTrustChain: true,
    ...(client ? { cert: client.certificate, key: client.key.open() } : {}),
  });
  return { http: new HttpAgent(common), https: new HttpsAgent({ ...common, secureContext }) };
}
