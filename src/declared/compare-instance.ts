import { type InstanceForm, readInstanceForm } from '../actions/instance-form.ts';
import type { Instance } from '../model/instance.ts';
import type { NoticeWebhook } from '../model/notice.ts';
import { Problem } from '../model/problem.ts';
import { Secret } from '../model/secret.ts';
import { type Comparison, fault, formFaults, readNamed, readSecret, step } from './comparison.ts';
import { accessLevels, type DeclaredInstance } from './shape.ts';

/** Where the file says what the form calls by another name. */
const members: Readonly<Record<string, keyof DeclaredInstance>> = {
  secret: 'secretFile',
  ca: 'caFile',
  clientCertificate: 'clientCertificateFile',
  clientKey: 'clientKeyFile',
  headers: 'headersFile',
  proxy: 'proxyFile',
};

/** Said of what a file for secrets holds, in place of sentences that quote it: faults are logged and shown. */
const secretFaults: Readonly<Record<string, string>> = {
  headers: 'Each line of it must be “Name: value”, and none may be a header that Mooring sets itself.',
  proxy: 'It must hold the URL of a proxy, such as http://user:password@proxy.example.org:3128.',
};

/** The instance as it is declared, beside the one that is configured. */
export async function compareInstance(c: Comparison, file: string): Promise<void> {
  const wanted = c.read.declaration.instance;
  const present = c.world.store.instance.get();
  c.instance = present;
  if (!wanted) return;
  const form = await formOf(c, wanted, present, file);
  if (!form) return;
  let read: Instance;
  try {
    read = readInstanceForm(form, { present, urls: c.world.urls, configuredAt: c.world.clock.now() });
  } catch (error) {
    return formFaults(
      c,
      error,
      ['instance'],
      (field) => {
        const other = members[field];
        return [other !== undefined && wanted[other] !== undefined ? other : field];
      },
      secretFaults,
    );
  }
  c.instance = read;
  const differing = present ? differences(present, read) : ['all'];
  if (differing.length === 0) return;
  c.dropsTokens = present !== undefined && (present.url !== read.url || present.apiUrl !== read.apiUrl);
  const text = !present
    ? `Configure the GitLab at ${read.url}.`
    : `Change the GitLab instance: ${differing.join(', ')}.${c.dropsTokens ? ' Every stored token is dropped, because it belongs to the other address.' : ''}`;
  step(c, ['instance'], text, async (by) => void (await c.world.actions.instance.configure(form, by)));
}

async function formOf(
  c: Comparison,
  wanted: DeclaredInstance,
  present: Instance | undefined,
  file: string,
): Promise<InstanceForm | undefined> {
  const before = c.faults.length;
  const keeps = present !== undefined && present.url === wanted.url.replace(/\/+$/, '');
  const text = (member: keyof DeclaredInstance, kept: boolean): Promise<string | undefined> => {
    const named = wanted[member] as string | undefined;
    return named === undefined ? Promise.resolve('') : readNamed(c, ['instance', member], named, kept, file);
  };
  const hidden = async (member: keyof DeclaredInstance, kept: boolean): Promise<string | undefined> => {
    const found = await text(member, kept);
    if (found !== undefined && found !== '') c.world.hide(new Secret(found));
    return found;
  };
  const secret = await readSecret(c, ['instance', 'secretFile'], wanted.secretFile, keeps, file);
  const stored = present?.advanced;
  const [ca, certificate] = [await text('caFile', false), await text('clientCertificateFile', false)];
  const key = await hidden('clientKeyFile', keeps && stored?.client !== undefined);
  const proxy = await hidden('proxyFile', keeps && stored?.proxy !== '');
  const headers = await hidden('headersFile', keeps && Object.keys(stored?.headers ?? {}).length > 0);
  if (c.faults.length > before) return undefined;
  return {
    ...{ url: wanted.url, asTyped: true, applicationId: wanted.applicationId, secret: secret?.open() ?? '' },
    ...{ authorizeUrl: wanted.authorizeUrl ?? '', tokenUrl: wanted.tokenUrl ?? '', apiUrl: wanted.apiUrl ?? '' },
    ...{ scopes: wanted.scopes, ca: wanted.ca ?? ca ?? '' },
    clientCertificate: wanted.clientCertificate ?? certificate ?? '',
    clientKey: key ?? '',
    proxy: wanted.proxy ?? proxy ?? stored?.proxy ?? '',
    noProxy: (wanted.noProxy ?? []).join(', '),
    headers: headers ?? linesOf(stored?.headers ?? {}),
    ...{ reachableAt: wanted.reachableAt ?? '', minAccessLevel: accessLevels[wanted.minAccessLevel] },
  };
}

const linesOf = (headers: Readonly<Record<string, string>>): string =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');

/** What differs, by the names in the file; never a value of a secret. */
function differences(before: Instance, after: Instance): string[] {
  const parts = ({ advanced, ...rest }: Instance): Record<string, string> => ({
    ...{ url: rest.url, applicationId: rest.applicationId, secretFile: rest.secret.open(), scopes: rest.scopes },
    ...{ authorizeUrl: rest.authorizeUrl, tokenUrl: rest.tokenUrl, apiUrl: rest.apiUrl, ca: advanced.ca },
    ...{ clientCertificate: advanced.client?.certificate ?? '', clientKeyFile: advanced.client?.key.open() ?? '' },
    ...{ proxy: advanced.proxy, noProxy: advanced.noProxy.join(), headersFile: JSON.stringify(advanced.headers) },
    ...{ reachableAt: advanced.reachableAt, minAccessLevel: String(advanced.minAccessLevel) },
  });
  const [old, fresh] = [parts(before), parts(after)];
  return Object.keys(fresh).filter((name) => old[name] !== fresh[name]);
}

/** The webhook to which problems are reported. */
export async function compareNotifications(c: Comparison, file: string): Promise<void> {
  const wanted = c.read.declaration.notifications?.webhook;
  if (!wanted) return;
  const present = storedWebhook(c);
  const path = ['notifications', 'webhook'];
  const address = await readSecret(c, [...path, 'addressFile'], wanted.addressFile, present !== undefined, file);
  const keepsValue = present?.header !== undefined && present.header.name === wanted.header;
  const value =
    wanted.valueFile === undefined
      ? undefined
      : await readSecret(c, [...path, 'valueFile'], wanted.valueFile, keepsValue, file);
  const url = address?.open() ?? present?.address.open();
  if (url === undefined) return;
  if (!isHookUrl(c, url)) return fault(c, [...path, 'addressFile'], 'It does not hold a URL that can be called.');
  const form = {
    on: wanted.on,
    form: wanted.form,
    address: url,
    header: wanted.header ?? '',
    value: value?.open() ?? '',
  };
  if (form.header !== '' && form.value === '' && !keepsValue) return;
  if (present && isSame(present, { ...form, address: c.world.parseHookUrl(url).href })) return;
  step(c, path, `${present ? 'Change' : 'Set up'} the webhook for notifications.`, (by) =>
    c.world.actions.notifications.saveWebhook(form, by),
  );
}

/** One that was altered from outside is written anew. */
function storedWebhook({ world }: Comparison): NoticeWebhook | undefined {
  try {
    return world.store.notify.webhook();
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

function isHookUrl({ world }: Comparison, url: string): boolean {
  try {
    world.parseHookUrl(url);
    return true;
  } catch {
    return false;
  }
}

function isSame(
  present: NoticeWebhook,
  form: { on: boolean; form: string; address: string; header: string; value: string },
): boolean {
  const { on, form: kind, address, header } = present;
  const isSameHeader =
    (header?.name ?? '') === form.header && (form.value === '' || header?.value.open() === form.value);
  return on === form.on && kind === form.form && address.open() === form.address && isSameHeader;
}
