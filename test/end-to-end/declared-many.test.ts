import { readFileSync, readdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ApplyResult } from '../../src/model/declared.ts';
import { run } from '../support/command.ts';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import { filesOf, makeFolder } from '../support/moored.ts';
import { until } from '../support/until.ts';

/**
 * Many declared sites at once. MOORING_TEST_SITES says how many, such as 200; it prints how long it took, which is
 * measured and not asserted.
 */
const test = suite('many declared sites');

const most = Number(process.env['MOORING_TEST_SITES'] ?? '8');

/** The site that stands in the file as this one does, without and with its consent. */
interface Declared {
  readonly name: string;
  readonly text: string;
}

test('from apply to all in sync, and a second apply writes nothing', () =>
  inHarbour(
    async (made) => {
      const path = join(made.dir, 'mooring.yaml');
      await writeFile(join(made.dir, 'application'), made.application.secret);
      await writeFile(join(made.dir, 'token'), made.gitlab.tokens.add(made.world.ana, ['api']));
      const sites = await makeSites(made);
      const write = (consents: ReadonlyMap<string, string>): Promise<void> =>
        writeFile(
          path,
          [
            `version: 1\ninstance:\n  url: ${made.gitlab.url}\n  applicationId: "${made.application.applicationId}"`,
            '  secretFile: application\nconnections:\n  - { name: robot, tokenFile: token }\nsites:\n',
          ].join('\n') +
            sites
              .map(({ name, text }) => text + (consents.has(name) ? `      consent: ${consents.get(name)}\n` : ''))
              .join(''),
        );
      const apply = async (...options: string[]): Promise<ApplyResult> => {
        const { stdout, stderr } = await run(['apply', path, '--json', ...options], { stateDir: made.stateDir });
        if (stdout === '') throw new Error(stderr);
        return JSON.parse(stdout) as ApplyResult;
      };
      const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
        const before = performance.now();
        const done = await work();
        console.log(`note: ${most} sites, ${what}: ${((performance.now() - before) / 1000).toFixed(1)} s`);
        return done;
      };

      await write(new Map());
      const added = await timed('apply, which adds them', () => apply());
      assert.is(added.kind, 'applied', JSON.stringify(added).slice(0, 500));
      const planned = await timed('dry run with every plan', () => apply('--dry-run'));
      const plans =
        planned.kind === 'faults' ? [] : planned.waiting.map(({ name, plan }) => [name, plan?.consent ?? ''] as const);
      assert.is(plans.length, most);
      await write(new Map(plans));
      await timed('from apply to all in sync', async () => {
        const connected = await timed('of that, apply itself', () => apply());
        assert.is(connected.kind, 'applied', JSON.stringify(connected).slice(0, 500));
        await until('all are in sync', async () => (await inSync(made)) === most);
      });
      assert.ok((await filesOf(join(made.sites, 'site-1'))).has('index.html'));

      const before = written(made.stateDir);
      const again = await timed('apply once more', () => apply());
      assert.equal(again.kind === 'faults' ? again.faults : again.changes, []);
      assert.equal(written(made.stateDir), before);
    },
    { begin: 'account' },
  ));

async function makeSites({ gitlab, world, sites }: Harbour): Promise<Declared[]> {
  const declared: Declared[] = [];
  for (let n = 1; n <= most; n += 1) {
    const repository = `harbour/site-${n}`;
    await gitlab.projects.create({
      ...{ path: repository, owner: world.ana, name: `Site ${n}` },
      files: { 'index.html': `<h1>${n}</h1>\n`, 'about.html': '<p>About</p>\n' },
    });
    const folder = await makeFolder(sites, `site-${n}`, { files: { 'old.txt': `${n}\n` } });
    const source = `      connection: robot\n      repository: ${repository}\n      branch: main\n`;
    declared.push({ name: `Site ${n}`, text: `  - name: Site ${n}\n    folder: ${folder}\n    source:\n${source}` });
  }
  return declared;
}

async function inSync({ stateDir }: Harbour): Promise<number> {
  const { stdout } = await run(['status', '--json'], { stateDir });
  const { sites } = JSON.parse(stdout) as { sites: { state: string }[] };
  return sites.filter(({ state }) => state === 'in-sync').length;
}

/** What `apply` could have written: the declaration's own record, and the audit log. Webhooks may call meanwhile. */
function written(stateDir: string): Record<string, string> {
  const names = readdirSync(stateDir).filter((name) => /^(declared|instance|accounts|notify|state)\.json/.test(name));
  const files = [...names, 'history/acts.jsonl'].map((name) => join(stateDir, name));
  return Object.fromEntries(
    files.map((path) => [path, `${statSync(path, { bigint: true }).mtimeNs} ${readFileSync(path, 'utf8').length}`]),
  );
}

test.run();
