import { Secret } from '../../src/model/secret.ts';
import { openStore } from '../../src/store/store.ts';
import { systemRandom } from '../../src/world.ts';
import type { Example } from './gitlab/example.ts';
import type { GitLab } from './gitlab/server.ts';

/** Hashing a password as a real installation does costs half a second each time; what it costs stands beside the hash. */
const cheap = { N: 1024, r: 8, p: 1 };

export interface Beginning {
  readonly stateDir: string;
  readonly keyFile?: string | undefined;
  readonly admin: { readonly name: string; readonly password: string };
  /** Absent: only the account is there. */
  readonly gitlab?: {
    readonly server: GitLab;
    readonly world: Example;
    readonly application: { readonly applicationId: string; readonly secret: string };
  };
}

/**
 * Writes a state directory in which the admin has an account, has entered the practice GitLab and has authorised
 * Mooring there as Ana: where most tests begin. Through the store's own functions, with a grant that GitLab knows.
 */
export async function writeBeginning({ stateDir, keyFile, admin, gitlab }: Beginning): Promise<void> {
  const faults: unknown[] = [];
  const store = await openStore({
    ...{ path: stateDir, random: systemRandom, now: () => Date.now(), onNotes: () => {}, passwordCost: cheap },
    ...(keyFile === undefined ? {} : { keyPath: keyFile }),
    onFault: (error) => faults.push(error),
  });
  try {
    const { account } = await store.accounts.ensure(admin.name, new Secret(admin.password));
    if (!gitlab) return;
    const { server, world, application } = gitlab;
    const scopes = 'api';
    await store.instance.configure({
      url: server.url,
      applicationId: application.applicationId,
      secret: new Secret(application.secret),
      authorizeUrl: `${server.url}/oauth/authorize`,
      tokenUrl: `${server.url}/oauth/token`,
      apiUrl: `${server.url}/api/v4`,
      scopes,
      advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
      configuredAt: Date.now(),
    });
    const { id, username, name, email } = world.ana;
    const grant = server.tokens.oauth(world.ana, application.applicationId, [scopes]);
    const issuedAt = Date.now();
    await store.instance.connect(
      { ...{ owner: account.id, gitlabUserId: id, username, name, email, scopes } },
      {
        accessToken: new Secret(grant.accessToken),
        refreshToken: new Secret(grant.refreshToken),
        ...{ issuedAt, expiresAt: issuedAt + grant.lifetimeSeconds * 1000 },
      },
    );
  } finally {
    await store.close();
  }
  if (faults.length > 0) throw new AggregateError(faults, 'the store could not be written');
}
