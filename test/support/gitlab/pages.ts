/** The small human face of the practice GitLab: enough to click through what the daemon needs from a real one. */
import Router from '@koa/router';
import type Koa from 'koa';
import type { Context } from 'koa';
import { readFileSync } from 'node:fs';
import { canSee, memberLevel } from './access.ts';
import { createProject } from './actions.ts';
import { html } from './html.ts';
import { fullPath, Level, namespaceByPath, projectByPath, userByName, type User, type World } from './model.ts';
import { basePath, csrfField, formIsOurs, requireUser, sendPage, sessionOf, startSession } from './page-frame.ts';
import { addProjectPages } from './pages-project.ts';
import { addApplications, addNetworkSetting } from './pages-settings.ts';
import type { Practice } from './practice.ts';
import { input, textOf } from './rest-call.ts';

const css = readFileSync(new URL('./practice.css', import.meta.url));

export function addPages(app: Koa, practice: Practice): void {
  const { world } = practice;
  const router = new Router();
  router.get('/-/practice.css', (ctx) => {
    ctx.type = 'css';
    ctx.body = css;
  });
  addSignIn(router, world);
  addProjectList(router, practice);
  addApplications(router, world);
  addNetworkSetting(router, world);
  app.use(router.routes());
  // Last, because a project's path can be anything.
  addProjectPages(app, practice);
  app.use((ctx) => {
    if (ctx.body !== undefined || ctx.status !== 404) return;
    sendPage(world, ctx, 'Page not found', html`<p>There is no such page, or you may not see it.</p>`);
    ctx.status = 404;
  });
}

function addSignIn(router: Router, world: World): void {
  const show = (ctx: Context, problem?: string): void => {
    const session = sessionOf(world, ctx);
    sendPage(
      world,
      ctx,
      'Sign in',
      html`<section>
        ${problem === undefined ? '' : html`<p class="problem" role="alert">${problem}</p>`}
        <form method="post" action="${basePath(world)}/users/sign_in">
          ${csrfField(session)}
          <label for="user_login">Username or primary email</label>
          <input id="user_login" name="login" autocomplete="username" required />
          <label for="user_password">Password</label>
          <input id="user_password" name="password" type="password" autocomplete="current-password" required />
          <button>Sign in</button>
        </form>
      </section>`,
    );
  };
  router.get('/users/sign_in', (ctx) => show(ctx));
  router.post('/users/sign_in', (ctx) => {
    const before = sessionOf(world, ctx);
    if (!formIsOurs(world, ctx, before)) return;
    const login = textOf(input(ctx), 'login') ?? '';
    const user = userByName(world, login) ?? world.users.find(({ email }) => email === login);
    if (!user || user.password !== textOf(input(ctx), 'password')) return show(ctx, 'Invalid login or password.');
    if (user.blocked) return show(ctx, 'Your account has been blocked.');
    world.sessions.delete(before.id);
    startSession(world, ctx, user);
    ctx.redirect(basePath(world) + (before.returnTo ?? '/'));
  });
  router.post('/users/sign_out', (ctx) => {
    const session = sessionOf(world, ctx);
    if (!formIsOurs(world, ctx, session)) return;
    world.sessions.delete(session.id);
    startSession(world, ctx, undefined);
    ctx.redirect(`${basePath(world)}/users/sign_in`);
  });
}

function addProjectList(router: Router, practice: Practice): void {
  const { world } = practice;
  const base = (): string => basePath(world);

  router.get('/', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn) return;
    const seen = world.projects.filter((project) => canSee(world, signedIn.user, project));
    const rows = seen.map((project) => {
      const state = project.archived ? 'archived' : project.empty ? 'empty' : project.visibility;
      return html`<tr>
        <td><a href="${base()}/${fullPath(project)}">${fullPath(project)}</a></td>
        <td>${roleName(memberLevel(world, signedIn.user, project))}</td>
        <td><span class="tag">${state}</span></td>
        <td>${project.description ?? ''}</td>
      </tr>`;
    });
    const table = html`<table>
      <thead>
        <tr>
          <th>Project</th>
          <th>Your role</th>
          <th>State</th>
          <th>Description</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>`;
    sendPage(world, ctx, 'Projects', html`<section>${rows.length === 0 ? 'No projects yet.' : table}</section>`);
  });

  const showNew = (ctx: Context, user: User, problem?: string): void => {
    const spaces = world.namespaces.filter(({ members }) => (members.get(user.id) ?? 0) >= Level.developer);
    const options = spaces.map(({ path }) => html`<option value="${path}">${path}</option>`);
    sendPage(
      world,
      ctx,
      'New project',
      html`<section>
        ${problem === undefined ? '' : html`<p class="problem" role="alert">${problem}</p>`}
        <form method="post" action="${base()}/projects">
          ${csrfField(sessionOf(world, ctx))}
          <label for="name">Project name</label>
          <input id="name" name="name" required />
          <label for="namespace">Group or user</label>
          <select id="namespace" name="namespace">
            ${options}
          </select>
          <label class="choice"
            ><input type="checkbox" name="readme" value="1" checked /> Initialize repository with a README</label
          >
          <p class="hint">Without it the repository stays empty until somebody pushes.</p>
          <button>Create project</button>
        </form>
      </section>`,
    );
  };
  router.get('/projects/new', (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (signedIn) showNew(ctx, signedIn.user);
  });
  router.post('/projects', async (ctx) => {
    const signedIn = requireUser(world, ctx);
    if (!signedIn || !formIsOurs(world, ctx, signedIn.session)) return;
    const given = input(ctx);
    const name = (textOf(given, 'name') ?? '').trim();
    const path = name
      .toLowerCase()
      .replace(/[^a-z0-9_.-]+/g, '-')
      .replace(/^-+|-+$/g, '');
    const namespace = namespaceByPath(world, textOf(given, 'namespace') ?? '');
    const allowed = namespace && (namespace.members.get(signedIn.user.id) ?? 0) >= Level.developer;
    if (path === '' || !allowed) return showNew(ctx, signedIn.user, 'A name and a group of yours are needed.');
    if (projectByPath(world, `${namespace.path}/${path}`))
      return showNew(ctx, signedIn.user, 'That name has already been taken.');
    const project = await createProject(practice, {
      ...{
        namespace,
        path,
        name,
        creator: signedIn.user,
        description: null,
        visibility: 'private',
        defaultBranch: 'main',
      },
      files: textOf(given, 'readme') ? { 'README.md': `# ${name}\n` } : undefined,
    });
    ctx.redirect(`${base()}/${fullPath(project)}`);
  });
}

const roleName = (level: number): string =>
  ({ 0: 'none', 10: 'Guest', 20: 'Reporter', 30: 'Developer', 40: 'Maintainer', 50: 'Owner' })[level] ?? String(level);
