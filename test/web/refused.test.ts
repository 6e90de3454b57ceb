import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { fetchFailure } from '../../src/git/failure.ts';
import { describe } from '../../src/model/remedy.ts';
import type { Hold, HoldChoice } from '../../src/model/site.ts';
import { pathFromText } from '../../src/model/tree.ts';
import { holdTitle } from '../../src/web/hold-words.ts';
import { signedIn } from './browser.ts';
import { fullWorld } from './content.ts';
import { now, status } from './support.ts';

/** What the pages say of a push that GitLab refused, and of what git printed. */
const refused = suite('web/refused');

const texts = {
  role: 'You are not allowed to push code to this project.',
  protected: 'GitLab: You are not allowed to push code to protected branches on this project.',
  content: 'GitLab: File name secret.txt was prohibited by the pattern "secret".',
  author: "GitLab: Author's email 'cms@localhost' does not follow the pattern '@harbour.example$'",
  message: "GitLab: Commit message does not follow the pattern '^PROJ-'",
  rule: 'forbidden content',
} as const;

function holdOf(text: string, choices: readonly HoldChoice[] = ['try-again']): Hold {
  const tally = { added: 0, changed: 0, removed: 0 };
  const samples = choices.includes('leave-out') ? [{ path: pathFromText('secret.txt'), mark: '+' as const }] : [];
  return { code: 'push-refused', at: now, step: 's', total: 0, tally, samples, choices, text };
}

/** The pages of a site whose push was refused, as text. */
async function pagesOf(hold: Hold): Promise<Record<'site' | 'hold' | 'syncing' | 'sites', string>> {
  const world = fullWorld();
  const me = await signedIn(world);
  const waiting = { toPull: 0, toPush: 1, oldestUnpushedAt: now - 60_000 };
  const lastAttempt = { at: now - 1_000, result: 'refused' };
  world.statuses.set('shop', status('hold', { hold, waiting, lastAttempt }));
  const get = async (path: string): Promise<string> => (await me.get(path)).text;
  return {
    site: await get('/sites/shop'),
    hold: await get('/sites/shop/hold'),
    syncing: await get('/sites/shop/settings/syncing'),
    sites: await get('/'),
  };
}

for (const [kind, text] of Object.entries(texts)) {
  refused(`one truth on every page: ${kind}`, async () => {
    const hold = holdOf(text);
    const pages = await pagesOf(hold);
    for (const [name, page] of Object.entries(pages)) assert.not.match(page, 'Nothing is synced', name);
    for (const name of ['site', 'hold'] as const) assert.match(pages[name], 'still pulls what others push', name);
    assert.match(pages.site, holdTitle(hold));
    assert.match(pages.hold, holdTitle(hold));
    assert.match(pages.sites, holdTitle(hold));
    assert.not.match(pages.syncing, 'nothing to do');
    assert.match(pages.syncing, 'GitLab rejected the push');
    assert.match(pages.syncing, '0 to pull, 1 to push');
  });
}

refused('the ways out fit the cause', async () => {
  const found: Record<string, readonly string[]> = {};
  for (const [kind, text] of Object.entries(texts)) {
    const { hold } = await pagesOf(holdOf(text));
    found[kind] = ['Reconnect', 'Push to a new branch', 'Push again'].filter((word) => hold.includes(word));
  }
  assert.equal(found, {
    role: ['Reconnect', 'Push again'],
    protected: ['Reconnect', 'Push to a new branch', 'Push again'],
    content: ['Push again'],
    author: ['Reconnect', 'Push again'],
    message: ['Push again'],
    rule: ['Push to a new branch', 'Push again'],
  });
});

refused('what would be left out is named beside the button', async () => {
  const { hold } = await pagesOf(holdOf(texts.rule, ['try-again', 'leave-out']));
  assert.match(hold, 'Push everything except this file');
  assert.match(hold, 'Recreates the waiting commits without secret.txt and pushes them.');
});

refused('output of several lines never stands in a sentence, and its lines stay lines below', async () => {
  const raw = [
    'error: RPC failed; curl 18 transfer closed with outstanding read data remaining',
    'fatal: early EOF\0',
    'fatal: fetch-pack: invalid index-pack output',
  ].join('\n');
  const facts = { project: 'harbour/website', branch: 'main' };
  const world = fullWorld();
  const me = await signedIn(world);
  for (const said of [raw, 'fatal: something nobody knows\nfatal: and more\0\n', 'fatal: one line']) {
    const problem = fetchFailure(said, facts).toFacts();
    const words = describe(problem);
    for (const sentence of [words.title, words.happened, words.untouched, words.todo])
      assert.not.match(sentence, /fatal:|error:|curl|\n|\0/, sentence);
    world.statuses.set('shop', status('retrying', { problem, nextTryAt: now + 60_000 }));
    const page = (await me.get('/sites/shop')).text.replaceAll('&#92;', '\\');
    assert.not.match(page, /\\x0a|\\x00/);
    const [, folded = ''] = /aria-label="Technical cause">([^<]*)</.exec(page) ?? [];
    const lines = said.replaceAll('\0', '').split('\n').filter(Boolean);
    for (const line of lines) assert.ok(folded.split('\n').includes(line), `${line} is no line of ${folded}`);
  }
});

refused.run();
