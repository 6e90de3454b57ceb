/** Branches, commits, comparison, and a minimal merge request. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { canPushTo, canReadCode, wildcard } from './access.ts';
import { branchHead, branchNames, commits, resolve, zeros, type Commit } from './repository.ts';
import { Level, webUrl, type MergeRequest, type ProjectRecord, type User } from './model.ts';
import type { Practice } from './practice.ts';
import { flagOf, input, notFound, paginate, param, projectOf, refuse, requireLevel } from './rest-call.ts';
import { RestError, send, signedIn, textOf, visitor } from './rest-call.ts';
import { branchEntity, commitEntity, mergeRequestEntity } from './rest-entities.ts';
import { protectedBranchEntity, pushRuleEntity } from './rest-entities.ts';

export function addRepositoryRoutes(router: Router, practice: Practice): void {
  const { world, git } = practice;

  const readable = (ctx: Context): { user: User | undefined; project: ProjectRecord } => {
    const user = visitor(practice, ctx);
    const project = projectOf(practice, ctx, user);
    // A private project's code is hidden from Guests; anonymous callers are told to sign in.
    if (!canReadCode(world, user, project)) throw user ? refuse(403) : refuse(401);
    return { user, project };
  };

  const branch = async (project: ProjectRecord, name: string, viewer: User | undefined): Promise<object> => {
    const [commit] = await commits(git, project.repoPath, ['-n', '1', `refs/heads/${name}`]);
    if (!commit) throw notFound('Branch');
    const merged = name !== project.defaultBranch && (await isMerged(practice, project, commit.id));
    return branchEntity(world, project, { name, commit, merged }, viewer);
  };

  router.get('/projects/:id/repository/branches', async (ctx) => {
    const { user, project } = readable(ctx);
    const given = input(ctx);
    const [search, regex] = [textOf(given, 'search'), textOf(given, 'regex')];
    const all = (await branchNames(git, project.repoPath)).toSorted();
    const names = all.filter((name) => searched(name, search) && (regex === undefined || new RegExp(regex).test(name)));
    const page = paginate(practice, ctx, names);
    send(practice, ctx, 'branches', await Promise.all(page.map((name) => branch(project, name, user))));
  });

  router.get('/projects/:id/repository/branches/:branch', async (ctx) => {
    const { user, project } = readable(ctx);
    const name = param(ctx, 'branch');
    if (!(await branchHead(git, project.repoPath, name))) throw notFound('Branch');
    send(practice, ctx, 'branch', await branch(project, name, user));
  });

  router.post('/projects/:id/repository/branches', async (ctx) => {
    const user = signedIn(practice, ctx, 'write');
    const project = projectOf(practice, ctx, user);
    requireLevel(practice, user, project, Level.developer);
    const given = input(ctx);
    const [name, ref] = [textOf(given, 'branch'), textOf(given, 'ref')];
    if (name === undefined || ref === undefined)
      throw new RestError(400, { error: `${name === undefined ? 'branch' : 'ref'} is missing` });
    if (await branchHead(git, project.repoPath, name)) throw new RestError(400, { message: 'Branch already exists' });
    const from = await resolve(git, project.repoPath, ref);
    if (!from) throw new RestError(400, { message: `Invalid reference name: ${ref}` });
    if (!canPushTo(world, user, project, name)) throw refuse(403);
    await git.text(project.repoPath, ['update-ref', `refs/heads/${name}`, from]);
    const refs = [{ before: zeros, after: from, ref: `refs/heads/${name}` }];
    await practice.afterReceive({ project, user, refs, pushOptions: [] });
    send(practice, ctx, 'branch', await branch(project, name, user), 201);
  });

  router.get('/projects/:id/repository/commits', async (ctx) => {
    const { project } = readable(ctx);
    const given = input(ctx);
    const ref = textOf(given, 'ref_name') ?? project.defaultBranch;
    const path = textOf(given, 'path');
    const [since, until] = [textOf(given, 'since'), textOf(given, 'until')];
    const from = await resolve(git, project.repoPath, ref);
    if (!from && project.empty) throw notFound('Repository');
    if (!from) throw notFound('Commit');
    const found = await commits(git, project.repoPath, [
      ...(since === undefined ? [] : [`--since=${since}`]),
      ...(until === undefined ? [] : [`--until=${until}`]),
      ...[from, '--', ...(path === undefined ? [] : [path])],
    ]);
    const page = paginate(practice, ctx, found);
    // GitLab never counts commits here.
    for (const header of ['X-Total', 'X-Total-Pages']) ctx.remove(header);
    send(
      practice,
      ctx,
      'commits',
      page.map((commit) => commitEntity(world, project, commit)),
    );
  });

  router.get('/projects/:id/repository/commits/:sha', async (ctx) => {
    const { project } = readable(ctx);
    const id = await resolve(git, project.repoPath, param(ctx, 'sha'));
    const [commit] = id ? await commits(git, project.repoPath, ['-n', '1', id]) : [];
    if (!commit) throw notFound('Commit');
    const withStats = flagOf(input(ctx), 'stats') !== false;
    send(practice, ctx, 'commit/detail', {
      ...commitEntity(world, project, commit),
      ...(withStats ? { stats: await statsOf(practice, project, commit) } : {}),
      status: null,
      project_id: project.id,
      last_pipeline: null,
    });
  });

  router.get('/projects/:id/repository/compare', async (ctx) => {
    const { project } = readable(ctx);
    const given = input(ctx);
    const [fromName, toName] = [textOf(given, 'from') ?? '', textOf(given, 'to') ?? ''];
    const [from, to] = [await resolve(git, project.repoPath, fromName), await resolve(git, project.repoPath, toName)];
    if (!from || !to) throw notFound('Ref');
    const list = (await commits(git, project.repoPath, ['--reverse', `${from}..${to}`])).map((commit) =>
      commitEntity(world, project, commit),
    );
    const dots = flagOf(given, 'straight') ? '..' : '...';
    const names = await git.text(project.repoPath, [
      'diff',
      '--no-renames',
      '--name-status',
      '-z',
      `${from}${dots}${to}`,
    ]);
    send(
      practice,
      ctx,
      { shapeFrom: 'payloads/rest/compare.json' },
      {
        commit: list.at(-1) ?? null,
        commits: list,
        diffs: diffs(names),
        compare_timeout: false,
        compare_same_ref: from === to,
        web_url: `${webUrl(world, project)}/-/compare/${from}...${to}`,
      },
    );
  });

  addRuleRoutes(router, practice);
  addMergeRequestRoutes(router, practice, readable);
}

/** What people set under Settings / Repository: told to those who may set it. */
function addRuleRoutes(router: Router, practice: Practice): void {
  const asked = (ctx: Context): ProjectRecord => {
    const user = signedIn(practice, ctx, 'read');
    const project = projectOf(practice, ctx, user);
    requireLevel(practice, user, project, Level.maintainer);
    return project;
  };

  router.get('/projects/:id/protected_branches', (ctx) => {
    const rules = paginate(practice, ctx, asked(ctx).protectedBranches);
    const shape = { shapeFrom: 'doc/api/protected_branches.md' };
    send(
      practice,
      ctx,
      shape,
      rules.map((rule, at) => protectedBranchEntity(rule, at + 1)),
    );
  });

  router.get('/projects/:id/push_rule', (ctx) => {
    const project = asked(ctx);
    if (!project.pushRule) throw new RestError(404, { message: '404 Not found' });
    send(practice, ctx, { shapeFrom: 'doc/api/project_push_rules.md' }, pushRuleEntity(project, project.pushRule));
  });
}

function addMergeRequestRoutes(
  router: Router,
  practice: Practice,
  readable: (ctx: Context) => { project: ProjectRecord },
): void {
  const { world, git } = practice;
  const shape = { shapeFrom: 'doc/api/merge_requests.md' };

  router.get('/projects/:id/merge_requests', (ctx) => {
    const { project } = readable(ctx);
    const given = input(ctx);
    const [source, target] = [textOf(given, 'source_branch'), textOf(given, 'target_branch')];
    const found = project.mergeRequests.filter(
      ({ sourceBranch, targetBranch }) =>
        (source ?? sourceBranch) === sourceBranch && (target ?? targetBranch) === targetBranch,
    );
    const page = paginate(practice, ctx, found.toReversed());
    send(
      practice,
      ctx,
      shape,
      page.map((request) => mergeRequestEntity(world, project, request)),
    );
  });

  router.get('/projects/:id/merge_requests/:iid', (ctx) => {
    const { project } = readable(ctx);
    const request = project.mergeRequests.find(({ iid }) => iid === Number(param(ctx, 'iid')));
    if (!request) throw new RestError(404, { message: '404 Not found' });
    send(practice, ctx, shape, mergeRequestEntity(world, project, request));
  });

  router.post('/projects/:id/merge_requests', async (ctx) => {
    const user = signedIn(practice, ctx, 'write');
    const project = projectOf(practice, ctx, user);
    requireLevel(practice, user, project, Level.developer);
    const given = input(ctx);
    const [title, sourceBranch, targetBranch] = ['title', 'source_branch', 'target_branch'].map((name) => {
      const value = textOf(given, name);
      if (value === undefined) throw new RestError(400, { error: `${name} is missing` });
      return value;
    }) as [string, string, string];
    for (const [side, name] of [
      ['Source', sourceBranch],
      ['Target', targetBranch],
    ] as const) {
      if (await branchHead(git, project.repoPath, name)) continue;
      throw new RestError(400, { message: [`${side} branch "${name}" does not exist`] });
    }
    const open = project.mergeRequests.find(
      (other) => other.sourceBranch === sourceBranch && other.targetBranch === targetBranch,
    );
    if (open) {
      throw new RestError(409, {
        message: [`Another open merge request already exists for this source branch: !${open.iid}`],
      });
    }
    const request: MergeRequest = {
      ...{ id: world.nextId(), iid: project.mergeRequests.length + 1, title, sourceBranch, targetBranch },
      ...{ description: textOf(given, 'description') ?? null, author: user, createdAt: world.now() },
    };
    project.mergeRequests.push(request);
    send(practice, ctx, shape, mergeRequestEntity(world, project, request), 201);
  });
}

/** `^a` and `b$` anchor, as in GitLab; anything else is searched for anywhere. */
function searched(name: string, search: string | undefined): boolean {
  if (search === undefined || search === '') return true;
  if (search.startsWith('^') && search.endsWith('$')) return name === search.slice(1, -1);
  if (search.startsWith('^')) return name.startsWith(search.slice(1));
  if (search.endsWith('$')) return name.endsWith(search.slice(0, -1));
  return search.includes('*') ? wildcard(search, name) : name.toLowerCase().includes(search.toLowerCase());
}

async function isMerged({ git }: Practice, project: ProjectRecord, id: string): Promise<boolean> {
  const args = [
    '--git-dir',
    project.repoPath,
    'merge-base',
    '--is-ancestor',
    id,
    `refs/heads/${project.defaultBranch}`,
  ];
  return (await git.run(args)).code === 0;
}

async function statsOf({ git }: Practice, project: ProjectRecord, commit: Commit): Promise<object> {
  const args = ['diff-tree', '-r', '--root', '-m', '--first-parent', '--numstat', '--no-commit-id', commit.id];
  const lines = (await git.text(project.repoPath, args)).split('\n').map((line) => line.split('\t'));
  const sum = (column: number): number => lines.reduce((total, line) => total + (Number(line[column]) || 0), 0);
  const [additions, deletions] = [sum(0), sum(1)];
  return { additions, deletions, total: additions + deletions };
}

function diffs(nameStatus: string): object[] {
  const fields = nameStatus.split('\0');
  const list: object[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const [status, path] = [fields[at], fields[at + 1]];
    const flags = { new_file: status === 'A', renamed_file: false, deleted_file: status === 'D' };
    list.push({ old_path: path, new_path: path, a_mode: '100644', b_mode: '100644', diff: '', ...flags });
  }
  return list;
}
