import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type Server, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readPush } from '../../src/git/push-result.ts';
import { git, scratch } from '../support/plain-git.ts';
import { overHttp } from './over-http.ts';
import { problemOf } from './support.ts';

const transport = suite('faults/transport');

const ways = [
  ['over the wire', { wire: { started: () => {} } }],
  ['by git’s own commands', {}],
] as const;

/** A proxy that passes on only what says its length beforehand. */
async function demandsLength(to: string) {
  let refused = 0;
  const server: Server = createServer((incoming, response) => {
    if (incoming.headers['transfer-encoding'] !== undefined) {
      refused += 1;
      incoming.resume();
      return void response.writeHead(411).end('Length Required');
    }
    const onward = request(
      new URL(incoming.url ?? '/', to),
      { method: incoming.method ?? 'GET', headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    onward.on('error', () => response.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused: () => refused,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

for (const [name, over] of ways) {
  transport(`R11: a proxy that wants to know the length beforehand: large pushes arrive, ${name}`, async () => {
    let proxy: Awaited<ReturnType<typeof demandsLength>> | undefined;
    const through = async (url: string): Promise<string> => (proxy = await demandsLength(url)).url;
    try {
      await overHttp({ ...over, through }, async (world) => {
        await world.connect();
        await world.sync();
        for (const at of [1, 2]) {
          const large = randomBytes(3_000_000).toString('base64');
          world.write(`large-${at}.txt`, large);
          await world.sync();
          assert.is(git(world.bare, 'cat-file', '-s', `main:large-${at}.txt`), String(large.length));
        }
        assert.is(proxy?.refused(), 1, 'it is remembered');
      });
    } finally {
      proxy?.close();
    }
  });

  transport(`R12: a GitLab that lets git in over SSH only is told as that, ${name}`, () =>
    overHttp(over, async (world) => {
      await world.connect();
      await world.sync();
      const body = 'Git access over HTTP is not allowed';
      const end = world.gitlab.faults.add({
        match: ({ path }) => path.includes('/git-') || path.includes('/info/refs'),
        status: 403,
        body,
      });
      world.write('about.md', 'ours\n');
      const { code, facts } = await problemOf(() => world.sync());
      assert.equal([code, facts['text']], ['git-http-disabled', body]);
      end();
      await world.sync();
      assert.is(git(world.bare, 'show', 'main:about.md'), 'ours');
    }),
  );
}

for (const [there, wanted] of [
  ['site/v2', 'site'],
  ['site', 'site/v2'],
] as const) {
  transport(`R13: the branch ${wanted} cannot be made beside ${there}: told as that, by what git really says`, () => {
    const { dir, remove } = scratch();
    const [bare, work] = [join(dir, 'bare.git'), join(dir, 'work')];
    git(dir, 'init', '-q', '--bare', bare);
    git(dir, 'init', '-q', work);
    git(work, 'commit', '-q', '--allow-empty', '-m', 'One');
    git(work, 'push', '-q', bare, `HEAD:refs/heads/${there}`);
    const { status, stdout, stderr } = spawnSync('git', ['push', '--porcelain', bare, `HEAD:refs/heads/${wanted}`], {
      ...{ cwd: work, encoding: 'utf8', env: { PATH: '/usr/bin:/bin', HOME: dir, LC_ALL: 'C' } },
    });
    const read = readPush({ code: status ?? 1, stdout, stderr }, `refs/heads/${wanted}`, {
      project: 'p',
      branch: wanted,
    });
    assert.ok('problem' in read, stderr);
    assert.equal([read.problem.code, read.problem.facts['other']], ['branch-name-blocked', there]);
    remove();
  });
}

transport.run();
