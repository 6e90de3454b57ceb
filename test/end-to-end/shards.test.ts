import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseLabelSelector } from '../../src/model/label-selector.ts';
import { socketPath } from '../../src/socket.ts';
import { writeBeginning } from '../support/beginnings.ts';
import { run } from '../support/command.ts';
import { admin, freePort, inHarbour, spawnServe } from '../support/daemon.ts';
import { makeFolder } from '../support/moored.ts';
import { overSocket } from '../support/over-socket.ts';
import { until } from '../support/until.ts';

/** One declaration for several daemons: each takes the sites whose labels its selector names. */
const test = suite('shards');

test('a selector is equality-based, as Kubernetes has it', () => {
  const rows: readonly (readonly [string, Record<string, string>, boolean | undefined])[] = [
    ['shard=a', { shard: 'a' }, true],
    ['shard == a', { shard: 'a' }, true],
    ['shard=a', { shard: 'b' }, false],
    ['shard=a', {}, false],
    ['shard!=a', { shard: 'b' }, true],
    ['shard!=a', {}, true],
    ['shard!=a', { shard: 'a' }, false],
    ['shard=a, tier!=test', { shard: 'a' }, true],
    ['shard=a,tier!=test', { shard: 'a', tier: 'test' }, false],
    ['shard=', { shard: '' }, true],
    ['constructor=a', {}, false],
    ['shard', {}, undefined],
    ['', {}, undefined],
    ['shard in (a)', {}, undefined],
    ['-x=a', {}, undefined],
  ];
  for (const [text, labels, expected] of rows) assert.is(parseLabelSelector(text)?.(labels), expected, text);
});

interface Place {
  readonly stateDir: string;
  readonly names: () => Promise<string[]>;
}

const namesOf = async (stateDir: string): Promise<string[]> => {
  const { body } = await overSocket(socketPath(stateDir), 'GET', '/api/v1/sites');
  return (JSON.parse(body) as { sites: { name: string }[] }).sites.map(({ name }) => name).sort();
};

test('two daemons share one file, and each takes its own sites and what belongs to them', () =>
  inHarbour(
    async (first) => {
      const { dir, sites, gitlab, world, application } = first;
      const file = join(dir, 'mooring.yaml');
      const [museum, parks, library] = await Promise.all(
        ['museum', 'parks', 'library'].map((name) => makeFolder(sites, name, {})),
      );
      await writeFile(join(dir, 'password'), 'moor-the-shards-well');
      const declare = (shardOfLibrary: string): Promise<void> =>
        writeFile(
          file,
          `version: 1
accounts:
  - { name: Jonas, role: owner, sites: [Museum, Parks], passwordFile: password }
  - { name: Nora, role: owner, sites: [Parks], passwordFile: password }
sites:
  - { name: Museum, folder: ${museum}, labels: { shard: a } }
  - { name: Parks, folder: ${parks}, labels: { shard: b } }
  - { name: Library, folder: ${library}, labels: { shard: ${shardOfLibrary} } }
`,
        );
      await declare('a');
      const stateDir = join(dir, 'second-state');
      await mkdir(stateDir, { mode: 0o700 });
      await writeBeginning({ stateDir, admin, gitlab: { server: gitlab, world, application } });
      const port = await freePort();
      const { child, ended } = spawnServe(
        {
          ...{ PATH: process.env['PATH'] ?? '', HOME: dir, MOORING_STATE: stateDir, MOORING_SITES: sites },
          ...{ MOORING_PORT: String(port), MOORING_ALLOW_ROOT: 'yes', MOORING_SHARD_SELECTOR: 'shard!=a' },
        },
        undefined,
        () => {},
      );
      try {
        await until('the second answers', async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok);
        const places: Place[] = [first.stateDir, stateDir].map((one) => ({ stateDir: one, names: () => namesOf(one) }));
        const apply = async ({ stateDir: at }: Place): Promise<string> => {
          const { stdout, stderr, code } = await run(['apply', file], { stateDir: at });
          assert.is(code, 0, stderr);
          return stdout;
        };
        for (const place of places) await apply(place);
        const [a, b] = places as [Place, Place];
        assert.equal(await a.names(), ['Library', 'Museum']);
        assert.equal(await b.names(), ['Parks']);
        const accounts = async ({ stateDir: at }: Place): Promise<Record<string, number | undefined>> => {
          const { body } = await overSocket(socketPath(at), 'GET', '/api/v1/accounts');
          const all = (JSON.parse(body) as { accounts: { name: string; sites: string[] | null }[] }).accounts;
          return Object.fromEntries(all.map(({ name, sites: only }) => [name, only?.length]));
        };
        assert.equal(Object.keys(await accounts(a)).sort(), ['Ana', 'Jonas']);
        assert.equal((await accounts(b))['Jonas'], 1);
        assert.ok('Nora' in (await accounts(b)));
        for (const place of places) assert.match(await apply(place), /Nothing|no change/i);

        // A site that moves to another shard is not taken from where it is.
        await declare('b');
        assert.match(await apply(a), 'The site Library belongs to another shard by its labels, and is still here');
        assert.equal(await a.names(), ['Library', 'Museum']);
      } finally {
        child.kill('SIGTERM');
        await ended;
      }
    },
    { env: { MOORING_SHARD_SELECTOR: 'shard=a' } },
  ));

test.run();
