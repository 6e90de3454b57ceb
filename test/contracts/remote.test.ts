import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDriver } from '../../src/git/driver.ts';
import { basicAuthorization } from '../../src/git/environment.ts';
import { cliRemote } from '../../src/git/remote.ts';
import type { RemoteAddress } from '../../src/git/session.ts';
import { type OpenRepository, openRepository } from '../../src/git/repository.ts';
import { withPinnedAddress, wireRemote } from '../../src/git/wire.ts';
import { Problem, asProblem } from '../../src/model/problem.ts';
import type { Oid, SitePath } from '../../src/model/tree.ts';
import { createHttp } from '../../src/net/http.ts';
import { type Resolve, createPins } from '../../src/net/pins.ts';
import { resolveName } from '../../src/net/probe.ts';
import type { Remote, Repository } from '../../src/sync/ports.ts';
import { systemClock, systemRandom } from '../../src/world.ts';
import { listen, problemOf } from '../net/support.ts';
import { type GitLab, startGitLab } from '../support/gitlab/server.ts';
import { git, scratch } from '../support/plain-git.ts';
import { plainRemote } from '../support/plain-remote.ts';
import { transferOf } from '../support/transfer.ts';

/** What every Remote must do, whatever carries it: the real ones against the practice GitLab, and the tests' own. */
interface Subject {
  readonly remote: Remote;
  readonly repository: Repository;
  readonly gitDir: string;
  /** A commit on main by somebody else; returns its id. */
  push(path: string, content: string): Promise<string>;
  removeBranch(): Promise<void>;
  /** The branch is at an older commit, or at one without a parent, and all that it does not need is gone. */
  reset(to: Oid | undefined): Promise<void>;
  /** `undefined`: takes everything again. */
  refuse(text: string | undefined): void;
  tip(): Promise<string>;
}

/** A request as something before GitLab sees it, and what it answers in GitLab's place. */
type Before = (request: {
  url: string;
  method: string;
}) => { status: number; type: string; body: string; location?: string } | 'silence' | undefined;

interface HttpSubject extends Subject {
  answer(before: Before | undefined): void;
  /** A line of shell that runs before a push is taken. */
  hook(line: string): void;
  readonly faults: GitLab['faults'];
  /** How many requests came. */
  asked(): number;
}

type Arrange = (options: { empty: boolean }, test: (subject: Subject) => Promise<void>) => Promise<void>;

const limited = new URL('../../config/git-limited.sh', import.meta.url).pathname;
const author = () => ({ name: 'Ana Petrović', email: 'ana@harbour.example' });

for (const [name, arrange] of Object.entries({
  plain,
  cli: (o, t) => overHttp('cli', o, t),
  wire: (o, t) => overHttp('wire', o, t),
} as Record<string, Arrange>)) {
  const contract = suite(`remote contract: ${name}`);

  contract('tells the tip of the branch, and that there is none', () =>
    arrange({ empty: false }, async ({ remote, tip, removeBranch }) => {
      assert.is(await remote.head(), await tip());
      await removeBranch();
      assert.is(await remote.head(), 'absent');
      assert.is(await remote.fetch(), 'absent');
    }),
  );

  contract('an empty repository has no branch', () =>
    arrange({ empty: true }, async ({ remote }) => {
      assert.is(await remote.head(), 'absent');
      assert.is(await remote.fetch(), 'absent');
    }),
  );

  contract('fetches the branch’s commits and moves no ref of the ledger', () =>
    arrange({ empty: false }, async ({ remote, repository, push }) => {
      const commit = await push('new.txt', 'new\n');
      assert.is(await remote.fetch(), commit);
      assert.is(
        (await repository.files(commit as Oid, 100)).some(({ path }) => path === 'new.txt'),
        true,
      );
      assert.equal(await repository.ledger(), {});
    }),
  );

  contract('pushes a descendant; the first push makes the branch', () =>
    arrange({ empty: true }, async ({ remote, repository, tip }) => {
      const first = await commitOn(repository, undefined, 'a.txt');
      assert.is((await remote.push(first, null, { skipCi: false })).kind, 'done');
      assert.is(await tip(), first);
      const second = await commitOn(repository, first, 'b.txt');
      assert.is((await remote.push(second, first, { skipCi: false })).kind, 'done');
      assert.is(await tip(), second);
    }),
  );

  contract('says that somebody was faster, and forces nothing', () =>
    arrange({ empty: false }, async ({ remote, repository, push, tip }) => {
      const known = (await remote.fetch()) as Oid;
      const theirs = await push('theirs.txt', 'theirs\n');
      const ours = await commitOn(repository, known, 'ours.txt');
      assert.is((await remote.push(ours, known, { skipCi: false })).kind, 'moved');
      assert.is(await tip(), theirs);
    }),
  );

  contract('fetches what comes on top, again and again, and knows when the branch went back or begins anew', () =>
    arrange({ empty: false }, async ({ remote, repository, push, reset, tip }) => {
      const first = (await remote.fetch()) as Oid;
      let last = first;
      for (const round of ['one', 'two', 'three']) {
        const next = await push(`${round}.txt`, `${round}\n`);
        assert.is(await remote.fetch(), next);
        assert.is(await repository.relation(next as Oid, last), 'ahead');
        last = next as Oid;
      }
      assert.is(await remote.fetch(), last, 'nothing new');
      await reset(first);
      assert.is(await remote.fetch(), first);
      const other = await push('other.txt', 'other\n');
      assert.is(await remote.fetch(), other);
      assert.is(await repository.relation(other as Oid, last), 'diverged');
      await reset(undefined);
      const anew = (await tip()) as Oid;
      assert.is(await remote.fetch(), anew);
      assert.is(await repository.relation(anew, last), 'unrelated');
      assert.is((await repository.files(anew, 100)).length, 1);
    }),
  );

  contract('fetches the tip as it is now, whatever a look of an earlier run saw', () =>
    arrange({ empty: false }, async ({ remote, push }) => {
      const [earlier, now] = [new AbortController().signal, new AbortController().signal];
      await remote.fetch(earlier);
      await push('one.txt', 'one\n');
      await remote.head(earlier);
      const newest = await push('two.txt', 'two\n');
      assert.is(await remote.fetch(now), newest);
    }),
  );

  contract('a branch whose server lost the lease’s commit has moved, and refuses nothing', () =>
    arrange({ empty: false }, async ({ remote, repository, push, reset, tip }) => {
      const first = (await remote.fetch()) as Oid;
      const lost = await push('lost.txt', 'lost\n');
      assert.is(await remote.fetch(), lost);
      await reset(first);
      const ours = await commitOn(repository, lost as Oid, 'ours.txt');
      assert.is((await remote.push(ours, lost as Oid, { skipCi: false })).kind, 'moved');
      assert.is(await tip(), first);
    }),
  );

  contract('a refused line is offered again with what came on top, and arrives whole', () =>
    arrange({ empty: false }, async ({ remote, repository, refuse, tip }) => {
      const known = (await remote.fetch()) as Oid;
      refuse('not today');
      const first = await commitOn(repository, known, 'first.txt');
      assert.is((await remote.push(first, known, { skipCi: false })).kind, 'refused');
      refuse(undefined);
      const second = await commitOn(repository, first, 'second.txt');
      assert.is((await remote.push(second, known, { skipCi: true })).kind, 'done');
      assert.is(await tip(), second);
    }),
  );

  contract('does not make a branch again that was removed meanwhile', () =>
    arrange({ empty: false }, async ({ remote, repository, removeBranch }) => {
      const known = (await remote.fetch()) as Oid;
      await removeBranch();
      const ours = await commitOn(repository, known, 'ours.txt');
      assert.is((await remote.push(ours, known, { skipCi: false })).kind, 'moved');
      assert.is(await remote.head(), 'absent');
    }),
  );

  contract('tells a refusal in the server’s own words, without control characters', () =>
    arrange({ empty: false }, async ({ remote, repository, refuse, tip }) => {
      const known = (await remote.fetch()) as Oid;
      refuse('not \u001b[31mon\u001b[0m a\u001b[2K Sunday\u0007\u0008 \u202e');
      const ours = await commitOn(repository, known, 'ours.txt');
      const result = await remote.push(ours, known, { skipCi: false });
      assert.is(result.kind, 'refused');
      if (result.kind === 'refused') {
        assert.match(result.text, /not on a Sunday/);
        assert.not.match(result.text, /[^\P{C}\n]/u);
      }
      assert.is(await tip(), known);
    }),
  );

  contract.run();
}

/** What only a way over HTTP can meet. */
const overhttp = suite('remote over http');

overhttp('a page in place of an answer is neither a branch that is gone nor a repository without any', async () => {
  for (const page of ['<html>Upgrading</html>', '', '<html>\n<body>\nBack soon\n</body>\n'])
    await overHttp('wire', { empty: false }, async ({ remote, answer }) => {
      answer(({ method }) =>
        method === 'GET' || method === 'POST' ? { status: 200, type: 'text/html', body: page } : undefined,
      );
      for (const look of [() => remote.head(), () => remote.fetch()]) {
        const problem = await problemOf(look());
        assert.ok(['gitlab-answer-odd', 'git-failed'].includes(problem.code), `${problem.code} for «${page}»`);
      }
      answer(undefined);
      assert.match(await remote.head(), /^[0-9a-f]{40}$/);
    });
});

overhttp('a proxy that finds a push too large refuses it, in words that say what to do', () =>
  overHttp('wire', { empty: false }, async ({ remote, repository, answer }) => {
    const known = (await remote.fetch()) as Oid;
    const ours = await commitOn(repository, known, 'large.bin');
    const page = '<html><head><title>413 Request Entity Too Large</title></head></html>';
    answer(({ url, method }) =>
      method === 'POST' && url.endsWith('/git-receive-pack')
        ? { status: 413, type: 'text/html', body: page }
        : undefined,
    );
    const result = await remote.push(ours, known, { skipCi: false });
    assert.is(result.kind, 'refused');
    if (result.kind === 'refused') assert.match(result.text, 'larger than it lets through');
    answer(undefined);
    assert.is((await remote.push(ours, known, { skipCi: false })).kind, 'done');
  }),
);

overhttp('a GitLab that thinks for longer than the line may be silent is waited for longer each time', () =>
  overHttp('cli', { empty: false, silenceSeconds: 2 }, async ({ remote, repository, hook, tip }) => {
    const known = (await remote.fetch()) as Oid;
    const ours = await commitOn(repository, known, 'slow.txt');
    hook('sleep 5');
    const codes: string[] = [];
    for (let turn = 0; turn < 5 && (await tip()) !== ours; turn += 1) {
      await remote.push(ours, known, { skipCi: false }).catch((error: unknown) => codes.push(asProblem(error).code));
    }
    assert.is(await tip(), ours);
    assert.ok(codes.length > 0, 'it was never too slow, so nothing was tried');
    assert.equal(new Set(codes), new Set(['gitlab-slow']));
  }),
);

overhttp('a line that drips ends a fetch, and one that is silent a push, by git itself; then it goes on', () =>
  overHttp('cli', { empty: false, silenceSeconds: 2 }, async ({ remote, repository, faults, answer, tip }) => {
    faults.add({ match: ({ path }) => path.endsWith('/git-upload-pack'), drip: { bytes: 10, everyMs: 100 } });
    assert.is((await problemOf(remote.fetch())).code, 'gitlab-slow');
    faults.clear();
    const known = (await remote.fetch()) as Oid;
    const ours = await commitOn(repository, known, 'silent.txt');
    answer(({ url, method }) => (method === 'POST' && url.endsWith('/git-receive-pack') ? 'silence' : undefined));
    assert.is((await problemOf(remote.push(ours, known, { skipCi: false }))).code, 'gitlab-slow');
    answer(undefined);
    assert.is((await remote.push(ours, known, { skipCi: false })).kind, 'done');
    assert.is(await tip(), ours);
  }),
);

overhttp('git follows no redirect: where it points sees neither the token nor anything else', async () => {
  const thief = await listen((_request, response) => response.end());
  for (const status of [301, 302, 307, 308])
    await overHttp('cli', { empty: false }, async ({ remote, repository, answer }) => {
      const known = (await remote.fetch()) as Oid;
      const ours = await commitOn(repository, known, 'ours.txt');
      answer(({ url }) => ({ status, type: 'text/plain', body: '', location: `${thief.url}${url}` }));
      const push = () => remote.push(ours, known, { skipCi: false });
      for (const act of [() => remote.head(), () => remote.fetch(), push])
        assert.is((await problemOf(act())).code, 'gitlab-answer-odd', String(status));
    });
  assert.is(thief.requests.length, 0);
  await thief.close();
});

overhttp('while GitLab asks to be left alone git is not started, neither to fetch nor to push', async () => {
  const started: string[] = [];
  const never = async (): Promise<never> => {
    throw new Error('asked all the same');
  };
  const fallback: Remote = {
    head: never,
    fetch: async () => (started.push('fetch'), 'absent'),
    push: async () => (started.push('push'), { kind: 'done', output: '' }),
  };
  const checkBreaker = (): void => {
    throw new Problem('gitlab-busy', {}, { retryAfterMs: 30_000 });
  };
  const remote = wireRemote({ quirks: { needsLength: false }, post: never, session: never, fallback, checkBreaker });
  const push = () => remote.push('a'.repeat(40) as Oid, null, { skipCi: false });
  for (const act of [() => remote.fetch(), push]) assert.is((await problemOf(act())).retryAfterMs, 30_000);
  assert.equal(started, []);
});

overhttp('git goes where the name was found to lead, and is not started where that is never called', async () => {
  const places = ['127.0.0.1'];
  const resolve: Resolve = async (url) =>
    places[0] === '127.0.0.1' ? places : resolveName(new URL(url.href.replace('gitlab.invalid', `${places[0]}`)));
  await overHttp('cli', { empty: false, resolve }, async ({ remote, tip, asked }) => {
    assert.is(await remote.head(), await tip(), 'git looked the name up by itself');
    const before = asked();
    for (const place of ['169.254.169.254', '100.100.100.200', '[fe80::1]', '[::ffff:169.254.169.254]']) {
      places[0] = place;
      const problem = await problemOf(remote.fetch());
      assert.is(problem.code, 'gitlab-unreachable', place);
      assert.match(problem.facts['reason'] ?? '', 'metadata', place);
    }
    assert.is(asked(), before);
  });
});

overhttp.run();

async function commitOn(repository: Repository, parent: Oid | undefined, path: string): Promise<Oid> {
  const bytes = Buffer.from(`${path}\n`);
  const open = async () => ({ size: bytes.length, chunks: one(bytes), finish: () => true });
  const taken = await repository.commitFiles(
    parent,
    [{ path: path as SitePath, file: { mode: '100644', open } }],
    () => 'Ours\n',
  );
  return taken.commit;
}

function refuseIn(bare: string, text: string | undefined): void {
  mkdirSync(join(bare, 'hooks'), { recursive: true });
  const verdict = text === undefined ? 'exit 0' : `echo "${text}"\nexit 1`;
  writeFileSync(join(bare, 'hooks', 'pre-receive'), `#!/bin/sh\n${verdict}\n`, { mode: 0o755 });
}

function resetBare(bare: string, to: Oid | undefined): void {
  const tree = git(bare, 'rev-parse', 'main^{tree}');
  const files = git(bare, 'ls-tree', tree).split('\n')[0] ?? '';
  writeFileSync(join(bare, 'rows'), `${files}\n`);
  const only = git(bare, '-c', 'alias.one=!git mktree < rows', 'one');
  git(bare, 'update-ref', 'refs/heads/main', to ?? git(bare, 'commit-tree', '-m', 'Anew', only));
  git(bare, 'reflog', 'expire', '--expire=now', '--all');
  git(bare, 'gc', '-q', '--prune=now');
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

async function prepared(dir: string): Promise<{ repository: OpenRepository; gitDir: string; home: string }> {
  const gitDir = join(dir, 'site.git');
  const home = join(dir, 'home');
  const repository = openRepository({
    dir: gitDir,
    home,
    driver: createDriver('/usr/bin/git'),
    clock: systemClock,
    author,
  });
  await repository.prepare();
  return { repository, gitDir, home };
}

async function plain(options: { empty: boolean }, test: (subject: Subject) => Promise<void>): Promise<void> {
  const { dir, remove } = scratch();
  try {
    const bare = join(dir, 'gitlab.git');
    const clone = join(dir, 'clone');
    git(dir, 'init', '-q', '--bare', '--initial-branch=main', bare);
    git(dir, 'clone', '-q', bare, clone);
    const push = async (path: string, content: string): Promise<string> => {
      writeFileSync(join(clone, path), content);
      git(clone, 'add', '-A');
      git(clone, 'commit', '-q', '-m', 'Theirs');
      git(clone, 'push', '-q', 'origin', 'HEAD:main');
      return git(clone, 'rev-parse', 'HEAD');
    };
    if (!options.empty) await push('index.html', 'home\n');
    const { repository, gitDir } = await prepared(dir);
    await test({
      remote: plainRemote({ gitDir, bare, branch: 'main' }),
      repository,
      gitDir,
      push,
      removeBranch: async () => void git(bare, 'update-ref', '-d', 'refs/heads/main'),
      reset: async (to) => {
        resetBare(bare, to);
        if (to) git(clone, 'reset', '-q', '--hard', to);
      },
      refuse: (text) => refuseIn(bare, text),
      tip: async () => git(bare, 'rev-parse', 'main'),
    });
  } finally {
    remove();
  }
}

async function overHttp(
  kind: 'cli' | 'wire',
  options: { empty: boolean; silenceSeconds?: number; resolve?: Resolve },
  test: (subject: HttpSubject) => Promise<void>,
): Promise<void> {
  const { dir, remove } = scratch();
  const gitlab = await startGitLab();
  const front = await inFrontOf(gitlab.url);
  try {
    const ana = gitlab.users.add({
      username: 'ana',
      name: 'Ana Petrović',
      email: 'ana@harbour.example',
      password: 'pw',
    });
    gitlab.groups.add({ path: 'harbour', owner: ana });
    const files = options.empty ? {} : { files: { 'index.html': 'home\n' } };
    const project = await gitlab.projects.create({ path: 'harbour/site', owner: ana, ...files });
    const token = gitlab.tokens.add(ana, ['api']);
    const { repository, gitDir, home } = await prepared(dir);
    const { resolve } = options;
    // A name that no other look-up knows.
    const baseUrl = resolve ? front.url.replace('127.0.0.1', 'gitlab.invalid') : front.url;
    const address = async <T>(use: (address: RemoteAddress) => Promise<T>): Promise<T> =>
      use({
        url: project.cloneUrl.replace(gitlab.url, baseUrl),
        project: project.path,
        branch: 'main',
        network: { baseUrl, authorization: basicAuthorization(token), headers: {}, caFile: '', proxy: '' },
      });
    const cli = cliRemote({
      quirks: { needsLength: false },
      dir: gitDir,
      home,
      git: '/usr/bin/git',
      limited,
      author,
      // A clock on which nothing is remembered.
      session: resolve
        ? withPinnedAddress(address, createPins({ clock: { ...systemClock, monotonic: () => NaN }, resolve }))
        : address,
      maxFileBytes: () => 2 ** 30,
      ...(options.silenceSeconds ? { silenceSeconds: options.silenceSeconds } : {}),
    });
    const http = createHttp({
      instance: () => ({
        url: front.url,
        apiUrl: `${front.url}/api/v4`,
        tokenUrl: `${front.url}/oauth/token`,
        advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
      }),
      clock: systemClock,
      random: systemRandom,
    });
    const remote =
      kind === 'cli'
        ? cli
        : wireRemote({
            quirks: { needsLength: false },
            ...{ post: (request) => http.post(request), session: address, fallback: cli },
            transfer: transferOf(repository, { dir: gitDir, home }),
          });
    await test({
      remote,
      repository,
      gitDir,
      push: (path, content) => project.push('main', { [path]: content }),
      async removeBranch() {
        project.unprotect('main');
        await project.deleteBranch('main');
      },
      reset: async (to) => resetBare(project.repoPath, to),
      refuse: (text) => refuseIn(project.repoPath, text && `GitLab: ${text}`),
      tip: async () => String(await project.head('main')),
      answer: front.answer,
      hook: (line) =>
        writeFileSync(join(project.repoPath, 'hooks', 'pre-receive'), `#!/bin/sh\n${line}\nexit 0\n`, { mode: 0o755 }),
      faults: gitlab.faults,
      asked: () => gitlab.requests.length,
    });
    http.close();
    assert.equal(gitlab.violations, []);
  } finally {
    await front.close();
    await gitlab.stop();
    remove();
  }
}

/** A reverse proxy, as stands before most GitLabs. */
async function inFrontOf(
  behind: string,
): Promise<{ url: string; answer(before: Before | undefined): void; close(): Promise<void> }> {
  let before: Before | undefined;
  const server = createServer((incoming, response) => {
    const { url = '', method = '' } = incoming;
    const instead = before?.({ url, method });
    if (instead) {
      incoming.resume();
      if (instead === 'silence') return;
      const { status, type, body, location } = instead;
      return void response.writeHead(status, { 'content-type': type, ...(location && { location }) }).end(body);
    }
    const onward = request(new URL(url, behind), { method, headers: incoming.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (next) => void (before = next),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
