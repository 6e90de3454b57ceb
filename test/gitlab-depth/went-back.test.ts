import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { type MooredSite, filesOf, mooredSite } from '../support/moored.ts';
import { gitAsync } from '../support/plain-git.ts';
import { until } from '../support/until.ts';

/** A GitLab that was restored from an older backup, as an admin meets it on the pages. */
const restored = suite('gitlab-depth/went-back');

const title = '2 branches lost commits in GitLab, probably because it was restored from an older backup';

interface Day {
  readonly site: MooredSite;
  /** The tip of the backup, and the one that GitLab lost. */
  readonly backup: string;
  readonly lost: string;
}

/** Two sites in sync, each with a day's work that the backup does not have. GitLab is not restored yet. */
async function twoSites(harbour: Harbour): Promise<readonly [Day, Day]> {
  const one = await mooredSite(harbour, { name: 'One' });
  const two = await mooredSite(harbour, { name: 'Two', project: harbour.world.gardens, clicker: one.clicker });
  return [await aDay(one), await aDay(two)];
}

async function aDay(site: MooredSite): Promise<Day> {
  await site.settled();
  const backup = await site.project.head('main');
  await site.project.push('main', { 'of-the-day.md': `pushed to ${site.project.path}\n` });
  await until('the push arrives', async () => (await filesOf(site.folder)).has('of-the-day.md'));
  await site.settled();
  return { site, backup: backup ?? '', lost: (await site.project.head('main')) ?? '' };
}

/** The branch is at another tip, and nobody is called. */
const setTo = (project: Project, tip: string): Promise<string> =>
  gitAsync(project.repoPath, 'update-ref', 'refs/heads/main', tip);

async function restore(...days: readonly Day[]): Promise<void> {
  for (const { site, backup } of days) {
    await setTo(site.project, backup);
    await site.clicker.open(site.url);
    await site.clicker.press('Sync now');
    await site.reaches('On hold');
  }
}

const isOn = (project: Project, commit: string): Promise<boolean> =>
  gitAsync(project.repoPath, 'merge-base', '--is-ancestor', commit, 'main').then(
    () => true,
    () => false,
  );

for (const [button, isPushed] of [
  ['Push back what GitLab lost', true],
  ['Follow GitLab', false],
] as const) {
  restored(`two sites go back, edits and a restart in between: one answer for both, ${button}`, () =>
    inHarbour(async (harbour) => {
      const days = await twoSites(harbour);
      const [{ site: one }, { site: two }] = days;
      await restore(...days);
      await one.write('meanwhile.md', 'edited meanwhile\n');
      await two.write('of-the-day.md', 'an edit of what GitLab lost\n');
      const before = [await filesOf(one.folder), await filesOf(two.folder)];
      const { clicker } = one;
      assert.match((await clicker.open(`${harbour.url}/`)).words, title);
      await harbour.stop();
      await harbour.start();
      await until('both are asked again', async () => (await clicker.open(`${harbour.url}/`)).words.includes(title));
      const attention = await clicker.open(`${harbour.url}/attention`);
      assert.is(attention.words.split(title).length, 2, 'told once for the instance');
      const page = await clicker.follow('See what was lost and decide for all of them');
      assert.is(page.heading, title);
      assert.match(page.words, 'Mooring did not change any files or branches.');
      for (const { site } of days) assert.match(page.words, site.project.path);
      assert.is(page.words.split('1 commit lost.').length, 3);
      assert.equal([await filesOf(one.folder), await filesOf(two.folder)], before, 'a file moved unasked');
      for (const { site, backup } of days) assert.is(await site.project.head('main'), backup, 'pushed unasked');
      const answered = await clicker.press(button);
      assert.match(answered.words, `Chosen for 2 sites: ${button}.`);
      for (const { site } of days) await site.settled();
      for (const { site, lost } of days) assert.is(await isOn(site.project, lost), isPushed);
      const [first, second] = [await one.project.files(), await two.project.files()];
      assert.is(first.get('meanwhile.md')?.toString(), 'edited meanwhile\n');
      assert.is(first.has('of-the-day.md'), isPushed);
      // An edit beats a removal, whoever removed it.
      assert.is(second.get('of-the-day.md')?.toString(), 'an edit of what GitLab lost\n');
      assert.not.match((await clicker.open(`${harbour.url}/`)).words, title);
      const activity = await clicker.open(`${harbour.url}/activity`);
      assert.is(activity.words.split('Answered the hold of').length, 3);
    }),
  );
}

restored('each site has its own page and answer; the other one goes on being asked alone', () =>
  inHarbour(async (harbour) => {
    const days = await twoSites(harbour);
    const [{ site: one, lost }, { site: two, backup }] = days;
    await restore(...days);
    const { clicker } = one;
    const page = await clicker.open(`${one.url}/hold`);
    assert.match(page.words, 'GitLab no longer has 1 commit of this branch');
    assert.match(page.words, title);
    assert.match(page.words, '1 file removed');
    assert.match(page.words, 'of-the-day.md');
    await clicker.press('Push back what GitLab lost');
    await one.settled();
    assert.is(await one.project.head('main'), lost, 'not the very same commits');
    assert.not.match((await clicker.open(`${harbour.url}/`)).words, title);
    assert.match((await clicker.open(`${harbour.url}/attention/went-back`)).words, 'No branches have lost commits');
    await clicker.open(`${two.url}/hold`);
    await clicker.press('Follow GitLab');
    await two.settled();
    assert.is(await two.project.head('main'), backup);
    assert.not.ok((await filesOf(two.folder)).has('of-the-day.md'));
    const kept = await clicker.open(`${two.url}/kept`);
    assert.match(kept.words, 'Before following a branch that lost commits');
  }),
);

restored('the newer backup is restored after all: the holds end by themselves', () =>
  inHarbour(async (harbour) => {
    const days = await twoSites(harbour);
    await restore(...days);
    const [{ site: one }] = days;
    await one.write('meanwhile.md', 'edited meanwhile\n');
    const shown = await one.clicker.open(`${harbour.url}/attention/went-back`);
    assert.is(shown.heading, title);
    const late = one.clicker.request('Follow GitLab');
    for (const { site, lost } of days) await setTo(site.project, lost);
    // Nobody calls and nobody asks: the branch is looked at by the clock, every minute.
    for (const { site } of days) await site.settled();
    assert.is((await one.project.files()).get('meanwhile.md')?.toString(), 'edited meanwhile\n');
    // Whoever still has the page open answers nothing any more.
    assert.match((await one.clicker.send(late)).words, 'Nothing was done');
    for (const { site, lost } of days) assert.ok(await isOn(site.project, lost));
  }),
);

restored('a project that is not restored yet is missing, as ever, and has not gone back', () =>
  inHarbour(async (harbour) => {
    const days = await twoSites(harbour);
    const [first, { site: two }] = days;
    await restore(first);
    await two.project.delete();
    await two.write('late.md', 'l\n');
    await two.reaches('On hold');
    const page = await two.clicker.open(`${two.url}/hold`);
    assert.match(page.words, 'The repository was not found in GitLab');
    const sites = await two.clicker.open(`${harbour.url}/`);
    assert.match(sites.words, 'GitLab no longer has 1 commit of this branch');
    assert.not.match(sites.words, 'restored from an older backup');
  }),
);

restored.run();
