/**
 * What the practice GitLab knows: users, namespaces, projects, applications and tokens, all in memory.
 * Facts and look-ups only; no HTTP and no git. Rules about who may do what live in access.ts.
 */
import { createHash, randomBytes } from 'node:crypto';

/** GitLab's numbers for roles. 0 means "no role at all". */
export const Level = { none: 0, guest: 10, reporter: 20, developer: 30, maintainer: 40, owner: 50 } as const;

export type Visibility = 'private' | 'internal' | 'public';

export interface User {
  readonly id: number;
  readonly username: string;
  readonly name: string;
  readonly email: string;
  readonly password: string;
  readonly createdAt: number;
  admin: boolean;
  blocked: boolean;
}

export interface Namespace {
  readonly id: number;
  readonly kind: 'group' | 'user';
  readonly name: string;
  /** The full path, e.g. `parks/gardens`. */
  path: string;
  readonly visibility: Visibility;
  readonly members: Map<number, number>;
}

export interface ProtectedBranch {
  /** A branch name or a wildcard such as `release-*`. */
  readonly pattern: string;
  /** The least role that may push; 0 means nobody. */
  readonly pushLevel: number;
  readonly mergeLevel: number;
  readonly allowForcePush: boolean;
}

/** As the API names the rules; members that are left out are off. */
export interface PushRule {
  readonly author_email_regex?: string;
  readonly commit_message_regex?: string;
  readonly commit_message_negative_regex?: string;
  readonly branch_name_regex?: string;
  readonly file_name_regex?: string;
  /** MiB. */
  readonly max_file_size?: number;
  readonly member_check?: boolean;
  readonly commit_committer_check?: boolean;
  readonly commit_committer_name_check?: boolean;
  readonly reject_unsigned_commits?: boolean;
  readonly reject_non_dco_commits?: boolean;
}

export interface HookEvent {
  readonly id: number;
  readonly trigger: string;
  readonly url: string;
  readonly requestHeaders: Record<string, string>;
  readonly requestData: unknown;
  readonly responseStatus: string;
  readonly responseBody: string;
  readonly executionMs: number;
  readonly idempotencyKey: string;
  readonly createdAt: number;
}

export interface Hook {
  readonly id: number;
  readonly projectId: number;
  readonly createdAt: number;
  url: string;
  token: string;
  signingToken: string;
  name: string | null;
  description: string | null;
  enableSslVerification: boolean;
  branchFilter: string;
  branchFilterStrategy: string;
  customHeaders: { key: string; value: string }[];
  customTemplate: string | null;
  /** push_events, tag_push_events and their siblings. */
  events: Record<string, boolean>;
  recentFailures: number;
  disabledUntil: number | undefined;
  disabledForGood: boolean;
  log: HookEvent[];
}

export interface MergeRequest {
  readonly id: number;
  readonly iid: number;
  readonly title: string;
  readonly description: string | null;
  readonly sourceBranch: string;
  readonly targetBranch: string;
  readonly author: User;
  readonly createdAt: number;
}

export interface ProjectRecord {
  readonly id: number;
  readonly creator: User;
  readonly createdAt: number;
  /** The bare repository on disk. Named by id, so a rename moves nothing. */
  readonly repoPath: string;
  readonly members: Map<number, number>;
  readonly hooks: Hook[];
  readonly mergeRequests: MergeRequest[];
  /** Large files by the SHA-256 of their content. */
  readonly lfs: Map<string, Buffer>;
  name: string;
  path: string;
  namespace: Namespace;
  description: string | null;
  visibility: Visibility;
  archived: boolean;
  empty: boolean;
  defaultBranch: string;
  lastActivityAt: number;
  protectedBranches: ProtectedBranch[];
  /** Of plans that have such rules; told by the API, not kept by the gate. */
  pushRule: PushRule | undefined;
  /** What the statistics say; no file is that large. */
  repositoryBytes: number;
}

export interface Application {
  readonly id: number;
  readonly name: string;
  readonly applicationId: string;
  /** SHA-256 of the secret: GitLab 15.10 and later keeps no plain one either. */
  secretHash: string;
  readonly redirectUris: string[];
  readonly scopes: string[];
  readonly confidential: boolean;
  readonly trusted: boolean;
  readonly owner: User | undefined;
}

/** An authorisation code. */
interface Grant {
  readonly code: string;
  readonly application: Application;
  readonly user: User;
  readonly redirectUri: string;
  readonly scopes: string[];
  readonly challenge: string | undefined;
  readonly challengeMethod: string | undefined;
  readonly expiresAt: number;
  revoked: boolean;
}

/** One record holds both halves of the pair and one `revoked`: that is why a refresh kills the access token too. */
export interface Token {
  readonly kind: 'oauth' | 'personal';
  readonly value: string;
  readonly refreshToken: string | undefined;
  readonly application: Application | undefined;
  readonly user: User;
  readonly scopes: string[];
  readonly createdAt: number;
  readonly expiresAt: number | undefined;
  revoked: boolean;
}

export interface Session {
  readonly id: string;
  readonly csrf: string;
  user: User | undefined;
  returnTo: string | undefined;
  notice: string | undefined;
}

export interface Settings {
  /** GitLab's "Allow requests to the local network from webhooks and integrations". */
  allowLocalWebhooks: boolean;
  /** Lists longer than this carry no totals. */
  mostCounted: number;
  /** The flag `webhook_signing_token`: 19.0 and later sign where a hook has a key. */
  signsWebhooks: boolean;
  /** How many hooks a project may have, on plans that set a limit. */
  mostHooks: number;
  /** A push with pointers to contents that are not there is refused, as GitLab does. */
  checkLfs: boolean;
}

export interface World {
  /** The configured external URL, sub-path included, without a final slash. */
  url: string;
  readonly version: string;
  readonly tokenLifetimeSeconds: number;
  readonly now: () => number;
  readonly settings: Settings;
  readonly users: User[];
  readonly namespaces: Namespace[];
  readonly projects: ProjectRecord[];
  /** Old full path (lower case) -> project id. */
  readonly redirects: Map<string, number>;
  readonly applications: Application[];
  readonly grants: Grant[];
  readonly tokens: Token[];
  readonly sessions: Map<string, Session>;
  /** Made by an admin; one for all projects. */
  readonly systemHooks: { readonly url: string; readonly token: string }[];
  readonly nextId: () => number;
}

export function createWorld(options: Pick<World, 'version' | 'tokenLifetimeSeconds' | 'now' | 'settings'>): World {
  let id = 0;
  return {
    ...options,
    url: '',
    users: [],
    namespaces: [],
    projects: [],
    redirects: new Map(),
    applications: [],
    grants: [],
    tokens: [],
    sessions: new Map(),
    systemHooks: [],
    nextId: () => ++id,
  };
}

export const fullPath = (project: ProjectRecord): string => `${project.namespace.path}/${project.path}`;

export const webUrl = (world: World, project: ProjectRecord): string => `${world.url}/${fullPath(project)}`;

/** The clone addresses carry the configured URL, which need not be the address the caller used. */
export function cloneUrls(world: World, project: ProjectRecord): { http: string; ssh: string } {
  const { hostname } = new URL(world.url);
  return { http: `${webUrl(world, project)}.git`, ssh: `git@${hostname}:${fullPath(project)}.git` };
}

export const isoTime = (ms: number): string => new Date(ms).toISOString();

export const hex = (bytes: number): string => randomBytes(bytes).toString('hex');

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

export const majorVersion = (world: World): number => Number.parseInt(world.version, 10);

/** Whether this version is `major.minor` or a later one. */
export function isSince(world: World, major: number, minor: number): boolean {
  const [ours = 0, theirs = 0] = world.version.split('.').map(Number);
  return ours > major || (ours === major && theirs >= minor);
}

/** Paths are compared without regard to case, as GitLab does. */
export function projectByPath(world: World, path: string): ProjectRecord | undefined {
  const wanted = path.toLowerCase();
  return world.projects.find((project) => fullPath(project).toLowerCase() === wanted);
}

export const projectById = (world: World, id: number): ProjectRecord | undefined =>
  world.projects.find((project) => project.id === id);

/** The project that used to live at `path`, unless another one has taken the path since. */
export function projectMovedFrom(world: World, path: string): ProjectRecord | undefined {
  const id = world.redirects.get(path.toLowerCase());
  return id === undefined || projectByPath(world, path) ? undefined : projectById(world, id);
}

export const namespaceByPath = (world: World, path: string): Namespace | undefined =>
  world.namespaces.find((namespace) => namespace.path.toLowerCase() === path.toLowerCase());

export const userByName = (world: World, username: string): User | undefined =>
  world.users.find((user) => user.username.toLowerCase() === username.toLowerCase());

export const avatarUrl = (user: User): string =>
  `https://www.gravatar.com/avatar/${sha256(user.email.toLowerCase())}?s=80&d=identicon`;
