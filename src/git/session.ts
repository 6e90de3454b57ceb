import type { GitNetwork } from './environment.ts';

/** Where a site's branch lives. Asked anew for each command: projects move, tokens are renewed. */
/** What was learned about the network between here and GitLab. All sites share it. */
export interface TransportQuirks {
  /** A proxy answers 411 to chunked requests: Content-Length is required. */
  needsLength: boolean;
}

export interface RemoteAddress {
  /** Clone URL without credentials, under the instance's own address. */
  readonly url: string;
  readonly project: string;
  /** Short branch name, checked. */
  readonly branch: string;
  readonly network: GitNetwork;
}

/**
 * Runs `use` with an address and with a token that is not renewed meanwhile. Where `use` throws `grant-lost`, it runs once
 * more with a renewed token. Sessions of one connection must not be nested.
 */
export type Session = <T>(use: (address: RemoteAddress) => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** What a problem may tell about an address: it is stored and shown, and the rest of the address holds the token. */
export const factsOf = ({ project, branch }: RemoteAddress): { project: string; branch: string } => ({
  project,
  branch,
});
