import { Document, type YAMLMap, isMap } from 'yaml';
import type { Account } from '../model/account.ts';
import type { DeclaredMarks, DeclaredSource } from '../model/declared.ts';
import type { Connection, Instance } from '../model/instance.ts';
import type { NoticeWebhook } from '../model/notice.ts';
import { settingsView } from '../model/settings-document.ts';
import { type Site, defaultSettings } from '../model/site.ts';
import { displayPath } from '../model/tree.ts';

export interface ExportDeps {
  readonly store: {
    readonly instance: { get(): Instance | undefined; connections(): readonly Connection[] };
    readonly accounts: { all(): readonly Account[] };
    readonly sites: { all(): readonly Site[] };
    readonly notify: { webhook(): NoticeWebhook | undefined };
    readonly declared: { marks(): DeclaredMarks | undefined };
  };
}

/** Beside the file: where secrets are to be put, which never stand in it. */
const secrets = './secrets';

const head = ` yaml-language-server: $schema=declared.schema.json
 The set-up of this Mooring, as “mooring export” wrote it. Applying it here changes nothing.
 Secrets are not in it. Each …File names a file to put one into before you apply it on another
 machine; here, the stored secret stays while the file does not exist.`;

/** The present set-up as a declaration, in YAML. Secrets are named by file, and never in it. */
export function exportDeclaration(deps: ExportDeps): string {
  const names = namesOfConnections(deps);
  const fileFor = secretFiles();
  const document = new Document(
    {
      version: 1,
      ...instanceOf(deps),
      ...listOf(
        'accounts',
        deps.store.accounts.all().map((account) => accountOf(deps, account, fileFor)),
      ),
      ...listOf(
        'connections',
        deps.store.instance.connections().map((one) => connectionOf(deps, one, { names, fileFor })),
      ),
      ...listOf(
        'sites',
        deps.store.sites.all().map((site) => siteOf(deps, site, names)),
      ),
      ...notificationsOf(deps),
    },
    { version: '1.2' },
  );
  document.commentBefore = head;
  // An empty line before each part: the file is there to be read.
  if (isMap(document.contents))
    for (const { key } of (document.contents as YAMLMap).items.slice(1))
      Object.assign(key as object, { spaceBefore: true });
  return document.toString({ lineWidth: 120 });
}

const listOf = (name: string, items: readonly object[]): object => (items.length === 0 ? {} : { [name]: items });

/** Members whose value is undefined are left out. */
function known(members: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

function instanceOf({ store }: ExportDeps): object {
  const found = store.instance.get();
  if (!found) return {};
  const { url, applicationId, scopes, advanced: a } = found;
  const unless = (value: string, usual: string): string | undefined => (value === usual ? undefined : value);
  const hasPassword = a.proxy.includes('@');
  return {
    instance: known({
      ...{ url, applicationId, secretFile: `${secrets}/gitlab-application-secret`, scopes },
      authorizeUrl: unless(found.authorizeUrl, `${url}/oauth/authorize`),
      tokenUrl: unless(found.tokenUrl, `${url}/oauth/token`),
      apiUrl: unless(found.apiUrl, `${url}/api/v4`),
      ca: unless(a.ca, ''),
      clientCertificate: a.client?.certificate,
      clientKeyFile: a.client && `${secrets}/gitlab-client-key`,
      proxy: hasPassword ? undefined : unless(a.proxy, ''),
      proxyFile: hasPassword ? `${secrets}/gitlab-proxy` : undefined,
      noProxy: a.noProxy.length > 0 ? [...a.noProxy] : undefined,
      headersFile: Object.keys(a.headers).length > 0 ? `${secrets}/gitlab-headers` : undefined,
      reachableAt: unless(a.reachableAt, ''),
      minAccessLevel: a.minAccessLevel >= 40 ? 'maintainer' : 'developer',
    }),
  };
}

function accountOf({ store }: ExportDeps, { name, role, sites }: Account, fileFor: FileFor): object {
  const named = sites?.flatMap((id) => store.sites.all().find((site) => site.id === id)?.name ?? []);
  return known({ name, role, sites: named, passwordFile: fileFor('password', name) });
}

function connectionOf(
  { store }: ExportDeps,
  connection: Connection,
  { names, fileFor }: { readonly names: ReadonlyMap<string, string>; readonly fileFor: FileFor },
): object {
  const { id, username, owner, accessToken } = connection;
  const name = names.get(id) ?? username;
  const account = store.accounts.all().find((one) => one.id === owner)?.name;
  const expires =
    accessToken?.expiresAt === undefined ? undefined : new Date(accessToken.expiresAt).toISOString().slice(0, 10);
  const access = accessToken ? { tokenFile: fileFor('token', name), expires } : {};
  return known({ name, user: username, ...access, account });
}

/** As they were declared; else by user, and numbered where that is not enough. */
function namesOfConnections({ store }: ExportDeps): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  const marked = store.declared.marks()?.connections ?? {};
  for (const { id, username } of store.instance.connections()) {
    const wanted = marked[id]?.name ?? username;
    let name = wanted;
    for (let n = 2; [...names.values()].includes(name); n += 1) name = `${wanted}-${n}`;
    names.set(id, name);
  }
  return names;
}

function siteOf({ store }: ExportDeps, site: Site, names: ReadonlyMap<string, string>): object {
  return known({
    ...{ name: site.name, folder: site.folder },
    source: sourceOf(site, store.declared.marks()?.sites[site.id]?.source, names),
    settings: settingsOf(site),
  });
}

/** What the site is connected to; of one that is not, what it is declared to follow. */
function sourceOf(
  { binding }: Site,
  declared: DeclaredSource | undefined,
  names: ReadonlyMap<string, string>,
): object | undefined {
  const connection = names.get(binding?.connectionId ?? declared?.connectionId ?? '');
  const found = binding ? { ...binding, repository: binding.projectPath } : declared;
  if (connection === undefined || !found) return undefined;
  const { repository, branch, subfolder = '' } = found;
  return known({
    ...{ connection, repository, branch },
    subfolder: subfolder === '' ? undefined : displayPath(subfolder),
    direction: declared?.direction === 'start-from-folder' ? declared.direction : undefined,
  });
}

/** Only what differs from the defaults. */
function settingsOf(site: Site): object | undefined {
  const { name: _name, ...now } = settingsView(site);
  const usual = settingsView({ name: '', settings: defaultSettings });
  const sections = Object.entries(now).flatMap(([section, members]) => {
    const before = usual[section as 'files'] as unknown as Record<string, unknown>;
    const differing = Object.entries(members).filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name]),
    );
    return differing.length === 0 ? [] : [[section, Object.fromEntries(differing)] as const];
  });
  return sections.length === 0 ? undefined : Object.fromEntries(sections);
}

function notificationsOf({ store }: ExportDeps): object {
  const found = store.notify.webhook();
  if (!found) return {};
  const { on, form, header } = found;
  return {
    notifications: {
      webhook: known({
        ...{ addressFile: `${secrets}/notification-address`, form, on },
        header: header?.name,
        valueFile: header && `${secrets}/notification-header`,
      }),
    },
  };
}

type FileFor = (kind: string, name: string) => string;

/** A file for the secret of something that has a name; never the same for two. */
function secretFiles(): FileFor {
  const taken = new Set<string>();
  return (kind, name) => {
    const plain = name
      .normalize('NFKD')
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[-.]+|-+$/g, '')
      .toLowerCase();
    const wanted = `${secrets}/${kind}-${plain || 'unnamed'}`;
    let file = wanted;
    for (let n = 2; taken.has(file); n += 1) file = `${wanted}-${n}`;
    taken.add(file);
    return file;
  };
}
