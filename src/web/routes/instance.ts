import type { Router } from '@koa/router';
import { z } from 'zod';
import type { Instance } from '../../model/instance.ts';
import type { ProblemCode } from '../../model/problem.ts';
import { escapeControls } from '../../model/tree.ts';
import { webUrl } from '../address.ts';
import type { Context, WebContext, State } from '../context.ts';
import type { Check, InstanceForm } from '../../actions/instance.ts';
import { beside, block, fields, filledLine, line, parse, type FieldErrors } from '../form.ts';
import { declaredWords } from '../site-frame.ts';
import { whoAsks } from '../seen.ts';
import { number, when } from '../times.ts';
import { accountName } from '../session.ts';

const address = (label: string) =>
  line(label, 500)
    .default('')
    .refine(
      (text) => text === '' || webUrl(text) !== undefined,
      'Enter an address that begins with https:// or http://.',
    );

const form = z.object({
  url: filledLine('the GitLab URL', 500),
  asTyped: z.literal('yes').optional(),
  applicationId: filledLine('the Application ID', 500),
  // Not trimmed: a space that came along with a paste is pointed out, not guessed away.
  secret: z.string().max(500, 'At most 500 characters.').default(''),
  authorizeUrl: address('the Authorize URL'),
  tokenUrl: address('the Token URL'),
  apiUrl: address('the API Endpoint'),
  scopes: z.enum(['api', 'read_api write_repository'], { error: 'Choose the scopes.' }).default('api'),
  ca: block(200_000).refine(
    (text) => text.trim() === '' || text.includes('-----BEGIN CERTIFICATE-----'),
    'Paste a certificate in PEM form: it begins with -----BEGIN CERTIFICATE-----.',
  ),
  clientCertificate: block(200_000),
  clientKey: block(50_000),
  proxy: address('the proxy'),
  noProxy: block(5_000),
  headers: block(10_000).refine(
    (text) => text.split('\n').every((one) => one.trim() === '' || /^[\w!#$%&'*+.^`|~-]+:\s*\S/.test(one.trim())),
    'One `Name: value` a line.',
  ),
  reachableAt: address('the address'),
  minAccessLevel: z.enum(['30', '40']).default('30'),
});

const places: Partial<Record<ProblemCode, string>> = {
  'instance-url-invalid': 'url',
  'instance-not-gitlab': 'url',
  'application-unknown': 'applicationId',
};

/** Account Settings / Self Hosted GitLab: once per installation. */
export function instance(router: Router<State>, web: WebContext): void {
  const { deps } = web;

  // To the first page of Account Settings that this account may open.
  router.get('/account', (ctx) => {
    const first = { admin: 'gitlab', owner: 'tokens', viewer: 'password' }[whoAsks(ctx).role];
    web.redirect(ctx, `/account/${first}`);
  });
  router.get('/account/gitlab', (ctx) => showForm(ctx, web, stored(deps.instance.get()), {}));

  router.post('/account/gitlab', async (ctx) => {
    const entered = fields(ctx.request.body);
    const parsed = parse(form, withoutDerived(entered));
    if (parsed.kind === 'bad') return showForm(ctx, web, entered, parsed.errors, { status: 422 });
    const before = deps.instance.get();
    const values = {
      ...parsed.values,
      asTyped: parsed.values.asTyped === 'yes',
      minAccessLevel: Number(parsed.values.minAccessLevel),
    };
    if (values.secret === '' && !keepsSecret(web, before, values.url)) {
      const why = before
        ? 'Another GitLab needs another secret: the stored one belongs to the old URL.'
        : 'Enter the secret.';
      return showForm(ctx, web, entered, { secret: why }, { status: 422 });
    }
    try {
      await deps.instance.configure(withoutStaleAddresses(web, before, values), accountName(ctx));
    } catch (error) {
      return showForm(ctx, web, entered, beside(error, places), { status: 422 });
    }
    web.redirect(ctx, '/account/gitlab', {
      tone: 'good',
      title: 'Self Hosted GitLab is configured',
      lines: ['Select Test connection to check each part, or continue and connect a site.'],
    });
  });

  // Not stored anywhere, so the answer is the page itself.
  router.post('/account/gitlab/test', async (ctx) => {
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    showForm(ctx, web, stored(deps.instance.get()), {}, { checks: await deps.instance.test() });
  });

  // The secret is shown in this answer and never again.
  router.post('/account/gitlab/system-hook', async (ctx) => {
    if (!deps.instance.get()) return web.redirect(ctx, '/account/gitlab');
    if (fields(ctx.request.body)['act'] === 'remove') {
      await deps.instance.dropSystemHook(accountName(ctx));
      return web.redirect(ctx, '/account/gitlab', {
        tone: 'good',
        title: 'The system hook’s calls are refused from now on',
        lines: ['Delete it in GitLab too. Webhooks of individual repositories and polling continue.'],
      });
    }
    const systemSecret = await deps.instance.makeSystemHook(accountName(ctx));
    showForm(ctx, web, stored(deps.instance.get()), {}, { systemSecret });
  });
}

/** Endpoints that only repeat the typed URL follow from it: what is wrong with it is then said once, beside the URL. */
function withoutDerived(entered: Readonly<Record<string, string>>): Record<string, string> {
  const base = (entered['url'] ?? '').trim().replace(/\/+$/, '');
  const paths = { authorizeUrl: '/oauth/authorize', tokenUrl: '/oauth/token', apiUrl: '/api/v4' };
  const derived = Object.entries(paths).filter(([name, path]) => entered[name]?.trim() === base + path);
  return { ...entered, ...Object.fromEntries(derived.map(([name]) => [name, ''])) };
}

function keepsSecret({ deps }: WebContext, before: Instance | undefined, url: string): boolean {
  if (!before) return false;
  try {
    return deps.instance.derive(url).url === before.url;
  } catch {
    return true; // configure() says what is wrong with the URL
  }
}

/** Addresses that were derived from the old URL do not survive a new one; those typed by hand do. */
function withoutStaleAddresses({ deps }: WebContext, before: Instance | undefined, values: InstanceForm): InstanceForm {
  if (!before || values.url === before.url) return values;
  const old = deps.instance.derive(before.url);
  return {
    ...values,
    authorizeUrl: values.authorizeUrl === old.authorizeUrl ? '' : values.authorizeUrl,
    tokenUrl: values.tokenUrl === old.tokenUrl ? '' : values.tokenUrl,
    apiUrl: values.apiUrl === old.apiUrl ? '' : values.apiUrl,
  };
}

function stored(from: Instance | undefined): Record<string, string> {
  if (!from) return {};
  const { ca, client, proxy, noProxy, headers, reachableAt, minAccessLevel } = from.advanced;
  return {
    url: from.url,
    applicationId: from.applicationId,
    authorizeUrl: from.authorizeUrl,
    tokenUrl: from.tokenUrl,
    apiUrl: from.apiUrl,
    scopes: from.scopes,
    ca,
    clientCertificate: client?.certificate ?? '',
    proxy,
    noProxy: noProxy.join(', '),
    headers: Object.entries(headers)
      .map(([name, value]) => `${name}: ${value}`)
      .join('\n'),
    reachableAt,
    minAccessLevel: String(minAccessLevel),
  };
}

interface Extra {
  readonly status?: number;
  readonly checks?: readonly Check[];
  readonly systemSecret?: string;
}

const advanced = ['ca', 'clientCertificate', 'clientKey', 'proxy', 'noProxy', 'headers', 'reachableAt'];

function showForm(
  ctx: Context,
  web: WebContext,
  entered: Readonly<Record<string, string>>,
  errors: FieldErrors,
  extra: Extra = {},
): void {
  const { deps } = web;
  const configured = deps.instance.get();
  const now = deps.now();
  const value = (name: string, otherwise = ''): string => entered[name] ?? otherwise;
  const names = ['url', 'applicationId', 'authorizeUrl', 'tokenUrl', 'apiUrl', ...advanced];
  web.render(
    ctx,
    'pages/instance.njk',
    {
      nav: 'account',
      declared: declaredWords(deps.declared.instance()),
      configured: configured !== undefined,
      secretSince: configured ? when(configured.configuredAt, now) : null,
      // The key never comes back to the page, not even one that was just typed.
      values: { ...Object.fromEntries(names.map((name) => [name, value(name)])), clientKey: '' },
      keepsClientKey: configured?.advanced.client !== undefined,
      // Offered only when the URL looked wrong.
      mayBeTyped: value('asTyped') === 'yes' || (errors['url'] ?? '').includes('looks like a repository'),
      asTyped: value('asTyped') === 'yes',
      scopes: value('scopes', 'api'),
      level: value('minAccessLevel', '30'),
      errors,
      openAdvanced:
        advanced.some((name) => value(name) !== '' || errors[name] !== undefined) || value('scopes', 'api') !== 'api',
      openAddresses:
        configured !== undefined || ['authorizeUrl', 'tokenUrl', 'apiUrl'].some((name) => value(name) !== ''),
      publicUrl: deps.about.publicUrl,
      redirectUri: deps.instance.redirectUri,
      applications: configured && webUrl(configured.url) ? `${configured.url}/-/user_settings/applications` : '',
      checks: extra.checks ? extra.checks.map(checkView) : null,
      systemHook: configured ? deps.instance.systemHook() : null,
      systemSecret: extra.systemSecret ?? '',
      systemHooks: configured && webUrl(configured.url) ? `${configured.url}/admin/hooks` : '',
      passed: extra.checks ? passedWords(extra.checks) : '',
    },
    extra.status ?? 200,
  );
}

function checkView({ name, result, finding, fix }: Check) {
  const looks = {
    good: { tone: 'good', icon: 'state-in-sync', word: 'passed' },
    bad: { tone: 'bad', icon: 'error', word: 'failed' },
    unknown: { tone: 'mute', icon: 'state-unknown', word: 'not known' },
  }[result];
  return { ...looks, name: escapeControls(name), finding: escapeControls(finding), fix: escapeControls(fix ?? '') };
}

function passedWords(checks: readonly Check[]): string {
  const good = checks.filter(({ result }) => result === 'good').length;
  return good === checks.length ? `All ${number(good)} passed.` : `${number(good)} of ${number(checks.length)} passed.`;
}
