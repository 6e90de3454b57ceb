import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ProjectId } from '../../src/model/instance.ts';
import type { SiteStatus } from '../../src/model/site.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';
import { binding, site, type World } from './support.ts';

/** The page that asks once for all branches that went back together. */
const test = suite('went back');

const path = '/attention/went-back';
const shownIn = (html: string): string => /name="shown" value="([^"]*)"/.exec(html)?.[1] ?? '';

/** The hold of one site becomes another one. */
function change(world: World, id: string, over: Partial<NonNullable<SiteStatus['hold']>>): void {
  const status = world.statuses.get(id);
  if (status?.hold) world.statuses.set(id, { ...status, hold: { ...status.hold, ...over } });
}

for (const choice of ['put-back', 'go-on'] as const) {
  test(`one answer goes to each site that was shown, with the question it was shown with: ${choice}`, async () => {
    const world = fullWorld();
    const me = await signedIn(world);
    const page = await me.get(path);
    assert.is(page.status, 200);
    assert.match(page.text, '2 branches lost commits');
    const answer = await me.post(path, { shown: shownIn(page.text), choice });
    assert.is(answer.headers['location'], '/');
    const steps = [
      { site: 'theatre', step: 'step-2' },
      { site: 'harbour', step: 'step-11' },
    ];
    const seen = new Map(steps.map(({ site, step }) => [site, step]));
    const [call] = world.calls.filter(({ name }) => name === 'decisions.chooseForEach');
    const [answers, chosen, by] = call?.args as [{ site: string; step: string }[], string, string];
    assert.equal([chosen, by], [choice, 'Miriam Okafor']);
    assert.equal(new Map(answers.map(({ site, step }) => [site, step])), seen);
    assert.match((await me.get('/')).text, 'Chosen for 2 sites');
  });
}

test('a question that changed since is not answered, and that is said', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const shown = shownIn((await me.get(path)).text);
  change(world, 'harbour', { step: 'another' });
  await me.post(path, { shown, choice: 'put-back' });
  const [call] = world.calls.filter(({ name }) => name === 'decisions.chooseForEach');
  assert.equal(call?.args[0], [{ site: 'theatre', step: 'step-2' }]);
  const page = (await me.get('/')).text;
  assert.match(page, 'Chosen for 1 site');
  assert.match(page, '1 site not answered');
});

test('what one of them cannot do is said, and it is left alone', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  change(world, 'harbour', { choices: ['go-on'] });
  const page = (await me.get(path)).text;
  assert.match(page, 'This is not possible for the sites that are marked below.');
  assert.match(page, 'Cannot be pushed back from here.');
  await me.post(path, { shown: shownIn(page), choice: 'put-back' });
  const [call] = world.calls.filter(({ name }) => name === 'decisions.chooseForEach');
  assert.equal(call?.args[0], [{ site: 'theatre', step: 'step-2' }]);
});

test('a form that no page of ours made does nothing', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  const shown = shownIn((await me.get(path)).text);
  for (const form of [{ shown }, { shown, choice: 'adopt' }, { shown: '', choice: 'go-on' }, { choice: 'go-on' }])
    assert.is((await me.post(path, form)).status, 422, JSON.stringify(form));
  const other = 'theatre:0123456789abcdef nobody:0123456789abcdef';
  await me.post(path, { shown: other, choice: 'go-on' });
  assert.match((await me.get('/')).text, 'Nothing was done');
  assert.equal(
    world.calls.filter(({ name }) => name === 'decisions.chooseForEach').map(({ args }) => args[0]),
    [[]],
  );
});

test('hundreds of sites make a small page, and are all answered', async () => {
  const world = fullWorld();
  const status = world.statuses.get('theatre') as SiteStatus;
  world.sites = Array.from({ length: 1_000 }, (_, n) =>
    site(`s${n}`, { name: `Site ${n}`, binding: binding(`g/s${n}`, 'main', { projectId: n as ProjectId }) }),
  );
  for (const { id } of world.sites) world.statuses.set(id, status);
  const me = await signedIn(world);
  const page = (await me.get(path)).text;
  assert.ok(page.length < 200_000, `${page.length} characters`);
  assert.match(page, 'And 800 more sites');
  await me.post(path, { shown: shownIn(page), choice: 'put-back' });
  assert.match((await me.get('/')).text, 'Chosen for 1,000 sites');
});

test('one branch alone has no such page, and the dashboard says nothing of a backup', async () => {
  const world = fullWorld();
  const me = await signedIn(world);
  assert.match(
    (await me.get('/')).text,
    '2 branches lost commits in GitLab, probably because it was restored from an older backup',
  );
  world.statuses.delete('theatre');
  assert.is((await me.get(path)).headers['location'], '/');
  assert.not.match((await me.get('/')).text, 'restored from an older backup');
  assert.not.match((await me.get('/sites/harbour/hold')).text, 'Decide for all of them');
});

test.run();
