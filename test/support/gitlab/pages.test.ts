/** The pages for people: what the demo asks an admin to click. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createBrowser, signIn, type Browser } from './browser.ts';
import { examplePassword } from './example.ts';
import { trial, type Trial } from './trial.ts';

const pages = suite('practice GitLab: pages');

async function asAna({ gitlab }: Trial): Promise<Browser> {
  const browser = createBrowser();
  const list = await signIn(browser, await browser.open(gitlab.url), 'ana', examplePassword);
  assert.match(list.text, 'harbour/website');
  assert.not.match(list.text, 'lena/notes');
  return browser;
}

pages('a wrong password stays outside; signing out does, too', () =>
  trial(async (given) => {
    const browser = createBrowser();
    await browser.open(given.gitlab.url);
    assert.match(
      (await browser.press('Sign in', { login: 'ana', password: 'wrong' })).text,
      'Invalid login or password.',
    );
    const inside = await asAna(given);
    assert.match((await inside.press('Sign out')).text, 'id="user_login"');
    assert.match((await inside.open(`${given.gitlab.url}/harbour/website`)).text, 'id="user_login"');
  }),
);

pages('one click pushes a change', () =>
  trial(
    async (given) => {
      const { gitlab, world } = given;
      const browser = await asAna(given);
      const before = await world.website.head();
      const page = await browser.open(world.website.webUrl);
      assert.match(page.text, world.website.cloneUrl);
      assert.match(page.text, 'content/posts/2026-03-spring-opening.md');
      const after = await browser.press('Commit changes');
      assert.match(after.text, `Your change is commit ${(await world.website.head())?.slice(0, 8)}`);
      assert.is.not(await world.website.head(), before);
      const [index] = [(await world.website.files()).get('index.html')?.toString() ?? ''];
      assert.match(index, 'Changed in GitLab at');
      assert.not.match(index, '\r');
      await browser.open(`${world.website.webUrl}?edit=about.md`);
      await browser.press('Delete this file');
      assert.not.ok((await world.website.files()).has('about.md'));
      const commit = await browser.open(`${world.website.webUrl}/-/commit/${await world.website.head()}`);
      assert.match(commit.text, 'Update about.md');
      assert.match((await browser.open(`${world.website.webUrl}/-/blob/main/css/site.css`)).text, 'max-width');
      assert.is((await browser.open(`${gitlab.url}/lena/notes`)).status, 404);
      assert.not.match((await browser.open(world.reported.webUrl)).text, 'Push a change');
    },
    { basePath: '/gitlab' },
  ),
);

pages('a new project, with a README or empty', () =>
  trial(async (given) => {
    const { gitlab } = given;
    const browser = await asAna(given);
    await browser.open(`${gitlab.url}/projects/new`);
    assert.match(
      (await browser.press('Create project', { name: 'Ferry times', namespace: 'harbour' })).text,
      'harbour/ferry-times',
    );
    assert.ok((await gitlab.projects.get('harbour/ferry-times').files()).has('README.md'));
    await browser.open(`${gitlab.url}/projects/new`);
    const empty = await browser.press('Create project', { name: 'Bare', namespace: 'ana', readme: [] });
    assert.match(empty.text, 'The repository for this project is empty.');
  }),
);

pages('an application is registered; its secret is shown once', () =>
  trial(async (given) => {
    const browser = await asAna(given);
    await browser.open(`${given.gitlab.url}/-/user_settings/applications`);
    assert.match(
      (await browser.press('Save application', { name: 'M', redirect_uri: 'nonsense' })).text,
      'at least one valid redirect URI',
    );
    const made = await browser.press('Save application', {
      ...{ name: 'Mooring', redirect_uri: 'http://127.0.0.1:4000/cb' },
      scopes: ['api', 'read_user'],
    });
    const secret = /gloas-[0-9a-f]{64}/.exec(made.text)?.[0] ?? '';
    assert.ok(secret);
    assert.match(made.text, /Application ID/);
    assert.not.match((await browser.open(`${given.gitlab.url}/-/user_settings/applications`)).text, secret);
  }),
);

pages('the network switch and the webhook page', () =>
  trial(async (given) => {
    const { gitlab, world } = given;
    const browser = await asAna(given);
    await browser.open(`${world.website.webUrl}/-/hooks`);
    const url = 'http://127.0.0.1:4000/hooks/gitlab';
    assert.match((await browser.press('Add webhook', { url })).text, 'Invalid url given');
    await browser.open(`${gitlab.url}/admin`);
    assert.match((await browser.press('Save changes', { allow: '1' })).text, 'Application settings saved');
    assert.is(gitlab.settings.allowLocalWebhooks, true);
    await browser.open(`${world.website.webUrl}/-/hooks`);
    assert.match((await browser.press('Add webhook', { url, token: 'shh' })).text, url);
    assert.is(world.website.hooks.length, 1);
  }),
);

pages.run();
