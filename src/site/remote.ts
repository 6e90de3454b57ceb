import { join } from 'node:path';
import { cloneUrl, pageAsOdd } from '../actions/project-tracker.ts';
import type { Config } from '../config.ts';
import { letGo } from '../files/large.ts';
import { basicAuthorization } from '../git/environment.ts';
import { type Whereabouts, followingRemote } from '../git/following.ts';
import { largeRemote } from '../git/large.ts';
import { cliRemote } from '../git/remote.ts';
import type { Session, TransportQuirks } from '../git/session.ts';
import type { Transfer } from '../git/transfer.ts';
import { withAuthDiagnosis, withPinnedAddress, wireRemote } from '../git/wire.ts';
import type { WirePost } from '../git/wire-request.ts';
import type { LfsClient } from '../gitlab/lfs.ts';
import type { Pointer } from '../model/lfs.ts';
import type { ConnectionId, Instance } from '../model/instance.ts';
import { Problem } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Binding, SiteId } from '../model/site.ts';
import type { Oid } from '../model/tree.ts';
import type { Pins } from '../net/pins.ts';
import { proxyFor } from '../net/proxy.ts';
import type { Author, Remote } from '../sync/ports.ts';
import { type LargeFiles, atPlace, placeOf } from './large-files.ts';
import type { TlsFiles } from './tls-files.ts';

/** Where a branch is, and whose grant reaches it. */
export type Where = Pick<Binding, 'connectionId' | 'projectPath' | 'branch'>;

export interface RemoteDeps {
  readonly config: Pick<Config, 'git' | 'stateDir'>;
  readonly instance: () => Instance | undefined;
  readonly withToken: <T>(id: ConnectionId, use: (token: Secret) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  readonly post: WirePost;
  readonly lfs: LfsClient;
  /** Throws while no requests may be sent to GitLab. */
  readonly checkBreaker: () => void;
  readonly tlsFiles: Pick<TlsFiles, 'network'>;
  readonly quirks: TransportQuirks;
  /** `config/git-limited.sh`. */
  readonly limited: string;
  readonly pins: Pins;
  /** Where site repositories lie, and what git takes for its home. */
  readonly repositoryDir: (id: SiteId) => string;
  readonly override: ((remote: Remote, site: SiteId) => Remote) | undefined;
}

/** What the Remote of one site needs of that site. */
export interface RemoteSite {
  readonly id: SiteId;
  /** Undefined while the site is not connected. */
  readonly where: () => Where | undefined;
  readonly whereabouts: Whereabouts;
  readonly author: () => Author;
  /** Limit for each file that git writes, in bytes. */
  readonly maxFileBytes: () => number;
  readonly usesLfs: () => boolean;
  readonly large: LargeFiles;
  /** Packs that leave its repository and come into it. */
  readonly transfer: Transfer | undefined;
  /** The large files that a push of `commit` needs on GitLab, and those that must stay here. */
  readonly pointers: {
    between(commit: Oid, expected: Oid | null): Promise<readonly Pointer[]>;
    kept(): Promise<readonly Pointer[]>;
  };
  /** Sent along with every push. */
  readonly pushOptions?: readonly string[];
}

/**
 * The branch of one site on GitLab, from the inside out: git's own commands; the wire, which leaves to them what it does
 * not do itself; large files, which are uploaded before the commits that need them; and the project's number, which is
 * followed wherever the project goes.
 */
export function siteRemote(deps: RemoteDeps, site: RemoteSite): Remote {
  const session = openSession(deps, site.where);
  const commands = cliRemote({
    dir: deps.repositoryDir(site.id),
    home: join(deps.config.stateDir, 'git-home'),
    git: deps.config.git,
    limited: deps.limited,
    author: site.author,
    maxFileBytes: site.maxFileBytes,
    ...(site.pushOptions ? { pushOptions: site.pushOptions } : {}),
    quirks: deps.quirks,
    session: withAuthDiagnosis(deps.post, withPinnedAddress(session, deps.pins)),
  });
  const wire = wireRemote({
    ...{ post: deps.post, session, fallback: commands, checkBreaker: deps.checkBreaker, quirks: deps.quirks },
    ...(site.transfer ? { transfer: site.transfer } : {}),
    ...(site.pushOptions ? { pushOptions: site.pushOptions } : {}),
  });
  const large = largeRemote(deps.override?.(wire, site.id) ?? wire, {
    isOn: site.usesLfs,
    pointers: (commit, expected) => site.pointers.between(commit, expected),
    upload: (pointers, signal) => session((where) => site.large.upload(placeOf(where, signal), pointers), signal),
    pushed: (pointers, signal) =>
      letGo(site.large.store, pointers, {
        kept: () => site.pointers.kept(),
        present: (here) => atPlace(session, signal)((place) => deps.lfs.present(place, here)),
      }),
  });
  return followingRemote(large, site.whereabouts);
}

/** Asked anew for each command: projects move, tokens are renewed, settings change. */
export function openSession(
  { instance, withToken, tlsFiles }: Pick<RemoteDeps, 'instance' | 'withToken' | 'tlsFiles'>,
  where: () => Where | undefined,
): Session {
  return (use, signal) => {
    const site = where();
    if (!site) return Promise.reject(new Problem('not-connected', {}));
    const act = (token: Secret): ReturnType<typeof use> => {
      const present = instance();
      if (!present) throw new Problem('instance-missing', {});
      const { advanced } = present;
      const network = {
        baseUrl: present.url,
        authorization: basicAuthorization(token.open()),
        headers: advanced.headers,
        ...tlsFiles.network(),
        proxy: proxyFor(new URL(present.url), advanced),
      };
      const { projectPath: project, branch } = site;
      return use({ url: cloneUrl(present.url, project), project, branch, network });
    };
    return withToken(site.connectionId, act, signal).catch((error: unknown) => {
      throw error instanceof Problem ? pageAsOdd(error) : error;
    });
  };
}
