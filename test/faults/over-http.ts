import { join } from 'node:path';
import { type GitDriver, createDriver } from '../../src/git/driver.ts';
import { basicAuthorization } from '../../src/git/environment.ts';
import { cliRemote } from '../../src/git/remote.ts';
import type { OpenRepository } from '../../src/git/repository.ts';
import type { RemoteAddress } from '../../src/git/session.ts';
import { wireRemote } from '../../src/git/wire.ts';
import { createHttp } from '../../src/net/http.ts';
import type { Remote } from '../../src/sync/ports.ts';
import { type EngineWorld, type WorldOptions, engineWorld } from '../support/engine.ts';
import { type GitLab, type Project, startGitLab } from '../support/gitlab/server.ts';
import { systemClock, systemRandom } from '../../src/world.ts';
import { git, scratch } from '../support/plain-git.ts';
import { transferOf } from '../support/transfer.ts';
import { plant, website } from './support.ts';

/** A world whose remote is the real one: git over HTTP, from the practice GitLab. */
export interface HttpWorld extends EngineWorld {
  readonly gitlab: GitLab;
  readonly project: Project;
  /** A fast-import stream straight into the project, as only a hostile server would take it; moves main. */
  plant(stream: string | Buffer): string;
}

/** `through`: where requests go instead, for proxies that spoil them. */
export async function overHttp(
  options: WorldOptions & {
    through?: (gitlabUrl: string) => Promise<string>;
    maxFileBytes?: number;
    /** Over the wire, as the daemon has it; told of every program that is started. */
    wire?: { readonly started: (args: readonly string[]) => void };
    /** Before anything is made in the world's folder; gives back what undoes it. */
    prepare?: (dir: string) => () => void;
  },
  test: (world: HttpWorld) => Promise<void>,
): Promise<void> {
  const { dir, remove } = scratch();
  const gitlab = await startGitLab();
  let undo: (() => void) | undefined;
  try {
    const ana = gitlab.users.add({
      ...{ username: 'ana', name: 'Ana Petrović', email: 'ana@harbour.example', password: 'pw' },
    });
    gitlab.groups.add({ path: 'harbour', owner: ana });
    const { repository, through, maxFileBytes = 2 ** 30, prepare, wire, ...rest } = options;
    undo = prepare?.(dir);
    const files = (repository ?? website) as Record<string, string>;
    const project = await gitlab.projects.create({ path: 'harbour/site', owner: ana, files });
    const token = gitlab.tokens.add(ana, ['api']);
    const baseUrl = through ? await through(gitlab.url) : gitlab.url;
    const gitDir = join(dir, 'state', 'repo.git');
    const address = async <T>(use: (at: RemoteAddress) => Promise<T>): Promise<T> =>
      use({
        url: project.cloneUrl.replace(gitlab.url, baseUrl),
        project: project.path,
        branch: 'main',
        network: { baseUrl, authorization: basicAuthorization(token), headers: {}, caFile: '', proxy: '' },
      });
    const cli: Remote = cliRemote({
      quirks: { needsLength: false },
      dir: gitDir,
      home: join(dir, 'state', 'home'),
      git: '/usr/bin/git',
      limited: new URL('../../config/git-limited.sh', import.meta.url).pathname,
      author: () => ({ name: 'Ana Petrović', email: 'ana@harbour.example' }),
      session: address,
      maxFileBytes: () => maxFileBytes,
    });
    const http = createHttp({
      instance: () => ({
        ...{ url: baseUrl, apiUrl: `${baseUrl}/api/v4`, tokenUrl: `${baseUrl}/oauth/token` },
        advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
      }),
      ...{ clock: systemClock, random: systemRandom },
    });
    const counted = (driver: GitDriver): GitDriver => ({
      run: (run) => (wire?.started(run.args), driver.run(run)),
      open: (run) => (wire?.started(run.args), driver.open(run)),
    });
    const overWire = (opened: OpenRepository): Remote =>
      wireRemote({
        quirks: { needsLength: false },
        ...{ post: (request) => http.post(request), session: address, fallback: cli },
        transfer: transferOf(opened, { dir: gitDir, home: join(dir, 'state', 'home') }, maxFileBytes, counted),
      });
    const world = await engineWorld({
      ...rest,
      ...(wire ? { driver: counted(createDriver('/usr/bin/git')) } : {}),
      keep: dir,
      remote: (_plain, opened) => rest.remote?.(cli, opened) ?? (wire ? overWire(opened) : cli),
    });
    try {
      await test({
        ...world,
        gitlab,
        project,
        bare: project.repoPath,
        tip: () => git(project.repoPath, 'rev-parse', 'main'),
        plant: (stream) => plant(project.repoPath, stream),
      });
    } finally {
      await world.close();
      http.close();
    }
  } finally {
    await gitlab.stop();
    undo?.();
    remove();
  }
}
