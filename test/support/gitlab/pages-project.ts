/** A project's pages: files, commits, one file, one commit, and the form that pushes a change. */
import type Koa from 'koa';
import type { Context } from 'koa';
import { canPushTo, canReadCode, canSee, level } from './access.ts';
import { serverPush } from './actions.ts';
import { html, type Html } from './html.ts';
import { cloneUrls, fullPath, Level, projectByPath, projectMovedFrom } from './model.ts';
import type { ProjectRecord, Session, User } from './model.ts';
import { basePath, csrfField, decodedPath, formIsOurs, requireUser, sendPage } from './page-frame.ts';
import { addHook, hooksPage } from './pages-hooks.ts';
import type { Practice } from './practice.ts';
import { branchNames, commits, readFiles, resolve } from './repository.ts';
import { input, textOf } from './rest-call.ts';

export interface Visit {
  readonly ctx: Context;
  readonly user: User;
  readonly session: Session;
  readonly project: ProjectRecord;
  /** The project's address, for links and forms. */
  readonly at: string;
}

export function addProjectPages(app: Koa, practice: Practice): void {
  const { world } = practice;
  app.use(async (ctx, next) => {
    const [path = '', rest = ''] = decodedPath(ctx)
      .slice(1)
      .split(/\/-\/(.*)/s);
    const plain = path.replace(/\.git$|\/$/, '');
    const moved = projectMovedFrom(world, plain);
    const project = projectByPath(world, plain) ?? moved;
    if (!project) return next();
    const signedIn = requireUser(world, ctx);
    if (!signedIn) return;
    if (!canSee(world, signedIn.user, project)) return next();
    const at = `${basePath(world)}/${fullPath(project)}`;
    if (moved) return ctx.redirect(at);
    const visit: Visit = { ctx, ...signedIn, project, at };
    const [page = '', ...more] = rest.split('/');
    const argument = more.join('/');
    const post = ctx.method === 'POST';
    if (post && !formIsOurs(world, ctx, signedIn.session)) return;
    if (page === 'push' && post) return pushForm(practice, visit);
    if (page === 'hooks' && level(world, signedIn.user, project) >= Level.maintainer) {
      return post ? addHook(practice, visit) : hooksPage(practice, visit);
    }
    if (post) return next();
    if (page === '' || page === 'tree') return projectPage(practice, visit, argument || project.defaultBranch);
    if (page === 'blob') return (await blobPage(practice, visit, argument)) ? undefined : next();
    if (page === 'commit') return (await commitPage(practice, visit, argument)) ? undefined : next();
    return next();
  });
}

async function projectPage(practice: Practice, visit: Visit, branch: string): Promise<void> {
  const { world, git } = practice;
  const { ctx, user, project, at } = visit;
  const readable = canReadCode(world, user, project);
  const head = readable ? await resolve(git, project.repoPath, `refs/heads/${branch}`) : undefined;
  const files = head ? [...(await readFiles(git, project.repoPath, head))] : [];
  const history = head ? await commits(git, project.repoPath, ['-n', '20', head]) : [];
  const branches = readable ? await branchNames(git, project.repoPath) : [];
  const { http } = cloneUrls(world, project);
  const links = branches.map((name) => html`<a href="${at}/-/tree/${name}">${name}</a> `);
  const hooksLink =
    level(world, user, project) >= Level.maintainer ? html`<p><a href="${at}/-/hooks">Webhooks</a></p>` : undefined;
  const fileRows = files.map(
    ([path, bytes]) =>
      html`<tr>
        <td><a href="${at}/-/blob/${branch}/${encodeURI(path)}">${path}</a></td>
        <td>${bytes.length} bytes</td>
        <td><a href="${at}?edit=${encodeURIComponent(path)}#push">Edit</a></td>
      </tr>`,
  );
  const commitRows = history.map(
    (commit) =>
      html`<tr>
        <td>
          <a href="${at}/-/commit/${commit.id}"><code>${commit.id.slice(0, 8)}</code></a>
        </td>
        <td>${commit.message.split('\n', 1)[0]}</td>
        <td>${commit.authorName}</td>
        <td>${commit.committedAt}</td>
      </tr>`,
  );
  sendPage(
    world,
    ctx,
    fullPath(project),
    html`<section>
        <p>
          ${project.description ?? ''}
          <span class="tag">${project.visibility}</span>
          ${project.archived ? html`<span class="tag">archived</span>` : ''}
        </p>
        <label for="clone">Clone with HTTPS</label>
        <input id="clone" value="${http}" readonly />
        <p>Branch <strong>${branch}</strong>. All branches: ${links.length === 0 ? 'none' : links}</p>
        ${hooksLink}
      </section>
      <section>
        <h2>Files</h2>
        ${
          files.length === 0
            ? 'The repository for this project is empty.'
            : html`<table>
                <tbody>
                  ${fileRows}
                </tbody>
              </table>`
        }
      </section>
      ${canPushTo(world, user, project, branch) ? pushSection(visit, branch, files) : undefined}
      <section>
        <h2>Commits</h2>
        ${
          history.length === 0
            ? 'None yet.'
            : html`<table>
                <tbody>
                  ${commitRows}
                </tbody>
              </table>`
        }
      </section>`,
  );
}

/** Prefilled, so that one click makes a change that can be seen on the site. */
function pushSection({ ctx, session, at }: Visit, branch: string, files: readonly [string, Buffer][]): Html {
  const wanted = typeof ctx.query['edit'] === 'string' ? ctx.query['edit'] : undefined;
  const isText = ([, bytes]: readonly [string, Buffer]): boolean => !bytes.includes(0);
  const file =
    files.find(([path]) => path === wanted) ??
    files.find(([path]) => path === 'index.html') ??
    files.find(([path]) => path === 'README.md') ??
    files.find(isText);
  const path = file?.[0] ?? 'index.html';
  const text =
    file && isText(file) ? file[1].toString() : '<!doctype html>\n<title>Hello</title>\n<p>Hello from GitLab.</p>\n';
  const stamp = new Date().toISOString().slice(0, 19).replace('T', ' ');
  const edited =
    path.endsWith('.html') && file
      ? text.replace(/(\n?<\/body>|$)/, `\n<p>Changed in GitLab at ${stamp}.</p>$1`)
      : text;
  return html`<section id="push">
    <h2>Push a change</h2>
    <form method="post" action="${at}/-/push">
      ${csrfField(session)}
      <input type="hidden" name="branch" value="${branch}" />
      <label for="path">Path</label>
      <input id="path" name="path" value="${path}" required />
      <label for="content">Content</label>
      <textarea id="content" name="content" rows="12">${edited}</textarea>
      <label for="message">Commit message</label>
      <input id="message" name="message" value="Update ${path}" required />
      <div class="row">
        <button name="action" value="commit">Commit changes</button>
        <button class="second" name="action" value="delete">Delete this file</button>
      </div>
    </form>
  </section>`;
}

async function pushForm(practice: Practice, { ctx, user, session, project, at }: Visit): Promise<void> {
  const given = input(ctx);
  const branch = textOf(given, 'branch') ?? project.defaultBranch;
  const path = (textOf(given, 'path') ?? '').replace(/^\/+/, '');
  if (
    !canPushTo(practice.world, user, project, branch) ||
    path === '' ||
    path.split('/').some((part) => /^(\.git|\.\.?|)$/i.test(part))
  ) {
    session.notice = 'That change was not accepted.';
    return ctx.redirect(at);
  }
  // Browsers send line ends as CRLF.
  const content = textOf(given, 'action') === 'delete' ? null : (textOf(given, 'content') ?? '').replace(/\r\n/g, '\n');
  const message = textOf(given, 'message') || `Update ${path}`;
  const id = await serverPush(practice, project, { branch, changes: { [path]: content }, message, user });
  session.notice = `Your change is commit ${id.slice(0, 8)}.`;
  ctx.redirect(branch === project.defaultBranch ? at : `${at}/-/tree/${branch}`);
}

/** Gives false when there is no such file. */
async function blobPage({ world, git }: Practice, { ctx, user, project }: Visit, argument: string): Promise<boolean> {
  if (!canReadCode(world, user, project)) return false;
  const branches = await branchNames(git, project.repoPath);
  const branch = branches.find((name) => argument.startsWith(`${name}/`));
  if (branch === undefined) return false;
  const path = argument.slice(branch.length + 1);
  const bytes = (await readFiles(git, project.repoPath, `refs/heads/${branch}`)).get(path);
  if (!bytes) return false;
  const shown = bytes.includes(0)
    ? html`<p>${bytes.length} bytes, not text.</p>`
    : html`<pre>${bytes.toString()}</pre>`;
  sendPage(world, ctx, path, html`<section>${shown}</section>`);
  return true;
}

async function commitPage({ world, git }: Practice, { ctx, user, project }: Visit, id: string): Promise<boolean> {
  if (!canReadCode(world, user, project) || !/^[0-9a-f]{7,40}$/.test(id)) return false;
  const found = await resolve(git, project.repoPath, id);
  const [commit] = found ? await commits(git, project.repoPath, ['-n', '1', found]) : [];
  if (!commit) return false;
  const diff = await git.text(project.repoPath, ['show', '--format=', '--stat', '--patch', commit.id]);
  sendPage(
    world,
    ctx,
    commit.message.split('\n', 1)[0] ?? commit.id,
    html`<section>
        <p><code>${commit.id}</code><br />${commit.authorName} &lt;${commit.authorEmail}&gt;, ${commit.authoredAt}</p>
        <pre>${commit.message}</pre>
      </section>
      <section><pre>${diff}</pre></section>`,
  );
  return true;
}
