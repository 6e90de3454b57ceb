import { z } from 'zod';
import type { InstanceForm } from '../../actions/instance.ts';
import type { Instance } from '../../model/instance.ts';
import { Problem } from '../../model/problem.ts';
import { type Call, type Endpoint, endpoint } from './endpoint.ts';
import * as shapes from './shapes.ts';
import { declaredView, time, timeOrNull } from './views.ts';

/** The GitLab of this installation, without its secrets, and pausing everything. */
export const instanceEndpoints: readonly Endpoint[] = [
  endpoint({
    method: 'get',
    path: '/instance',
    summary: 'Read the settings of the GitLab instance',
    description: 'Secrets, keys and values of headers are never answered.',
    status: 200,
    answer: shapes.instanceAnswer,
    tagged: true,
    handle: ({ deps }) => instanceView(deps),
  }),
  endpoint({
    method: 'patch',
    path: '/instance',
    summary: 'Change the settings of the GitLab instance',
    description: 'Names only what changes. Another GitLab URL needs its secret.',
    body: shapes.instanceChange,
    example: { minAccessLevel: 40 },
    status: 200,
    answer: shapes.instanceAnswer,
    tagged: true,
    refusals: { 409: 'A file declares it.' },
    handle: async ({ deps, body, by }) => {
      await deps.instance.configure(formOf(deps.instance.get(), body), by);
      return instanceView(deps);
    },
  }),
  endpoint({
    method: 'post',
    path: '/instance/test',
    summary: 'Test the connection to GitLab',
    status: 200,
    answer: z.strictObject({ checks: z.array(shapes.checkResult) }),
    handle: async ({ deps }) => ({
      checks: (await deps.instance.test()).map(({ name, result, finding, fix }) => ({
        ...{ name, result, finding, fix: fix ?? null },
      })),
    }),
  }),
  endpoint({
    method: 'get',
    path: '/pause-all',
    summary: 'Read whether all sites are paused, and the planned maintenance window',
    status: 200,
    answer: shapes.pauseAll,
    handle: ({ deps }) => pauseView(deps),
  }),
  endpoint({
    method: 'post',
    path: '/pause-all',
    summary: 'Pause all sites',
    body: z.strictObject({ until: shapes.moment.optional().describe('Absent: until someone resumes them.') }),
    example: {},
    status: 200,
    answer: shapes.pauseAll,
    handle: async ({ deps, body, by }) => {
      await deps.pauseAll.pause(by, body.until === undefined ? undefined : Date.parse(body.until));
      return pauseView(deps);
    },
  }),
  endpoint({
    method: 'delete',
    path: '/pause-all',
    summary: 'Resume all sites',
    description: 'Sites that were paused on their own stay paused.',
    status: 204,
    handle: async ({ deps, by }) => deps.pauseAll.resume(by),
  }),
  endpoint({
    method: 'put',
    path: '/pause-all/window',
    summary: 'Plan a maintenance window',
    body: z.strictObject({
      from: shapes.moment,
      until: shapes.moment,
      every: z.enum(['once', 'day', 'week']).default('once'),
    }),
    example: { from: '2027-01-10T22:00:00.000Z', until: '2027-01-10T23:00:00.000Z', every: 'week' },
    status: 200,
    answer: shapes.pauseAll,
    handle: async ({ deps, body: { from, until, every }, by }) => {
      const window = { from: Date.parse(from), until: Date.parse(until), ...(every === 'once' ? {} : { every }) };
      await deps.pauseAll.plan(window, by);
      return pauseView(deps);
    },
  }),
  endpoint({
    method: 'delete',
    path: '/pause-all/window',
    summary: 'Remove the planned maintenance window',
    status: 204,
    handle: async ({ deps, by }) => deps.pauseAll.plan(undefined, by),
  }),
];

function instanceView({ instance, declared }: Call['deps']): z.output<typeof shapes.instanceAnswer> {
  const found = instance.get();
  return {
    instance: found ? knownView(found) : null,
    redirectUri: instance.redirectUri,
    systemHook: { ...instance.systemHook() },
    declared: declaredView(declared.instance()),
  };
}

function knownView({
  url,
  applicationId,
  advanced,
  configuredAt,
  ...rest
}: Instance): z.output<typeof shapes.instance> {
  const { authorizeUrl, tokenUrl, apiUrl, scopes, secret } = rest;
  return {
    ...{ url, applicationId, hasSecret: secret.open() !== '', authorizeUrl, tokenUrl, apiUrl, scopes },
    ca: advanced.ca,
    clientCertificate: advanced.client?.certificate ?? '',
    proxy: withoutPassword(advanced.proxy),
    noProxy: [...advanced.noProxy],
    reachableAt: advanced.reachableAt,
    minAccessLevel: advanced.minAccessLevel,
    headers: Object.keys(advanced.headers),
    configuredAt: time(configuredAt),
  };
}

function withoutPassword(proxy: string): string {
  if (!URL.canParse(proxy)) return '';
  const url = new URL(proxy);
  Object.assign(url, { username: '', password: '' });
  return url.href.replace(/\/$/, '');
}

/** What is not named stays as it is; addresses that followed from the old URL follow from a new one. */
function formOf(now: Instance | undefined, change: z.output<typeof shapes.instanceChange>): InstanceForm {
  const { noProxy, headers, ...named } = change;
  const isMoved = change.url !== undefined && change.url !== now?.url;
  if (!now && (change.url === undefined || change.applicationId === undefined || change.secret === undefined)) {
    const needed = { url: 'Needed.', applicationId: 'Needed.', secret: 'Needed.' };
    const missing = Object.entries(needed).filter(([member]) => !(member in change));
    throw new Problem('request-invalid', Object.fromEntries(missing));
  }
  const kept = now ? storedForm(now) : emptyForm;
  const given = Object.fromEntries(Object.entries(named).filter(([, value]) => value !== undefined));
  return {
    ...kept,
    ...(isMoved ? { authorizeUrl: '', tokenUrl: '', apiUrl: '' } : {}),
    ...given,
    ...(noProxy ? { noProxy: noProxy.join(', ') } : {}),
    ...(headers ? { headers: headerLines(headers) } : {}),
  };
}

const emptyForm: InstanceForm = {
  ...{ url: '', asTyped: false, applicationId: '', secret: '', authorizeUrl: '', tokenUrl: '', apiUrl: '' },
  ...{ scopes: 'api', ca: '', clientCertificate: '', clientKey: '', proxy: '', noProxy: '', headers: '' },
  ...{ reachableAt: '', minAccessLevel: 30 },
};

function storedForm({ url, applicationId, authorizeUrl, tokenUrl, apiUrl, scopes, advanced }: Instance): InstanceForm {
  return {
    ...emptyForm,
    ...{ url, applicationId, authorizeUrl, tokenUrl, apiUrl, scopes, ca: advanced.ca, proxy: advanced.proxy },
    clientCertificate: advanced.client?.certificate ?? '',
    noProxy: advanced.noProxy.join(', '),
    headers: headerLines(advanced.headers),
    ...{ reachableAt: advanced.reachableAt, minAccessLevel: advanced.minAccessLevel },
  };
}

const headerLines = (headers: Readonly<Record<string, string>>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');

function pauseView({ pauseAll }: Call['deps']): z.output<typeof shapes.pauseAll> {
  const pause = pauseAll.now();
  const planned = pauseAll.planned();
  return {
    pause: pause ? { since: time(pause.since), until: timeOrNull(pause.until), by: pause.by ?? null } : null,
    window: planned
      ? { from: time(planned.turn.from), until: time(planned.turn.until), every: planned.window.every ?? 'once' }
      : null,
  };
}
