import { asProblem } from '../model/problem.ts';
import {
  type SettingsChange,
  type SettingsDocument,
  documentPathOf,
  formsOf,
  settingsView,
} from '../model/settings-document.ts';
import { type Site, type SiteId, defaultSettings } from '../model/site.ts';
import { compareSource } from './compare-source.ts';
import { type Comparison, fault, formFaults, problemWords, someAtATime, step } from './comparison.ts';
import type { DeclaredSite } from './shape.ts';

/** Adds the sites that are missing, and gives the others the name and the settings that are declared. */
export async function compareSites(c: Comparison): Promise<void> {
  const { sites } = c.read.declaration;
  const found = new Map<number, Site>();
  for (const [index, { folder }] of sites.entries()) {
    const site = await siteIn(c, folder);
    if (!c.read.isHere(index)) {
      if (site) c.notes.push(leftBehind(site));
      continue;
    }
    if (!site) continue;
    const other = [...found].find(([, one]) => one.id === site.id)?.[0];
    if (other !== undefined) fault(c, ['sites', index, 'folder'], `This is the folder of sites[${other}] too.`);
    found.set(index, site);
    c.siteIds.set(index, site.id);
  }
  const places: string[] = [];
  for (const [index, wanted] of sites.entries()) {
    if (!c.read.isHere(index)) continue;
    nameFault(c, index, wanted, found);
    const site = found.get(index);
    if (site) compareSettings(c, index, wanted, site);
    else places.push(...(await addSite(c, index, wanted, places)));
  }
}

const leftBehind = ({ name }: Site): string =>
  `The site ${name} belongs to another shard by its labels, and is still here. Disconnect and remove it here before the other shard adds it.`;

/** First connects, other branches and other connections; after the connections are known. */
export async function compareSources(c: Comparison): Promise<void> {
  const indexes = [...c.read.declaration.sites.keys()].filter((index) => c.read.isHere(index));
  await someAtATime(indexes, (index) => compareSource(c, index));
  // Which of several came first depends on GitLab; the file's order does not.
  for (const list of [c.steps, c.connects]) list.sort((a, b) => order(a.change.path) - order(b.change.path));
}

/** The order in which things rely on one another; within one kind the order stays. */
function order(path: string): number {
  const kinds = ['instance', 'sites', 'accounts', 'connections'];
  if (/^sites\[\d+\]\.source/.test(path)) return kinds.length + Number(/\d+/.exec(path)?.[0] ?? 0);
  const at = kinds.findIndex((kind) => path.startsWith(kind));
  return at < 0 ? Infinity : at;
}

/** The site that lies in this folder. The path as it is comes first: a folder need not be there just now. */
async function siteIn({ world }: Comparison, folder: string): Promise<Site | undefined> {
  const plain = folder.replace(/(?<=.)\/+$/, '');
  const all = world.store.sites.all();
  const exact = all.find((site) => site.folder === plain);
  if (exact) return exact;
  const real = await world.realFolder(plain);
  return all.find((site) => site.folder === real);
}

/** A name that another site has is free once that site has another one: in the next version of the file. */
function nameFault(c: Comparison, index: number, wanted: DeclaredSite, found: ReadonlyMap<number, Site>): void {
  const name = wanted.name.trim();
  const rival = c.world.store.sites.all().find((site) => site.name === name && site.id !== found.get(index)?.id);
  if (!rival) return;
  const text = `The site in ${rival.folder} has this name. A site’s folder cannot change: disconnect and remove that site first, or choose another name.`;
  fault(c, ['sites', index, 'name'], text);
}

/** Gives the folder that the new site takes. */
async function addSite(
  c: Comparison,
  index: number,
  wanted: DeclaredSite,
  taken: readonly string[],
): Promise<string[]> {
  const path = ['sites', index] as const;
  let folder: string;
  try {
    folder = await c.world.folders.checkFolder(wanted.folder);
  } catch (error) {
    fault(c, [...path, 'folder'], folderWords(error));
    return [];
  }
  const near = taken.find((other) => `${folder}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${folder}/`));
  if (near !== undefined) {
    fault(
      c,
      [...path, 'folder'],
      `This folder and ${near}, which another site of this file uses, lie within each other.`,
    );
    return [];
  }
  const forms = checkedForms(c, index, { ...newSite, name: wanted.name, folder }, documentOf(wanted));
  step(c, path, `Add the site ${wanted.name} in ${folder}.`, async (by) => {
    const { id } = await c.world.actions.sites.add({ name: wanted.name, folder }, by);
    c.siteIds.set(index, id);
    if (forms.length > 0) await c.world.actions.settings.saveAll(id, forms, by);
  });
  return [folder];
}

const newSite: Site = {
  id: '' as SiteId,
  name: '',
  folder: '',
  createdAt: 0,
  paused: false,
  settings: defaultSettings,
};

function folderWords(error: unknown): string {
  const { code, facts } = asProblem(error);
  return code === 'folder-invalid' && facts['hint'] !== undefined ? facts['hint'] : problemWords(error);
}

function compareSettings(c: Comparison, index: number, wanted: DeclaredSite, site: Site): void {
  const path = ['sites', index] as const;
  const forms = checkedForms(c, index, site, documentOf(wanted));
  if (forms.length === 0) return;
  const texts = differences(settingsView(site), settingsView(c.world.actions.settings.read(site, forms)));
  step(c, path, `Change ${site.name}: ${texts.join('; ')}.`, async (by) => {
    await c.world.actions.settings.saveAll(site.id, forms, by);
  });
}

/** What the file leaves out has its default. */
function documentOf({ name, settings = {} }: DeclaredSite): SettingsDocument {
  const document = settingsView({ name: name.trim(), settings: defaultSettings });
  for (const [section, members] of Object.entries(settings))
    if (members) Object.assign(document[section as 'files'], withoutUndefined(members));
  return document;
}

function withoutUndefined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

type Forms = ReturnType<typeof formsOf>;

/** The pages whose settings differ, checked as saving would check them; none where nothing differs, or all is wrong. */
function checkedForms(c: Comparison, index: number, site: Site, wanted: SettingsDocument): Forms {
  const now = settingsView(site);
  if (JSON.stringify(now) === JSON.stringify(wanted)) return [];
  const { settings } = c.world.actions;
  try {
    const forms = formsOf(now, changeBetween(now, wanted));
    // As it would be stored: what only looks different is no change.
    const change = changeBetween(now, settingsView({ ...site, ...settings.read(site, forms) }));
    return formsOf(now, change);
  } catch (error) {
    const memberOf = (field: string) => (field === 'name' ? ['name'] : ['settings', ...(documentPathOf[field] ?? [])]);
    formFaults(c, error, ['sites', index], memberOf);
    return [];
  }
}

function changeBetween(now: SettingsDocument, wanted: SettingsDocument): SettingsChange {
  const names = Object.keys(wanted) as (keyof SettingsDocument)[];
  const differing = names.filter((name) => JSON.stringify(now[name]) !== JSON.stringify(wanted[name]));
  return Object.fromEntries(differing.map((name) => [name, wanted[name]]));
}

/** `schedule.poll from "* * * * *" to "0 * * * *"`. */
function differences(now: SettingsDocument, wanted: SettingsDocument): string[] {
  const flat = (document: SettingsDocument): Map<string, string> =>
    new Map(
      Object.entries(document).flatMap(([section, value]) =>
        typeof value === 'object'
          ? Object.entries(value).map(([name, one]): [string, string] => [`${section}.${name}`, JSON.stringify(one)])
          : [[section, JSON.stringify(value)] as [string, string]],
      ),
    );
  const before = flat(now);
  return [...flat(wanted)]
    .filter(([name, value]) => before.get(name) !== value)
    .map(([name, value]) => `${name} from ${before.get(name)} to ${value}`);
}
