import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser } from '../support/browser.ts';
import { type Harbour, harbour } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';
import type { Project } from '../support/gitlab/server.ts';
import { makeFolder } from '../support/moored.ts';
import { patienceMs } from '../support/until.ts';

/** Where a way through the pages begins: a fresh daemon, a folder with files, and a browser before the set-up page. */
export interface Start {
  readonly world: Harbour;
  readonly project: Project;
  readonly folder: string;
  readonly browser: Browser;
  readonly page: Page;
}

export async function start({ javaScriptEnabled }: { javaScriptEnabled: boolean }): Promise<Start> {
  const world = await harbour({ begin: 'nothing' });
  const before = Object.entries(folderBefore);
  const folder = await makeFolder(world.sites, 'harbour', {
    files: Object.fromEntries(before.map(([path, { text }]) => [path, text])),
    modes: Object.fromEntries(before.map(([path, { mode }]) => [path, mode])),
  });
  const browser = await launchBrowser();
  const page = await (await browser.newContext({ javaScriptEnabled })).newPage();
  page.setDefaultTimeout(patienceMs);
  return { world, project: world.world.website, folder, browser, page };
}

/** One long way through, in order: after a failure the rest would only fail as well. */
export function inSteps(
  test: (name: string, run: () => Promise<void>) => void,
  at: () => Pick<Start, 'page' | 'world'>,
): (name: string, run: () => Promise<void>) => void {
  let failed = false;
  return (name, run) =>
    test(name, async () => {
      if (failed) throw new Error('not reached: an earlier step failed');
      try {
        await run();
      } catch (error) {
        failed = true;
        const { page, world } = at();
        console.log(`at ${page.url()}: ${await page.getByRole('main').innerText().catch(String)}`);
        console.log(world.output().slice(-3_000));
        throw error;
      }
    });
}

/**
 * The way from the first start to a connected site, as a person goes it in a browser with or without script: everything
 * is found by role, label and text.
 */

const person = { name: 'Ana', password: 'tide and tackle 7' } as const;

/** The folder that is there before, with modes; what becomes of each file is said beside it. */
export const folderBefore: Readonly<Record<string, { text: string; mode: number }>> = {
  // Replaced.
  'index.html': { text: '<!doctype html>\n<h1>An older page</h1>\n', mode: 0o640 },
  'css/site.css': { text: 'body { color: black; }\n', mode: 0o644 },
  // Removed: the repository does not have them.
  'notes/2025.txt': { text: 'Only here, in no repository.\n', mode: 0o600 },
  'bin/rebuild.sh': { text: '#!/bin/sh\necho rebuilt\n', mode: 0o755 },
  'uploads/plan.txt': { text: 'Berths 1 to 12\n', mode: 0o644 },
  // A secret and an editor's leftover: never touched.
  '.env': { text: 'DATABASE_PASSWORD=only-on-this-server\n', mode: 0o600 },
  'index.html~': { text: 'a backup of an editor\n', mode: 0o644 },
};
export const untouchedNames: readonly string[] = ['.env', 'index.html~'];

export async function setUp(page: Page, { url, output }: Pick<Harbour, 'url' | 'output'>): Promise<void> {
  const code = /"setupCode":"([a-z0-9-]{19})"/.exec(output())?.[1] ?? '';
  await page.goto(url);
  await page.getByRole('heading', { name: 'Set up Mooring' }).waitFor();
  await page.getByLabel('Set-up code').fill(code);
  await page.getByLabel('Name').fill(person.name);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.getByRole('heading', { name: 'No sites yet' }).waitFor();
}

export async function configure(page: Page, { gitlab, application, url }: Harbour): Promise<void> {
  await page.getByRole('main').getByRole('link', { name: 'Configure Self Hosted GitLab' }).click();
  await page.getByRole('heading', { name: 'Self Hosted GitLab', exact: true }).waitFor();
  await page.getByText(`${url}/oauth/callback`, { exact: true }).waitFor();
  await page.getByLabel('GitLab URL').fill(gitlab.url);
  await page.getByLabel('Application ID (key)').fill(application.applicationId);
  await page.getByLabel('Secret', { exact: true }).fill(application.secret);
  await page.getByRole('button', { name: 'Configure Self Hosted GitLab' }).click();
  await page.getByText('Self Hosted GitLab is configured.').waitFor();
}

/** Each line of Test connection: its name and whether it passed. */
export async function testConnection(page: Page): Promise<string[]> {
  await page.getByRole('button', { name: 'Test connection' }).click();
  await page.getByRole('button', { name: 'Test again' }).waitFor();
  const region = page.getByRole('region', { name: 'Test connection' });
  return region.getByRole('listitem').allInnerTexts();
}

export async function addSite(page: Page, name: string, folder: string): Promise<void> {
  await page.getByRole('navigation').getByRole('link', { name: 'Sites', exact: true }).first().click();
  await page.getByRole('link', { name: 'Add site' }).click();
  await page.getByLabel('Name').fill(name);
  await page.getByRole('radio', { name: folder }).check();
  await page.getByRole('button', { name: 'Add site' }).click();
  await page.getByRole('heading', { name: 'Source Syncing' }).waitFor();
}

/** From Connect to the picker, by way of the practice GitLab's own pages. */
export async function authorise(page: Page): Promise<void> {
  await page.getByText('Authentication required').waitFor();
  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await page.getByLabel('Username or primary email').fill('ana');
  await page.getByLabel('Password').fill(examplePassword);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('button', { name: 'Authorize Mooring' }).click();
  await page.getByRole('heading', { name: 'Choose a repository' }).waitFor();
}

export async function searchFor(page: Page, words: string): Promise<void> {
  await page.getByRole('searchbox', { name: 'Search repositories' }).fill(words);
  await page.getByRole('button', { name: 'Search', exact: true }).click();
}

/** The four numbers of the warning, wherever it is shown. */
export async function tally(page: Page): Promise<Record<string, number>> {
  const terms = await page.getByRole('term').allInnerTexts();
  const values = await page.getByRole('definition').allInnerTexts();
  const words = ['replaced', 'added', 'removed', 'unchanged'];
  return Object.fromEntries(
    terms.flatMap((term, at) => (words.includes(term.trim()) ? [[term.trim(), Number(values[at])]] : [])),
  );
}

/** What the warning has to say, counted by the test itself. */
export function truth(
  before: Readonly<Record<string, { text: string }>>,
  repository: ReadonlyMap<string, Buffer>,
): Record<string, number> {
  const ours = Object.entries(before).filter(([path]) => !untouchedNames.includes(path));
  const differs = ours.filter(([path, { text }]) => repository.has(path) && repository.get(path)?.toString() !== text);
  const same = ours.filter(([path, { text }]) => repository.get(path)?.toString() === text);
  return {
    replaced: differs.length,
    added: repository.size - differs.length - same.length,
    removed: ours.filter(([path]) => !repository.has(path)).length,
    unchanged: same.length,
  };
}

/** A picture for the eye, when MOORING_TEST_SHOTS names a folder. */
export async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env['MOORING_TEST_SHOTS'];
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  const size = page.viewportSize();
  for (const [scheme, width] of [
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
    ['dark', 390],
  ] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    await page.screenshot({ path: join(folder, `${name}-${width}-${scheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: null });
  if (size) await page.setViewportSize(size);
}
