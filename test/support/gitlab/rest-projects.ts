/** Projects, and the namespaces a new one may be put in. */
import type Router from '@koa/router';
import type { Context } from 'koa';
import { canSee, level, memberLevel, memberLevels } from './access.ts';
import { createProject } from './actions.ts';
import {
  fullPath,
  Level,
  namespaceByPath,
  projectByPath,
  type Namespace,
  type ProjectRecord,
  type User,
} from './model.ts';
import type { Practice } from './practice.ts';
import { choiceOf, flagOf, input, invalid, keyset, numberOf, paginate, projectOf, refuse } from './rest-call.ts';
import { RestError, send, signedIn, textOf, visitor } from './rest-call.ts';
import { fullProject, namespaceEntity, simpleProject, statisticsEntity } from './rest-entities.ts';

const orders = [
  'id',
  'name',
  'path',
  'created_at',
  'updated_at',
  'last_activity_at',
  'similarity',
  'star_count',
] as const;
const visibilities = ['private', 'internal', 'public'] as const;

export function addProjectRoutes(router: Router, practice: Practice): void {
  const { world } = practice;

  router.get('/projects', (ctx) => {
    const user = visitor(practice, ctx);
    const found = filterProjects(practice, ctx, user);
    const page = input(ctx)['pagination'] === 'keyset' ? keyset(practice, ctx, found) : paginate(practice, ctx, found);
    const simple = !user || flagOf(input(ctx), 'simple') === true;
    const entities = page.map((project) =>
      simple ? simpleProject(world, project, user) : fullProject(world, project, user),
    );
    send(practice, ctx, 'projects', entities);
  });

  router.get('/projects/:id', (ctx) => {
    const user = visitor(practice, ctx);
    const project = projectOf(practice, ctx, user);
    const told = flagOf(input(ctx), 'statistics') === true && level(world, user, project) >= Level.reporter;
    const whole = user ? fullProject(world, project, user) : simpleProject(world, project, user);
    send(practice, ctx, 'project', told ? { ...whole, statistics: statisticsEntity(project) } : whole);
  });

  router.post('/projects', async (ctx) => {
    const user = signedIn(practice, ctx, 'write');
    const given = input(ctx);
    const name = textOf(given, 'name') ?? textOf(given, 'path');
    if (name === undefined)
      throw new RestError(400, { error: 'name, path are missing, at least one parameter must be provided' });
    const path =
      textOf(given, 'path') ??
      name
        .trim()
        .toLowerCase()
        .replace(/[^a-z0-9_.-]+/g, '-')
        .replace(/^-+|-+$/g, '');
    const namespace = chosenNamespace(practice, user, numberOf(given, 'namespace_id'));
    if (projectByPath(world, `${namespace.path}/${path}`)) {
      throw new RestError(400, {
        message: {
          'project_namespace.name': ['has already been taken'],
          name: ['has already been taken'],
          path: ['has already been taken'],
        },
      });
    }
    if (!/^[a-zA-Z0-9_.][a-zA-Z0-9_.-]*$/.test(path)) {
      const rule =
        "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in '.atom'";
      throw new RestError(400, { message: { path: [rule] } });
    }
    const project = await createProject(practice, {
      namespace,
      path,
      name,
      creator: user,
      description: textOf(given, 'description') ?? null,
      visibility: choiceOf(given, 'visibility', visibilities) ?? 'private',
      defaultBranch: textOf(given, 'default_branch') ?? 'main',
      files: flagOf(given, 'initialize_with_readme') ? { 'README.md': `# ${name}\n` } : undefined,
    });
    send(practice, ctx, 'project', fullProject(world, project, user), 201);
  });

  router.get('/namespaces', (ctx) => {
    const user = signedIn(practice, ctx, 'read');
    const wanted = (textOf(input(ctx), 'search') ?? '').toLowerCase();
    const seen = world.namespaces.filter(
      (namespace) => namespace.members.has(user.id) && namespace.path.toLowerCase().includes(wanted),
    );
    const shape = { shapeFrom: 'doc/api/namespaces.md' };
    send(
      practice,
      ctx,
      shape,
      paginate(practice, ctx, seen).map((namespace) => namespaceEntity(world, namespace)),
    );
  });
}

/** Where POST /projects puts the project: the group asked for, or the caller's own namespace. */
function chosenNamespace({ world }: Practice, user: User, id: number | undefined): Namespace {
  if (id === undefined) {
    const own = namespaceByPath(world, user.username);
    if (!own) throw new Error(`${user.username} has no namespace`);
    return own;
  }
  const namespace = world.namespaces.find((candidate) => candidate.id === id);
  const at = user.admin ? Level.owner : (namespace?.members.get(user.id) ?? Level.none);
  if (!namespace || at === Level.none) throw new RestError(404, { message: '404 Namespace Not Found' });
  // GitLab's default lets Developers and up create projects in a group.
  if (at < Level.developer) throw refuse(403);
  return namespace;
}

function filterProjects(practice: Practice, ctx: Context, user: User | undefined): ProjectRecord[] {
  const { world } = practice;
  const given = input(ctx);
  const search = textOf(given, 'search')?.toLowerCase();
  const withNamespaces = flagOf(given, 'search_namespaces') === true;
  const archived = flagOf(given, 'archived');
  const active = flagOf(given, 'active');
  const least = numberOf(given, 'min_access_level');
  const visibility = choiceOf(given, 'visibility', visibilities);
  const [after, before] = [numberOf(given, 'id_after'), numberOf(given, 'id_before')];
  const [since, until] = [timeOf(given, 'last_activity_after'), timeOf(given, 'last_activity_before')];
  if (least !== undefined && ![10, 15, 20, 25, 30, 40, 50].includes(least)) {
    throw invalid('min_access_level', 'does not have a valid value');
  }
  const isMember = (project: ProjectRecord): boolean => memberLevel(world, user, project) > Level.none;
  const isOwner = (project: ProjectRecord): boolean => {
    const levels = user ? memberLevels(world, user, project) : { project: 0, group: 0 };
    return Math.max(levels.project, levels.group) >= Level.owner;
  };
  const found = world.projects.filter(
    (project) =>
      canSee(world, user, project) &&
      (!flagOf(given, 'membership') || isMember(project)) &&
      (!flagOf(given, 'owned') || isOwner(project)) &&
      (least === undefined || memberLevel(world, user, project) >= least) &&
      (archived === undefined || project.archived === archived) &&
      (active === undefined || project.archived !== active) &&
      (visibility === undefined || project.visibility === visibility) &&
      (after === undefined || project.id > after) &&
      (before === undefined || project.id < before) &&
      (since === undefined || project.lastActivityAt > since) &&
      (until === undefined || project.lastActivityAt < until) &&
      (!search || searchText(project, withNamespaces).includes(search)),
  );
  return sortProjects(found, choiceOf(given, 'order_by', orders), choiceOf(given, 'sort', ['asc', 'desc']) ?? 'desc');
}

const searchText = (project: ProjectRecord, withNamespaces: boolean): string =>
  [project.name, project.path, project.description ?? '', withNamespaces ? fullPath(project) : '']
    .join('\n')
    .toLowerCase();

function timeOf(given: Record<string, unknown>, name: string): number | undefined {
  const text = textOf(given, name);
  if (text === undefined) return undefined;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw invalid(name, 'is invalid');
  return time;
}

function sortProjects(
  projects: ProjectRecord[],
  order: (typeof orders)[number] = 'created_at',
  sort: 'asc' | 'desc',
): ProjectRecord[] {
  const key = (project: ProjectRecord): number | string => {
    if (order === 'name' || order === 'path') return project[order].toLowerCase();
    if (order === 'updated_at' || order === 'last_activity_at') return project.lastActivityAt;
    return order === 'created_at' ? project.createdAt : project.id;
  };
  const turn = sort === 'asc' ? 1 : -1;
  // Ties go by id, so that pages neither repeat nor skip a project.
  return projects.toSorted((a, b) => turn * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id - b.id));
}
