import { Problem } from '../model/problem.ts';
import { isForbiddenAddress } from './address.ts';

/** What follows from a GitLab URL. All are absolute, without a final slash. */
export interface InstanceUrls {
  readonly url: string;
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly apiUrl: string;
}

/**
 * Reads what a person typed as the URL of their GitLab: http or https, a sub-path is kept.
 * Throws `instance-url-invalid` with facts `url`, `reason` (a sentence), `likely` (the URL that was probably meant; absent
 * when there is none) and `hint` (both in one).
 */
export function parseInstanceUrl(text: string): InstanceUrls {
  const parsed = parseHttpUrl(text);
  const path = parsed.pathname.replace(/\/+$/, '');
  const origin = `${parsed.protocol}//${parsed.host}`;
  const root = instancePath(path);
  if (root !== path) {
    refuse(text, 'This is the address of a page or a repository inside GitLab, not of GitLab itself.', origin + root);
  }
  return deriveUrls(origin + path);
}

/**
 * The instance that was probably meant by a URL that {@link parseInstanceUrl} accepts, where its path may as well be a
 * repository's: several names, none of them telling of git. Undefined: nothing speaks against it.
 */
export function likelyInstead(url: string): string | undefined {
  const { origin, pathname } = new URL(url);
  const names = pathname.split('/').filter(Boolean);
  return names.length < 2 || names.some((name) => /git/i.test(name)) ? undefined : origin;
}

/** The endpoints of a GitLab at `url`, which must be normalised already. */
export function deriveUrls(url: string): InstanceUrls {
  return { url, authorizeUrl: `${url}/oauth/authorize`, tokenUrl: `${url}/oauth/token`, apiUrl: `${url}/api/v4` };
}

/**
 * Any http(s) URL a person typed (proxy, own address, an endpoint), checked like the instance's but with any path.
 * Throws `instance-url-invalid` like {@link parseInstanceUrl}.
 */
export function parseHttpUrl(text: string): URL {
  const typed = text.trim();
  if (typed === '') refuse(text, 'Enter the address of your GitLab, such as https://gitlab.example.', '');
  if (/[\s\\\p{Cc}]/u.test(typed)) refuse(text, 'An address has no spaces and no backslashes.', '');
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(typed)) {
    // `javascript:x` has a scheme, `gitlab.example:8443/x` only a port: the digits tell.
    const hasScheme = /^[a-z][a-z0-9+.-]*:(?!\d+(\/|$))/i.test(typed);
    refuse(
      text,
      'The address must begin with https:// or http://.',
      hasScheme ? '' : `https://${withoutUserInfo(typed)}`,
    );
  }
  if (!/^https?:\/\//i.test(typed)) refuse(text, 'Only https:// and http:// addresses can be used.', '');
  return checkParts(typed, text);
}

function checkParts(typed: string, text: string): URL {
  if (!URL.canParse(typed)) refuse(text, 'This is not a complete address.', '');
  const url = new URL(typed);
  const bare = `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, '')}`;
  if (url.username !== '' || url.password !== '' || rawAuthority(typed).includes('@')) {
    refuse(withoutUserInfo(typed), 'The address must not contain a user name or password.', bare);
  }
  if (url.search !== '' || url.hash !== '' || /[?#]/.test(typed)) {
    refuse(text, 'The address must not contain ? or #.', bare);
  }
  if (isOddHost(rawHost(typed), url.hostname)) {
    refuse(text, 'Write the IP address in the usual form, such as 192.0.2.10.', bare);
  }
  if (isForbiddenAddress(url.hostname.replace(/^\[|\]$/g, ''))) {
    refuse(text, 'Link-local and metadata addresses are never called.', '');
  }
  return url;
}

/** `0x7f.1`, `2130706433` and `0177.0.0.1` all mean 127.0.0.1 to a URL parser: only the plain form is what it seems. */
function isOddHost(raw: string, parsed: string): boolean {
  const isIpv4 = /^\d+\.\d+\.\d+\.\d+$/.test(parsed);
  if (isIpv4) return raw !== parsed;
  return raw.includes('%');
}

const rawAuthority = (typed: string): string => /^[a-z]+:\/\/([^/?#]*)/i.exec(typed)?.[1] ?? '';
const rawHost = (typed: string): string => rawAuthority(typed).replace(/^.*@/, '').replace(/:\d*$/, '');
const withoutUserInfo = (typed: string): string => typed.replace(/^([a-z]+:\/\/)?[^/?#]*@/i, '$1');

/**
 * Where GitLab itself is, given the path of some page in it. Only what is a page beyond doubt is taken for one: any other
 * path may be a sub-path that a house chose for its GitLab, however deep, and Test connection tells.
 */
function instancePath(path: string): string {
  const root = path.replace(instancePage, '');
  if (root !== path) return root;
  const inside = path.replace(/\/-\/.*$|\/-$|\.git$/, '');
  if (inside === path) return path;
  // A repository's page: which of the names before it are GitLab's, only a name such as `gitlab` tells.
  const names = inside.split('/').slice(1);
  const at = names.findIndex((name) => /^git(lab)?$/i.test(name));
  return at < 0 ? '' : `/${names.slice(0, at + 1).join('/')}`;
}

/** Pages and endpoints of the instance, which lie right below its root. */
const instancePage =
  /\/(?:users\/(?:sign_in|sign_up|password|auth)|oauth\/[^/]+|api\/(?:v4|graphql)|-\/(?:user_settings|profile)|admin\/applications|(?:dashboard|explore)\/projects)(?:\/.*)?$/;

function refuse(url: string, reason: string, likely: string): never {
  const facts = { url: url.slice(0, 300), reason, hint: likely === '' ? reason : `${reason} Did you mean ${likely}?` };
  throw new Problem('instance-url-invalid', likely === '' ? facts : { ...facts, likely });
}
