/** A small, believable world for `npm run demo` and for tests: two groups, six projects, three people. */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SavedGitLab } from './saved.ts';
import { Level, startGitLab, type GitLab, type GitLabOptions, type Project, type User } from './server.ts';

export interface Example {
  readonly ana: User;
  readonly lena: User;
  /** `harbour/website`: ana owns it, lena maintains it. */
  readonly website: Project;
  /** `parks/gardens-site`: ana is Maintainer. */
  readonly gardens: Project;
  /** `harbour/empty`: nothing pushed yet. */
  readonly empty: Project;
  /** `harbour/old-timetable`: archived. */
  readonly archived: Project;
  /** `parks/annual-report`: ana is only Reporter, so she can read but not push. */
  readonly reported: Project;
  /** `lena/notes`: ana cannot see it. */
  readonly hidden: Project;
}

/** Everybody's password in the example. */
export const examplePassword = 'practice-gitlab';

/**
 * A practice GitLab with the example in it: built once in each process, and copied from then on. `another`: one that has
 * nothing to do with the first, though its projects have the same numbers and paths.
 */
export async function startExample(
  options: GitLabOptions,
  which: 'copy' | 'another' = 'copy',
): Promise<{ gitlab: GitLab; world: Example }> {
  if (which === 'another') {
    const other = await startGitLab(options);
    return { gitlab: other, world: await exampleWorld(other) };
  }
  template ??= buildTemplate();
  const { dir, saved } = await template;
  const gitlab = await startGitLab({ ...options, saved, from: dir });
  const user = (username: string): User => gitlab.users.get(username);
  const project = (path: string): Project => gitlab.projects.get(path);
  return {
    gitlab,
    world: {
      ...{ ana: user('ana'), lena: user('lena'), website: project('harbour/website') },
      ...{ gardens: project('parks/gardens-site'), empty: project('harbour/empty') },
      ...{ archived: project('harbour/old-timetable'), reported: project('parks/annual-report') },
      hidden: project('lena/notes'),
    },
  };
}

let template: Promise<{ dir: string; saved: SavedGitLab }> | undefined;

async function buildTemplate(): Promise<{ dir: string; saved: SavedGitLab }> {
  const dir = await mkdtemp(join(tmpdir(), 'practice-example-'));
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }));
  const gitlab = await startGitLab({ dataDir: dir });
  await exampleWorld(gitlab);
  await gitlab.quiet();
  const saved = gitlab.save(gitlab.projects.all());
  await gitlab.stop();
  return { dir, saved };
}

export async function exampleWorld(gitlab: GitLab): Promise<Example> {
  const ana = gitlab.users.add({
    username: 'ana',
    name: 'Ana Petrović',
    email: 'ana@harbour.example',
    password: examplePassword,
  });
  const lena = gitlab.users.add({
    username: 'lena',
    name: 'Lena Vogt',
    email: 'lena@harbour.example',
    password: examplePassword,
  });
  const piet = gitlab.users.add({
    username: 'piet',
    name: 'Piet de Boer',
    email: 'piet@parks.example',
    password: examplePassword,
  });
  gitlab.groups.add({ path: 'harbour', name: 'Harbour Office', owner: ana });
  gitlab.groups.add({ path: 'parks', name: 'City Parks', owner: piet });

  const website = await gitlab.projects.create({
    path: 'harbour/website',
    owner: ana,
    name: 'Website',
    description: 'The public site of the harbour office',
    files: websiteFiles,
  });
  await website.push(
    'main',
    { 'content/posts/2026-03-spring-opening.md': springOpening },
    { message: 'Announce the spring opening', user: lena },
  );
  gitlab.projects.addMember(website, lena, Level.maintainer);

  const gardens = await gitlab.projects.create({
    path: 'parks/gardens-site',
    owner: piet,
    name: 'Gardens site',
    description: 'Opening hours and news of the three city gardens',
    files: gardensFiles,
  });
  gitlab.projects.addMember(gardens, ana, Level.maintainer);

  const empty = await gitlab.projects.create({
    path: 'harbour/empty',
    owner: ana,
    name: 'Empty',
    description: 'For a site to come',
  });

  const archived = await gitlab.projects.create({
    path: 'harbour/old-timetable',
    owner: ana,
    name: 'Old timetable',
    description: 'Ferry times until 2024, kept for reference',
    files: { 'index.html': page('Timetable 2024', '<p>The ferry leaves at 8:15, 12:00 and 17:45.</p>') },
  });
  archived.archive();

  const reported = await gitlab.projects.create({
    path: 'parks/annual-report',
    owner: piet,
    name: 'Annual report',
    files: { 'README.md': '# Annual report\n\nDraft for the council.\n' },
  });
  gitlab.projects.addMember(reported, ana, Level.reporter);

  const hidden = await gitlab.projects.create({
    path: 'lena/notes',
    owner: lena,
    files: { 'todo.md': '- paint the buoys\n' },
  });
  return { ana, lena, website, gardens, empty, archived, reported, hidden };
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>${title}</title>
    <link rel="stylesheet" href="css/site.css">
  </head>
  <body>
    <h1>${title}</h1>
    ${body}
  </body>
</html>
`;
}

const drawing = (colour: string, shape: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" fill="none" stroke="${colour}" stroke-width="4">${shape}</svg>\n`;

const springOpening = `---
title: The harbour opens for the season
date: 2026-03-28
---

From 28 March the guest moorings are open again, daily from 8 to 20 o'clock.
The fuel berth follows a week later.
`;

const websiteFiles: Record<string, string> = {
  '.gitignore': '# built pages and editor leftovers\n_build/\n*.swp\n.DS_Store\n',
  'index.html': page(
    'Harbour Office',
    '<p><img src="images/anchor.svg" alt="" width="64"> Moorings, tides and news from the old harbour.</p>\n    <p><a href="about.md">About us</a></p>',
  ),
  'about.md':
    '# About us\n\nWe look after 140 moorings, two cranes and one very old lighthouse.\n\nOffice hours: Monday to Friday, 9 to 16.\n',
  'css/site.css':
    'body {\n  max-width: 42rem;\n  margin: 2rem auto;\n  font-family: Georgia, serif;\n}\n\nh1 {\n  color: #1f4e5f;\n}\n',
  'content/posts/2026-01-ice-on-the-quay.md':
    '---\ntitle: Ice on the quay\ndate: 2026-01-12\n---\n\nPlease use the north stairs until the quay is clear.\n',
  'content/posts/2026-02-new-crane.md':
    '---\ntitle: The new crane is here\ndate: 2026-02-19\n---\n\nIt lifts twelve tonnes. Bookings at the office.\n',
  'images/anchor.svg': drawing(
    '#1f4e5f',
    '<circle cx="32" cy="12" r="6"/><path d="M32 18v38M12 40c2 12 12 16 20 16s18-4 20-16"/>',
  ),
  'images/lighthouse.svg': drawing('#8a3324', '<path d="M26 58l4-36h4l4 36zM26 22h12l-6-10z"/>'),
};

const gardensFiles: Record<string, string> = {
  'index.html': page(
    'City gardens',
    '<p>The rose garden, the herb garden and the orchard are open from dawn to dusk.</p>',
  ),
  'opening-hours.md':
    '# Opening hours\n\n| Garden | Summer | Winter |\n| --- | --- | --- |\n| Roses | 7-21 | 8-17 |\n| Herbs | 8-20 | closed |\n',
  'css/site.css': 'body {\n  margin: 2rem;\n  color: #24381f;\n}\n',
};
