import { isIP } from 'node:net';
import type { MailSettings } from './model/notice.ts';
import { Secret } from './model/secret.ts';
import type { Environment, VariableName } from './settings.ts';

/** Told of a variable that cannot be used, in a sentence. */
export type Fault = (name: VariableName, text: string) => void;

/** How to send e-mail. All three settings are required together: one alone is a mistake. */
export function readMail(
  { MOORING_MAIL_FROM: from, MOORING_MAIL_TO: to }: Environment,
  url: Secret | undefined | 'unreadable',
  fault: Fault,
): MailSettings | undefined {
  if (!url && from === undefined && to === undefined) return undefined;
  const wanted = 'E-mail needs MOORING_SMTP_URL, MOORING_MAIL_FROM and MOORING_MAIL_TO together.';
  if (!url) fault('MOORING_SMTP_URL', wanted);
  if (from === undefined) fault('MOORING_MAIL_FROM', wanted);
  else if (!isMailbox(from)) fault('MOORING_MAIL_FROM', 'It must be one address, optionally with a name before it.');
  const people = (to ?? '').split(',').map((one) => one.trim());
  if (to === undefined) fault('MOORING_MAIL_TO', wanted);
  else if (!people.every(isAddress) || people.length > 20)
    fault('MOORING_MAIL_TO', 'It must list addresses separated by commas, at most 20.');
  const server = url instanceof Secret ? readServer(url, fault) : undefined;
  return server && from !== undefined && to !== undefined ? { ...server, from, to: people } : undefined;
}

/** Faults never quote the URL: it contains a password. */
function readServer(secret: Secret, fault: Fault): Omit<MailSettings, 'from' | 'to'> | undefined {
  const bad = (what: string): undefined => void fault('MOORING_SMTP_URL', what);
  const text = secret.open();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['smtp:', 'smtps:'].includes(url.protocol) || url.hostname === '') {
    return bad('It must start with smtp:// or smtps:// and name a host. Write @ in the password as %40 and / as %2F.');
  }
  const plain = url.search === '?tls=no';
  if (!['', '/'].includes(url.pathname) || url.hash !== '' || (url.search !== '' && !plain)) {
    return bad('Nothing may follow the host and port except ?tls=no.');
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 0 && !/^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(host))
    return bad('This is not a host name.');
  const here = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(host);
  const tls = url.protocol === 'smtps:' ? 'from-the-start' : plain || here ? 'none' : 'starttls';
  if (plain && url.protocol === 'smtps:') return bad('smtps:// is always encrypted; ?tls=no is only for smtp://.');
  const [user, password] = [decoded(url.username), decoded(url.password)];
  if (user === undefined || password === undefined) return bad('Write % in the user name or password as %25.');
  if ((user === '') !== (password === '')) return bad('It needs both a user name and a password, or neither.');
  if (tls === 'none' && user !== '' && !here) return bad('Without TLS the password would be sent unencrypted.');
  const port = url.port === '' ? (tls === 'from-the-start' ? 465 : here || plain ? 25 : 587) : Number(url.port);
  return { host, port, tls, ...(user === '' ? {} : { user, password: new Secret(password) }) };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** No quotes, brackets, spaces or line breaks: nothing that could end one address and start another. */
function isAddress(text: string): boolean {
  return text.length <= 254 && /^[\w.!#$%&'*+/=?^`{|}~-]+@[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/.test(text);
}

function isMailbox(text: string): boolean {
  const [, name, address] = /^([^<>]*)<([^<>]*)>$/.exec(text.trim()) ?? [];
  if (name === undefined || address === undefined) return isAddress(text.trim());
  return isAddress(address) && name.length <= 100 && !/[\p{Cc}",;:@]/u.test(name);
}
