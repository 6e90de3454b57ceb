import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type LfsClient, type LfsPlace, createLfsClient } from '../../src/gitlab/lfs.ts';
import type { Pointer } from '../../src/model/lfs.ts';
import { Problem } from '../../src/model/problem.ts';
import { remedies } from '../../src/model/remedy.ts';
import { httpFor, listen, problemOf, settingsFor } from '../net/support.ts';

const lfs = suite('gitlab/lfs');

const pointerTo = (content: Buffer): Pointer => ({
  sha: createHash('sha256').update(content).digest('hex'),
  size: content.length,
});

interface Asked {
  readonly operation: string;
  readonly objects: readonly { readonly oid: string; readonly size: number }[];
}

/** A GitLab that has these contents, and does otherwise where a test says so. */
interface Practice {
  readonly contents: Map<string, Buffer>;
  /** Objects of each batch question. */
  readonly batches: Asked[];
  batch?: (asked: Asked, response: ServerResponse) => boolean;
  get?: (sha: string, response: ServerResponse) => boolean;
  put?: (request: IncomingMessage, response: ServerResponse) => void;
}

async function gitlabOf(
  contents: readonly Buffer[],
  use: (gitlab: Practice, lfs: LfsClient, place: LfsPlace) => Promise<void>,
) {
  const practice: Practice = { contents: new Map(contents.map((each) => [pointerTo(each).sha, each])), batches: [] };
  const server = await listen((request, response) => void answer(practice, request, response));
  const http = httpFor(settingsFor(server.url));
  try {
    const place = { url: `${server.url}/a/b.git`, authorization: 'Basic eA==', branch: 'main' };
    await use(practice, createLfsClient({ http }), place);
  } finally {
    http.close();
    await server.close();
  }
}

async function answer(practice: Practice, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const sha = /\/gitlab-lfs\/objects\/([0-9a-f]{64})/.exec(request.url ?? '')?.[1];
  if (request.method === 'PUT' && practice.put) return practice.put(request, response);
  if (sha !== undefined) {
    if (practice.get?.(sha, response)) return;
    const content = practice.contents.get(sha);
    response.writeHead(content ? 200 : 404).end(content);
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
  practice.batches.push(asked);
  if (practice.batch?.(asked, response)) return;
  const objects = asked.objects.map(({ oid, size }) => {
    const action = { href: `http://elsewhere.example/a/b.git/gitlab-lfs/objects/${oid}` };
    if (asked.operation === 'upload')
      return practice.contents.has(oid) ? { oid, size } : { oid, size, actions: { upload: action } };
    if (!practice.contents.has(oid)) return { oid, size, error: { code: 404, message: 'Object does not exist' } };
    return { oid, size, actions: { download: action } };
  });
  response.end(JSON.stringify({ objects }));
}

function* endless(): Generator<Buffer> {
  for (;;) yield randomBytes(1_000);
}

/** Copies each and tells what came of it: the content, or why there is none. */
async function copyAll(client: LfsClient, place: LfsPlace, pointers: readonly Pointer[]): Promise<unknown[]> {
  const copy = client.downloads((use) => use(place), pointers);
  const got: unknown[] = [];
  for (const pointer of pointers) {
    const chunks: Buffer[] = [];
    const copied = await copy(pointer, async (chunk) => void chunks.push(chunk));
    const written = chunks.reduce((sum, { length }) => sum + length, 0);
    assert.ok(written <= pointer.size + 1, `${written} bytes of one that has ${pointer.size}`);
    got.push(copied === 'done' ? Buffer.concat(chunks) : copied);
  }
  return got;
}

lfs('contents are asked for a hundred at once, and each comes as it is', async () => {
  const contents = Array.from({ length: 230 }, () => randomBytes(40));
  await gitlabOf(contents, async (gitlab, client, place) => {
    assert.equal(await copyAll(client, place, contents.map(pointerTo)), contents);
    assert.equal(
      gitlab.batches.map(({ operation, objects }) => [operation, objects.length]),
      [
        ['download', 100],
        ['download', 100],
        ['download', 30],
      ],
    );
  });
});

lfs('what was said a while ago and holds no more is asked for anew, once', async () => {
  const contents = [randomBytes(40), randomBytes(40), randomBytes(40)];
  const [first, second, third] = contents.map((content) => pointerTo(content).sha);
  await gitlabOf(contents, async (gitlab, client, place) => {
    const refused = new Map([first, second, third].map((sha, at) => [sha, [9, 1, 9][at] as number]));
    gitlab.get = (sha, response) => {
      const left = refused.get(sha) ?? 0;
      refused.set(sha, left - 1);
      if (left > 0) response.writeHead(403).end();
      return left > 0;
    };
    const got = await copyAll(client, place, contents.map(pointerTo));
    const forbidden = { missing: 'GitLab answered 403 to a large file.' };
    assert.equal(got, [forbidden, contents[1], forbidden]);
    assert.equal(
      gitlab.batches.map(({ objects }) => objects.map(({ oid }) => oid)),
      [[first, second, third], [second, third], [third]],
    );
  });
});

lfs('one content that GitLab fails on, lacks or cannot name does not keep the others away', async () => {
  const contents = Array.from({ length: 6 }, () => randomBytes(40));
  const [, failing = '', lacking = '', garbled = '', longer = ''] = contents.map((content) => pointerTo(content).sha);
  await gitlabOf(contents, async (gitlab, client, place) => {
    gitlab.contents.delete(lacking);
    gitlab.get = (sha, response) => {
      // Whoever waits for its end waits for ever.
      if (sha === longer) Readable.from(endless()).pipe(response);
      if (sha === failing) response.writeHead(500).end('<html>');
      return sha === failing || sha === longer;
    };
    gitlab.batch = ({ objects }, response) => {
      const download = (oid: string) => ({ href: `${place.url}/gitlab-lfs/objects/${oid}` });
      const rows = objects.map(({ oid }) => {
        if (oid === garbled) return { oid, actions: 'none' };
        if (oid === lacking) return { oid, error: { code: 404, message: 'Object does not exist' } };
        return { oid, actions: { download: download(oid) } };
      });
      response.end(JSON.stringify({ objects: rows }));
      return true;
    };
    assert.equal(await copyAll(client, place, contents.map(pointerTo)), [
      contents[0],
      { missing: 'GitLab answered 500 to a large file.' },
      { missing: 'Object does not exist' },
      { missing: '' },
      'damaged',
      contents[5],
    ]);
    assert.is(gitlab.batches.length, 1);
  });
});

lfs('a question that is refused as a whole is asked for each by itself, and the reason is told', async () => {
  const contents = [randomBytes(40), randomBytes(40), randomBytes(40)];
  const bad = pointerTo(contents[1] as Buffer).sha;
  await gitlabOf(contents, async (gitlab, client, place) => {
    gitlab.batch = ({ objects }, response) => {
      const isBad = objects.some(({ oid }) => oid === bad);
      if (isBad) response.writeHead(413, { 'content-type': 'text/html' }).end('<h1>Request Entity Too Large</h1>');
      return isBad;
    };
    const got = await copyAll(client, place, contents.map(pointerTo));
    assert.equal(got, [contents[0], { missing: 'GitLab answered 413 to a large file.' }, contents[2]]);
    assert.equal(
      gitlab.batches.map(({ objects }) => objects.length),
      [3, 1, 1, 1],
    );
  });
});

lfs('a project without LFS is asked once, not for each content', async () => {
  const contents = Array.from({ length: 130 }, () => randomBytes(40));
  for (const status of [403, 404, 501]) {
    await gitlabOf(contents, async (gitlab, client, place) => {
      gitlab.batch = (_asked, response) => {
        response.writeHead(status).end('{"message":"It is not enabled here."}');
        return true;
      };
      const got = await copyAll(client, place, contents.map(pointerTo));
      assert.equal(new Set(got.map((one) => JSON.stringify(one))).size, 1);
      const said = status === 501 ? 'GitLab answered 501 to a large file.' : 'It is not enabled here.';
      assert.equal(got[129], { missing: said });
      assert.is(gitlab.batches.length, 1);
    });
  }
});

lfs('a content that is neither here nor on GitLab is named, and not counted as sent', async () => {
  const [there, nowhere] = [randomBytes(40), pointerTo(randomBytes(40))];
  await gitlabOf([there], async (_gitlab, client, place) => {
    const read = async (): Promise<undefined> => undefined;
    assert.is(await client.upload(place, [pointerTo(there)], read), undefined);
    assert.match((await client.upload(place, [pointerTo(there), nowhere], read)) ?? '', nowhere.sha);
  });
});

lfs('a page in place of the answer is trouble of the instance that passes, down and up', async () => {
  const content = randomBytes(40);
  await gitlabOf([content], async (gitlab, client, place) => {
    for (const page of ['<html>Please sign in</html>', 'not found', '{"objects":1}']) {
      gitlab.batch = (_asked, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end(page);
        return true;
      };
      for (const work of [
        () => copyAll(client, place, [pointerTo(content)]),
        () => client.upload(place, [pointerTo(content)], async () => undefined),
      ]) {
        const problem = await problemOf(work());
        assert.is(problem.code, 'gitlab-answer-odd');
        assert.is(remedies[problem.code].retry, 'soon');
      }
    }
  });
});

lfs('a download ends when it is broken off, and GitLab sees it end', async () => {
  const content = randomBytes(300_000);
  await gitlabOf([content], async (gitlab, client, place) => {
    const stop = new AbortController();
    const ended = new Promise<void>((resolve) => {
      gitlab.get = (_sha, response) => {
        response.once('close', resolve);
        response.writeHead(200).write(content.subarray(0, 100_000));
        return true;
      };
    });
    const copy = client.downloads((use) => use({ ...place, signal: stop.signal }), [pointerTo(content)]);
    const why = await problemOf(copy(pointerTo(content), async () => stop.abort(new Problem('broken-off', {}))));
    assert.is(why.code, 'broken-off');
    await ended;
  });
});

lfs('a content goes through piece by piece, both ways', async () => {
  const content = randomBytes(200_000);
  const pointer = pointerTo(content);
  await gitlabOf([content], async (gitlab, client, place) => {
    // Down: GitLab sends the second half when the first has been written.
    let goOn = (): void => {};
    gitlab.get = (_sha, response) => {
      response.writeHead(200).write(content.subarray(0, 100_000));
      goOn = () => void response.end(content.subarray(100_000));
      return true;
    };
    const chunks: Buffer[] = [];
    const copy = client.downloads((use) => use(place), [pointer]);
    const copied = await copy(pointer, async (chunk) => {
      chunks.push(chunk);
      if (Buffer.concat(chunks).length === 100_000) goOn();
    });
    assert.is(copied, 'done');
    assert.ok(Buffer.concat(chunks).equals(content));

    // Up: the second half is read when GitLab has the first.
    gitlab.contents.clear();
    let half = (): void => {};
    const arrived = new Promise<void>((resolve) => (half = resolve));
    const received: Buffer[] = [];
    gitlab.put = (request, response) => {
      request.on('data', (chunk: Buffer) => {
        received.push(chunk);
        if (Buffer.concat(received).length >= 100_000) half();
      });
      request.on('end', () => response.writeHead(200).end());
    };
    async function* halves(): AsyncGenerator<Buffer> {
      yield content.subarray(0, 100_000);
      await arrived;
      yield content.subarray(100_000);
    }
    assert.is(await client.upload(place, [pointer], async () => halves), undefined);
    assert.ok(Buffer.concat(received).equals(content));
  });
});

lfs(
  'a disk that is full while a content comes, or a content that cannot be read, is no failure of GitLab',
  async () => {
    const content = randomBytes(200_000);
    const pointer = pointerTo(content);
    await gitlabOf([content], async (gitlab, client, place) => {
      const full = Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      const copy = client.downloads((use) => use(place), [pointer]);
      const thrown = async (work: Promise<unknown>): Promise<unknown> =>
        work.then(
          () => 'nothing',
          (error: unknown) => error,
        );
      assert.is(await thrown(copy(pointer, () => Promise.reject(full))), full);
      gitlab.contents.clear();
      gitlab.put = (request, response) => void request.resume().on('end', () => response.end());
      async function* broken(): AsyncGenerator<Buffer> {
        yield content.subarray(0, 10);
        throw full;
      }
      assert.is(await thrown(client.upload(place, [pointer], async () => broken)), full);
    });
  },
);

lfs('GitLab gives what it has, and nothing else counts as there', async () => {
  const contents = [randomBytes(40), randomBytes(40)];
  const absent = pointerTo(randomBytes(40));
  await gitlabOf(contents, async (gitlab, client, place) => {
    const all = [...contents.map(pointerTo), absent];
    assert.equal(await client.present(place, all), contents.map(pointerTo));
    gitlab.batch = (_asked, response) => {
      response.writeHead(403).end('{"message":"Access forbidden"}');
      return true;
    };
    assert.equal(await client.present(place, all), []);
    gitlab.batch = (_asked, response) => {
      response.end('{"objects":[]}');
      return true;
    };
    assert.equal(await client.present(place, all), []);
  });
});

lfs(
  'a content in an object storage is fetched there, without token and headers, and checked like any other',
  async () => {
    const contents = [
      randomBytes(3_000),
      randomBytes(3_000),
      randomBytes(3_000),
      randomBytes(3_000),
      randomBytes(3_000),
    ];
    const [direct, redirected, spoilt, denied, longer] = contents.map(pointerTo) as [
      Pointer,
      Pointer,
      Pointer,
      Pointer,
      Pointer,
    ];
    const bySha = new Map(contents.map((each) => [pointerTo(each).sha, each]));
    const storage = await listen((request, response) => {
      const sha = /[0-9a-f]{64}/.exec(request.url ?? '')?.[0] ?? '';
      if (sha === denied.sha) return void response.writeHead(403).end('<Error>expired</Error>');
      if (sha === spoilt.sha) return void response.end(randomBytes(3_000));
      if (sha === longer.sha) return void response.end(randomBytes(9_000));
      response.end(bySha.get(sha));
    });
    try {
      await gitlabOf(contents, async (gitlab, client, place) => {
        gitlab.batch = (asked, response) => {
          const objects = asked.objects.map(({ oid, size }) => {
            const own = `${place.url}/gitlab-lfs/objects/${oid}`;
            const href = oid === direct.sha ? `${storage.url}/bucket/${oid}?signature=canary` : own;
            return { oid, size, actions: { download: { href } } };
          });
          response.end(JSON.stringify({ objects }));
          return true;
        };
        gitlab.get = (sha, response) => {
          response.writeHead(302, { location: `${storage.url}/bucket/${sha}?signature=canary` }).end();
          return true;
        };
        const copied = await copyAll(client, place, [direct, redirected, spoilt, denied, longer]);
        assert.equal(copied.slice(0, 2), contents.slice(0, 2));
        assert.is(copied[2], 'damaged');
        assert.match(JSON.stringify(copied[3]), 'where GitLab keeps it, answered 403');
        assert.not.match(JSON.stringify(copied[3]), 'canary');
        assert.is(copied[4], 'damaged');
        assert.ok(storage.requests.length >= 5);
        for (const { headers } of storage.requests) assert.is(headers.authorization, undefined, 'the token went along');
      });
    } finally {
      await storage.close();
    }
  },
);

lfs('an object storage that is not reached makes its contents missing, and no more', async () => {
  const content = randomBytes(300);
  await gitlabOf([content], async (gitlab, client, place) => {
    gitlab.get = (_sha, response) => {
      response.writeHead(302, { location: 'http://localhost:1/bucket/x?signature=canary' }).end();
      return true;
    };
    const [copied] = await copyAll(client, place, [pointerTo(content)]);
    assert.match(JSON.stringify(copied), 'It cannot be had from localhost:1, where GitLab keeps it');
    assert.not.match(JSON.stringify(copied), 'canary');
  });
});

lfs.run();
