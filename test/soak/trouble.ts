import {
  appendFileSync,
  existsSync,
  readFileSync,
  readdirSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { GitLab, SeenRequest } from '../support/gitlab/server.ts';
import type { Chance } from './chance.ts';
import type { CuttingProxy } from './cutting-proxy.ts';

/** Everything that goes wrong on order in a soak, and how often it did. */
export interface Trouble {
  /** By kind: how often it was ordered, and how often somebody met it. */
  readonly count: Record<string, { ordered: number; met: number }>;
  diskIsFull(): boolean;
  /** One more thing that goes wrong while the daemon runs. Returns how long it should last, in ms. */
  begin(): number;
  /** What is done to the state directory of a daemon that is down. */
  damage(): void;
  /** Everything works again. */
  heal(): void;
}

/** A 401 of another realm is a gateway's, and no word on the token. */
const asGitlab = { headers: { 'WWW-Authenticate': 'Basic realm="GitLab"' } };

export interface Places {
  readonly stateDir: string;
  readonly gitlab: GitLab;
  readonly proxy: CuttingProxy;
  /** The sites' disk, where it may be made small. */
  readonly disk?: { readonly folder: string; grow(options: string): void };
}

const roomy = 512 * 1024 * 1024;

export function createTrouble({ stateDir, gitlab, proxy, disk }: Places, chance: Chance): Trouble {
  const count: Trouble['count'] = {};
  let full = false;
  const undo: (() => void)[] = [];
  const ordered = (kind: string): { met: number } => {
    const row = (count[kind] ??= { ordered: 0, met: 0 });
    row.ordered += 1;
    return row;
  };
  const repositories = join(stateDir, 'repositories');

  function answers(kind: string, rule: Parameters<GitLab['faults']['add']>[0]): void {
    const row = ordered(kind);
    const match = (request: SeenRequest): boolean => {
      const meant = rule.match(request);
      if (meant) row.met += 1;
      return meant;
    };
    undo.push(gitlab.faults.add({ ...rule, match }));
  }

  const anything = ({ path }: SeenRequest): boolean => /\.git\/|\/api\/v4\//.test(path);
  const git = ({ path }: SeenRequest): boolean => path.includes('.git/');
  const ours =
    (service: string) =>
    ({ path, headers }: SeenRequest): boolean =>
      path.endsWith(`/${service}`) && !/^git\//.test(headers['user-agent'] ?? '');
  const report = { 'Content-Type': 'application/x-git-receive-pack-result' };
  const running: readonly (() => void)[] = [
    () => answers('GitLab says 429', { match: anything, status: 429, headers: { 'Retry-After': '1' } }),
    () => answers('GitLab says 503', { match: anything, status: 503, body: 'no' }),
    // Once: the daemon renews its token and goes on. A second time in a row would be a lost grant, which asks a person.
    () => answers('GitLab says 401', { match: git, ...asGitlab, status: 401, times: 1 }),
    () => answers('GitLab is slow', { match: anything, delayMs: chance.between(300, 3_000) }),
    () => answers('GitLab answers drop by drop', { match: git, drip: { bytes: 40, everyMs: 30 } }),
    // What our own requests are answered makes no sense, so that git's commands go on: the two take turns.
    () => answers('fetches only by git itself', { match: ours('git-upload-pack'), status: 400 }),
    () => answers('pushes only by git itself', { match: ours('git-receive-pack'), headers: report, body: '0000' }),
    () => cut(chance.oneOf([0, 0, 60, 400, 2_000, 20_000])),
    () => cut(chance.oneOf([0, 300, 5_000])),
    stall,
    fill,
    fill,
    plantLock,
  ];

  function cut(bytes: number): void {
    const row = ordered('connection cut');
    const before = proxy.met.cut;
    proxy.cutAfter(bytes);
    undo.push(() => {
      proxy.mend();
      row.met += proxy.met.cut - before;
    });
  }

  function stall(): void {
    const row = ordered('connection stalled');
    const before = proxy.met.stalled;
    proxy.stall();
    undo.push(() => {
      proxy.mend();
      row.met += proxy.met.stalled - before;
    });
  }

  /** To the last block: what is used already stays. */
  function fill(): void {
    if (!disk || full) return;
    const { blocks, bfree, bsize } = statfsSync(disk.folder);
    try {
      disk.grow(`size=${(blocks - bfree) * bsize}`);
    } catch {
      // The daemon took a block in between.
      return;
    }
    ordered('disk of the sites full').met += 1;
    full = true;
    undo.push(() => {
      disk.grow(`size=${roomy}`);
      full = false;
    });
  }

  function someRepository(): string {
    return join(repositories, chance.oneOf(readdirSync(repositories).filter((name) => name.endsWith('.git'))));
  }

  function plantLock(): void {
    const name = chance.oneOf(['refs/sync/disk.lock', 'refs/sync/remote.lock', 'packed-refs.lock', 'HEAD.lock']);
    try {
      writeFileSync(join(someRepository(), name), '', { flag: 'wx' });
    } catch {
      // It is held by a living git.
      return;
    }
    ordered('stale git lock').met += 1;
  }

  function loseManifest(): void {
    const manifests = join(stateDir, 'manifests');
    const file = join(manifests, chance.oneOf(readdirSync(manifests)), 'manifest.jsonl');
    if (!existsSync(file)) return;
    ordered('manifest lost').met += 1;
    const text = readFileSync(file, 'latin1');
    if (chance.once(3)) truncateSync(file, chance.pick(text.length + 1));
    else if (chance.once(3)) appendFileSync(file, '["torn');
    else rmSync(file);
  }

  /** Not the file with the tokens: GitLab has ended the pair in its older generation, and only a person gets another. */
  function breakStore(): void {
    const site = readdirSync(join(stateDir, 'sites')).filter((name) => name.endsWith('.json'));
    const file = join(stateDir, chance.oneOf(['sites.json', 'accounts.json', ...site.map((name) => `sites/${name}`)]));
    if (!existsSync(file) || !existsSync(`${file}.1`)) return;
    ordered('store file broken').met += 1;
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, chance.oneOf(['', 'null', '{}', text.slice(0, text.length / 2), '\0'.repeat(text.length)]));
  }

  return {
    count,
    diskIsFull: () => full,
    begin() {
      chance.oneOf(running)();
      return chance.between(300, 4_000);
    },
    damage() {
      if (chance.once(3)) plantLock();
      if (chance.once(4)) loseManifest();
      if (chance.once(5)) breakStore();
    },
    heal() {
      for (const act of undo.splice(0)) act();
    },
  };
}
