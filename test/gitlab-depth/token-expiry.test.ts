import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { tokenEnd } from '../../src/model/instance.ts';
import { systemClock } from '../../src/world.ts';
import type { Clicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { addSite, configured, filesOf, makeFolder, signedIn } from '../support/moored.ts';
import { inPlace } from './support.ts';

const ends = suite('gitlab-depth/token-expiry');
const dayMs = 86_400_000;

ends(
  'an access token 31, 29, 6 and 0 days before its end, and after it: what the pages say, and what waits',
  async () => {
    let shiftMs = 0;
    const now = (): number => Date.now() + shiftMs;
    await inPlace({ overrides: { clock: { ...systemClock, now } }, gitlab: { now } }, async (place) => {
      const { url, gitlab, world } = place;
      const clicker = await signedIn(place);
      await configured(place, clicker);
      const folder = await makeFolder(place.sites, 'unattended', {});
      await addSite(place, clicker, 'Unattended', folder);
      await clicker.follow('Use an access token');
      // GitLab ends a token when its last day begins.
      const end = Math.ceil((now() + 40 * dayMs) / dayMs) * dayMs;
      const token = gitlab.tokens.add('ana', ['api'], end);
      await clicker.press('Use this token', { 'Access token': token });
      await clicker.press('Search', { 'Search repositories': 'website' });
      await clicker.press('Choose branch', { 'harbour/website': true });
      await clicker.press('Continue');
      await clicker.press('Connect Self Hosted GitLab');
      const site = /\/sites\/([^/]+)/.exec(clicker.page.url)?.[1] ?? '';

      const at = async (left: number): Promise<{ site: string; attention: string; tone: string }> => {
        shiftMs += end - left * dayMs - now();
        const fresh: Clicker = await signedIn(place);
        const shown = await fresh.open(`${url}/sites/${site}/settings/syncing`);
        const list = await fresh.open(`${url}/attention`);
        const tone = /data-tone="(\w+)"(?:(?!data-tone)[\s\S])*?The access token of @ana/.exec(list.html)?.[1] ?? '';
        return { site: shown.words, attention: list.words, tone };
      };
      const far = await at(31.5);
      assert.not.match(far.site, 'This token');
      assert.not.match(far.attention, 'The access token of');
      const month = await at(29.5);
      assert.match(month.site, 'This token ends in 29 days.');
      assert.match(month.attention, 'The access token of @ana ends in 29 days');
      const week = await at(6.5);
      assert.match(week.attention, 'The access token of @ana ends in 6 days');
      const day = await at(0.5);
      assert.match(day.site, 'This token ends within a day.');
      assert.match(day.attention, 'The access token of @ana ends within a day');
      assert.equal([month.tone, week.tone, day.tone], ['mute', 'warn', 'bad']);

      // Over: the edit waits, and a new token takes it up.
      await at(-0.5);
      await makeFolder(place.sites, 'unattended', { files: { 'late.md': 'after the end\n' } });
      const last = await signedIn(place);
      await until('on hold', async () => {
        const shown = await last.open(`${url}/sites/${site}`);
        if (shown.state !== 'On hold' && shown.words.includes('Sync now')) await last.press('Sync now');
        return shown.state === 'On hold' || undefined;
      });
      // Every page that tells of it leads to the field.
      const lead = 'Enter a new access token';
      for (const at of [`/sites/${site}`, `/sites/${site}/hold`, `/sites/${site}/settings/syncing`, '/attention']) {
        await last.open(`${url}${at}`);
        assert.is((await last.follow(lead)).heading, 'Unattended', at);
        assert.match(last.page.url, `/sites/${site}/access-token`);
      }
      assert.match((await last.open(`${url}/attention`)).words, 'no longer accepts the access token of @ana');
      assert.match((await last.open(`${url}/sites/${site}/settings/syncing`)).words, 'New token needed');
      const hold = await last.open(`${url}/sites/${site}/hold`);
      assert.ok(hold.words.indexOf(lead) < hold.words.indexOf('Reconnect'), 'the likelier way comes first');
      await last.follow(lead);
      await last.press('Use this token', { 'Access token': gitlab.tokens.add('ana', ['api'], now() + 90 * dayMs) });
      assert.match(last.page.words, 'The access token is in use');
      await until('pushed', async () => (await world.website.files()).has('late.md') || undefined);
      assert.ok((await filesOf(folder)).has('late.md'));
    });
  },
);

ends('the borders: 30, 7 and 1 whole days', () => {
  const left = (days: number) => tokenEnd({ expiresAt: days * dayMs }, 0);
  assert.equal(left(30), undefined);
  assert.equal(left(29.99), { days: 29, tone: 'mute' });
  assert.equal(left(7), { days: 7, tone: 'mute' });
  assert.equal(left(6.99), { days: 6, tone: 'warn' });
  assert.equal(left(1), { days: 1, tone: 'warn' });
  assert.equal(left(0.99), { days: 0, tone: 'bad' });
  assert.equal(tokenEnd({}, 0), undefined);
});

ends.run();
