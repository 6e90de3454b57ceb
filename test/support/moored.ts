import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clicker, type Page, createClicker } from './clicker.ts';
import { until } from './until.ts';
import type { Harbour } from './daemon.ts';
import { examplePassword } from './gitlab/example.ts';
import type { Project } from './gitlab/server.ts';

/** A connected site, and what a test does with it. */
export interface MooredSite {
  readonly id: string;
  /** The site's own page. */
  readonly url: string;
  readonly folder: string;
  readonly project: Project;
  readonly branch: string;
  /** The browser that connected it, still signed in. */
  readonly clicker: Clicker;
  write(path: string, content: string | Buffer, mode?: number): Promise<void>;
  /** Waits until folder and branch hold the same files and the page says so. */
  settled(): Promise<void>;
  /** Waits for a state's word on the site's page. */
  reaches(state: string): Promise<Page>;
}

export interface MooredOptions {
  readonly name?: string;
  /** Files of the folder before connecting; path to content. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly modes?: Readonly<Record<string, number>>;
  readonly project?: Project;
  readonly branch?: string;
  /** A browser that is signed in to Mooring already. */
  readonly clicker?: Clicker;
  /** Who authorises at the practice GitLab; by clicking through its pages, unless it is Ana, whose grant is there. */
  readonly as?: string;
  /** Done with the site before it is connected. */
  readonly before?: (site: { readonly url: string; readonly clicker: Clicker }) => Promise<void>;
}

type Moorable = Pick<Harbour, 'url' | 'sites' | 'gitlab' | 'world' | 'application' | 'admin'>;

/**
 * Makes a folder, adds it as a site and connects it. The instance is configured and authorised by the pages only where
 * that has not been done: pages are clicked through by the tests whose subject they are.
 */
export async function mooredSite(harbour: Moorable, options: MooredOptions = {}): Promise<MooredSite> {
  const { name = 'Harbour', project = harbour.world.website, branch = 'main', as = 'ana' } = options;
  const clicker = options.clicker ?? (await signedIn(harbour));
  await configured(harbour, clicker);
  const folder = await makeFolder(harbour.sites, name.toLowerCase().replace(/\W+/g, '-'), options);
  const { url: settings } = await addSite(harbour, clicker, name, folder);
  await options.before?.({ url: settings.replace('/settings/syncing', ''), clicker });
  const atWarning = as === 'ana' && (await openWarning(clicker, settings, { project, branch }));
  if (!atWarning) await connectTo(harbour, clicker, { project, branch, as });
  await clicker.press('Connect Self Hosted GitLab');
  if (!clicker.page.words.includes(`${name} is connected`)) throw new Error(`not connected: ${clicker.page.words}`);
  return siteHandle(harbour, clicker, { folder, project, branch });
}

/** A browser in which the admin is signed in. */
export async function signedIn({ url, admin }: Pick<Harbour, 'url' | 'admin'>): Promise<Clicker> {
  const clicker = createClicker();
  await clicker.open(`${url}/sign-in`);
  const page = await clicker.press('Sign in', { Name: admin.name, Password: admin.password });
  if (page.heading !== 'Sites') throw new Error(`not signed in: ${page.words}`);
  return clicker;
}

/** Enters the practice GitLab, unless an instance is configured. */
export async function configured({ url, gitlab, application }: Moorable, clicker: Clicker): Promise<void> {
  const page = await clicker.open(`${url}/account/gitlab`);
  if (!page.words.includes('Not configured')) return;
  const after = await clicker.press('Configure Self Hosted GitLab', {
    ...{ 'GitLab URL': gitlab.url, 'Application ID (key)': application.applicationId, Secret: application.secret },
  });
  if (!after.words.includes('Self Hosted GitLab is configured')) throw new Error(`not configured: ${after.words}`);
}

export async function makeFolder(
  sites: string,
  name: string,
  { files = {}, modes = {} }: Pick<MooredOptions, 'files' | 'modes'>,
): Promise<string> {
  const folder = join(sites, name);
  await mkdir(folder, { recursive: true, mode: 0o755 });
  for (const [path, content] of Object.entries(files)) await writeInto(folder, path, content, modes[path]);
  return folder;
}

/** Ends on the site's Source Syncing page. */
export async function addSite(
  { url }: Pick<Harbour, 'url'>,
  clicker: Clicker,
  name: string,
  folder: string,
): Promise<Page> {
  await clicker.open(`${url}/sites/add`);
  return clicker.press('Add site', { Name: name, 'Another folder': true, 'Path of the other folder': folder });
}

/** From Source Syncing to the warning's page; signs in and authorises at GitLab where it asks. */
export async function connectTo(
  { gitlab }: Pick<Harbour, 'gitlab'>,
  clicker: Clicker,
  { project, branch = 'main', as = 'ana' }: { project: Project; branch?: string; as?: string },
): Promise<Page> {
  await authorised({ gitlab }, clicker, as);
  const name = project.path.slice(project.path.lastIndexOf('/') + 1);
  await clicker.press('Search', { 'Search repositories': name });
  await clicker.press('Choose branch', { [project.path]: true });
  // An empty repository has no branch to choose from, only the one to make.
  const fill = clicker.page.words.includes('Branch to create')
    ? { 'Branch to create': branch }
    : { [`Branch of ${project.path}`]: branch };
  return clicker.press('Continue', fill);
}

/** Opens the warning's page itself; false, and back at Source Syncing, where a way has to be clicked first. */
async function openWarning(
  clicker: Clicker,
  settings: string,
  { project, branch }: { project: Project; branch: string },
): Promise<boolean> {
  const question = new URLSearchParams({ project: String(project.id), branch });
  const { html } = await clicker.open(`${settings.replace('/settings/syncing', '')}/confirm?${question}`);
  if (html.includes('name="planId"')) return true;
  await clicker.open(settings);
  return false;
}

/** Presses Connect and ends at the picker, by way of GitLab's sign-in and question where they come. */
export async function authorised({ gitlab }: Pick<Harbour, 'gitlab'>, clicker: Clicker, as = 'ana'): Promise<Page> {
  await clicker.press('Connect');
  if (clicker.page.url.startsWith(`${gitlab.url}/users/sign_in`))
    await clicker.press('Sign in', { 'Username or primary email': as, Password: examplePassword });
  if (clicker.page.words.includes('Authorize Mooring to use your account?')) await clicker.press('Authorize Mooring');
  return clicker.page;
}

function siteHandle(
  { url }: Moorable,
  clicker: Clicker,
  { folder, project, branch }: { folder: string; project: Project; branch: string },
): MooredSite {
  const id = /\/sites\/([^/]+)\//.exec(clicker.page.url)?.[1] ?? '';
  const page = `${url}/sites/${id}`;
  return {
    ...{ id, url: page, folder, project, branch, clicker },
    write: (path, content, mode) => writeInto(folder, path, content, mode),
    async reaches(state) {
      let said = '';
      const isReached = async (): Promise<Page | false> => {
        const now = await clicker.open(page);
        said = `${now.state}: ${now.words.slice(0, 1_000)}`;
        return now.state === state && now;
      };
      return until(`the page says ${state}`, isReached).catch((error: unknown) => {
        throw new Error(`the page never said ${state}, but ${said}`, { cause: error });
      });
    },
    async settled() {
      await until('folder and branch are equal', async () =>
        sameFiles(await filesOf(folder), await project.files(branch)),
      );
      await this.reaches('In sync');
    },
  };
}

async function writeInto(folder: string, path: string, content: string | Buffer, mode?: number): Promise<void> {
  const full = join(folder, path);
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content);
  if (mode !== undefined) await chmod(full, mode);
}

/** Every file below a folder with its bytes; staging folders left out. */
export async function filesOf(folder: string, below = ''): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const entry of await readdir(join(folder, below), { withFileTypes: true })) {
    const path = below ? `${below}/${entry.name}` : entry.name;
    if (entry.name.startsWith('.mooring-') || entry.name === '.git') continue;
    if (entry.isDirectory()) for (const [key, bytes] of await filesOf(folder, path)) found.set(key, bytes);
    else if (entry.isFile()) found.set(path, await readFile(join(folder, path)));
  }
  return found;
}

export function sameFiles(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  return a.size === b.size && [...a].every(([path, bytes]) => b.get(path)?.equals(bytes) ?? false);
}
