import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describe } from '../../src/model/remedy.ts';
import { overHttp } from './over-http.ts';
import { commitOf, endsIn, inline } from './support.ts';

/** A commit that git refuses to take, pushed by somebody: the problem says which, whose and what. */
const suspects = suite('suspect');

const modules = '[submodule "../../evil"]\n\tpath = x\n\turl = https://gitlab.example/x.git\n';

const cases: readonly (readonly [name: string, lines: readonly string[], path: string])[] = [
  ['a hook', [inline('.git/hooks/x', 'evil')], '.git/hooks/x'],
  ['a hook deep inside', [inline('a/b/.git/hooks/x', 'evil')], 'a/b/.git/hooks/x'],
  ['a submodule of a bad name', [inline('.gitmodules', modules)], '.gitmodules'],
];

for (const [name, lines, path] of cases) {
  suspects(`R10d: ${name}: path, commit, author and date, and edits wait`, () =>
    overHttp({}, async (world) => {
      await world.connect();
      const harmless = commitOf([inline('before.txt', 'before')], { message: 'Before' });
      world.plant(harmless);
      const bad = world.plant(commitOf([...lines, inline('innocent.txt', 'innocent')], { author: 'Eve Adams' }));
      world.plant(commitOf([inline('after.txt', 'after')], { author: 'Ben' }));
      world.write('about.md', 'edited\n');
      const asked = (): number => world.gitlab.requests.filter(({ url }) => url.includes('git-upload-pack')).length;
      const begun = asked();
      const problem = await endsIn('fetch-refused', async () => world.sync());
      const { facts } = problem;
      assert.equal(
        [facts['path'], facts['commit'], facts['author'], facts['date']],
        [path, bad.slice(0, 12), 'Eve Adams', '2023-11-14'],
      );
      const words = describe(problem);
      assert.match(words.happened, `The commit ${bad.slice(0, 12)} by Eve Adams on 2023-11-14 adds ${path}`);
      assert.match(words.untouched, 'New edits are committed locally and pushed after that commit is removed');
      assert.not.ok(existsSync(join(world.gitDir, 'quarantine')), 'the quarantine is still there');
      assert.not.ok(world.has('innocent.txt'));
      // Once is enough: the next try does not fetch it a second time without the check.
      const before = asked();
      const again = await endsIn('fetch-refused', async () => world.sync());
      assert.equal({ ...again.facts, text: '' }, { ...facts, text: '' });
      assert.ok(asked() - before < before - begun, 'it was looked for again');
    }),
  );
}

suspects.run();
