/**
 * A practice GitLab put down as plain JSON and taken up again, with the same numbers, tokens and hooks. What lies on
 * disk, the bare repositories, is for the caller to copy.
 */
import { z } from 'zod';
import { join } from 'node:path';
import type { Application, Namespace, User, World } from './model.ts';

const id = z.int().positive();
const members = z.array(z.tuple([id, z.number()]));
const user = z.object({
  id,
  username: z.string(),
  name: z.string(),
  email: z.string(),
  password: z.string(),
  createdAt: z.number(),
  admin: z.boolean(),
  blocked: z.boolean(),
});
const namespace = z.object({
  id,
  kind: z.enum(['group', 'user']),
  name: z.string(),
  path: z.string(),
  visibility: z.enum(['private', 'internal', 'public']),
  members,
});
const hook = z.object({
  id,
  projectId: id,
  createdAt: z.number(),
  url: z.string(),
  token: z.string(),
  signingToken: z.string(),
  name: z.string().nullable(),
  description: z.string().nullable(),
  events: z.record(z.string(), z.boolean()),
});
const protectedBranch = z.object({
  pattern: z.string(),
  pushLevel: z.number(),
  mergeLevel: z.number(),
  allowForcePush: z.boolean(),
});
const project = z.object({
  id,
  creator: id,
  namespace: id,
  name: z.string(),
  path: z.string(),
  createdAt: z.number(),
  description: z.string().nullable(),
  visibility: z.enum(['private', 'internal', 'public']),
  defaultBranch: z.string(),
  members,
  hooks: z.array(hook),
  /** Contents in base64. */
  lfs: z.array(z.tuple([z.string(), z.base64()])),
  protectedBranches: z.array(protectedBranch),
  archived: z.boolean().default(false),
  empty: z.boolean().default(false),
});
const application = z.object({
  id,
  name: z.string(),
  applicationId: z.string(),
  secretHash: z.string(),
  redirectUris: z.array(z.string()),
  scopes: z.array(z.string()),
  confidential: z.boolean(),
  trusted: z.boolean(),
});
const token = z.object({
  kind: z.enum(['oauth', 'personal']),
  value: z.string(),
  refreshToken: z.string().optional(),
  application: z.string().optional(),
  user: id,
  scopes: z.array(z.string()),
  createdAt: z.number(),
  expiresAt: z.number().optional(),
  revoked: z.boolean(),
});

export const savedSchema = z.object({
  lastId: id,
  users: z.array(user),
  namespaces: z.array(namespace),
  projects: z.array(project),
  applications: z.array(application),
  tokens: z.array(token),
});

export type SavedGitLab = z.infer<typeof savedSchema>;

/** The world without the projects that `wanted` leaves out. What is no setting (the log of a hook) is left out too. */
export function save(world: World, wanted: (projectId: number) => boolean): SavedGitLab {
  const { users, namespaces, applications } = world;
  return savedSchema.parse({
    lastId: world.nextId(),
    users,
    namespaces: namespaces.map((each) => ({ ...each, members: [...each.members] })),
    projects: world.projects
      .filter((each) => wanted(each.id))
      .map((each) => ({
        ...each,
        ...{ creator: each.creator.id, namespace: each.namespace.id, members: [...each.members] },
        lfs: [...each.lfs].map(([sha, content]) => [sha, content.toString('base64')]),
      })),
    applications,
    tokens: world.tokens.map((each) => ({
      ...each,
      ...{ application: each.application?.applicationId, user: each.user.id },
    })),
  });
}

/** Fills a world that is empty yet. Throws when a number leads nowhere. */
export function restore(world: World, home: string, saved: SavedGitLab): void {
  while (world.nextId() < saved.lastId);
  world.users.push(...saved.users);
  for (const each of saved.namespaces) world.namespaces.push({ ...each, members: new Map(each.members) });
  for (const each of saved.applications) world.applications.push({ ...each, owner: undefined });
  for (const each of saved.projects) {
    world.projects.push({
      ...each,
      creator: byId(world.users, each.creator),
      namespace: byId<Namespace>(world.namespaces, each.namespace),
      members: new Map(each.members),
      lfs: new Map(each.lfs.map(([sha, content]) => [sha, Buffer.from(content, 'base64')])),
      repoPath: join(home, 'repositories', `${each.id}.git`),
      hooks: each.hooks.map((one) => ({ ...hookDefaults(), ...one })),
      ...{ mergeRequests: [], lastActivityAt: each.createdAt },
      ...{ pushRule: undefined, repositoryBytes: 1_048_576 },
    });
  }
  for (const each of saved.tokens) {
    world.tokens.push({
      ...each,
      ...{ refreshToken: each.refreshToken, expiresAt: each.expiresAt },
      application: world.applications.find((one: Application) => one.applicationId === each.application),
      user: byId<User>(world.users, each.user),
    });
  }
}

function byId<T extends { readonly id: number }>(all: readonly T[], wanted: number): T {
  const found = all.find((each) => each.id === wanted);
  if (!found) throw new Error(`nothing saved has the number ${wanted}`);
  return found;
}

const hookDefaults = () => ({
  ...{ enableSslVerification: true, branchFilter: '', branchFilterStrategy: 'wildcard' },
  ...{ customHeaders: [], customTemplate: null, recentFailures: 0, disabledUntil: undefined },
  ...{ disabledForGood: false, log: [] },
});
