import { setTimeout as sleep } from 'node:timers/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inHarbour } from '../support/daemon.ts';
import { type MooredSite, filesOf, mooredSite, signedIn } from '../support/moored.ts';
import { until } from '../support/until.ts';
import { beat } from '../support/beat.ts';

const many = suite('gitlab-depth/many-sites');
const minutes = Number(process.env['MOORING_TEST_MINUTES'] ?? 0.5);

/** Long-running by design: the clock is the subject. `MOORING_TEST_MINUTES` makes it longer. */
many(`20 sites of one connection with tokens that live 30 s, ${minutes} min both ways: no race, no edit lost`, () =>
  inHarbour(
    async (harbour) => {
      const { gitlab } = harbour;
      const clicker = await signedIn(harbour);
      const sites: MooredSite[] = [];
      for (let number = 1; number <= 20; number += 1) {
        beat(`site ${number} of 20`);
        const path = `harbour/site-${number}`;
        const project = await gitlab.projects.create({ path, owner: 'ana', files: { 'index.html': `${number}\n` } });
        sites.push(await mooredSite(harbour, { clicker, project, name: `Site ${number}` }));
      }
      gitlab.requests.length = 0;
      const expected = sites.map(() => new Map<string, string>());
      const end = performance.now() + minutes * 60_000;
      let edits = 0;
      while (performance.now() < end) {
        beat(`${edits} edits`);
        const at = edits % sites.length;
        const [site, wanted] = [sites[at], expected[at]];
        edits += 1;
        const [path, text] = [`${edits % 2 ? 'here' : 'there'}/${edits}.md`, `edit ${edits}\n`];
        wanted?.set(path, text);
        if (edits % 2) await site?.write(path, text);
        else await site?.project.push('main', { [path]: text });
        // A steady trickle, not a wait for something.
        await sleep(200);
      }
      for (const [at, site] of sites.entries()) {
        const full = () => [...(expected[at] ?? [])];
        const whole = async (files: Map<string, Buffer>) =>
          full().every(([path, text]) => files.get(path)?.toString() === text);
        await until(`${site.project.path} has all edits`, async () => whole(await site.project.files()));
        await until(`${site.folder} has all edits`, async () => whole(await filesOf(site.folder)));
      }
      const refreshes = gitlab.requests.filter(({ path }) => path === '/oauth/token');
      const denied = gitlab.requests.filter(({ status }) => status === 401);
      console.log(
        `note: ${edits} edits in ${minutes} min on 20 sites: ${refreshes.length} refreshes, ${denied.length} answers 401`,
      );
      assert.ok(
        refreshes.every(({ status }) => status === 200),
        'a refresh was refused: two raced, or one was lost',
      );
      // At three quarters of its life each; one more for the edges.
      assert.ok(refreshes.length <= (minutes * 60) / 20 + 8, `${refreshes.length} refreshes`);
      assert.equal(
        denied.map(({ path }) => path),
        [],
      );
      for (const site of sites) await site.reaches('In sync');
    },
    { tokenLifetimeSeconds: 30 },
  ),
);

many.run();
