/** Doorkeeper's comparison of redirect addresses (lib/doorkeeper/oauth/helpers/uri_checker.rb). */

const loopbackLiterals = new Set(['127.0.0.1', '[::1]']);

/** Is the address asked for the one registered? A final slash counts; a port does not, on loopback IP literals. */
export function redirectMatches(asked: string, registered: string): boolean {
  if (!isRedirectUri(asked) || !isRedirectUri(registered)) return false;
  const [a, b] = [new URL(asked), new URL(registered)];
  const anyPort = loopbackLiterals.has(a.hostname) && a.hostname === b.hostname;
  const same = a.protocol === b.protocol && a.hostname === b.hostname && rawPath(asked) === rawPath(registered);
  return same && (anyPort || a.port === b.port) && (b.search === '' || sortedQuery(a) === sortedQuery(b));
}

/** Absolute, without a fragment, and not of a kind that runs script. */
export function isRedirectUri(text: string): boolean {
  if (!URL.canParse(text) || text.includes('#')) return false;
  return !['data:', 'vbscript:', 'javascript:'].includes(new URL(text).protocol);
}

// URL would turn "https://host" into "https://host/", which Ruby's parser keeps apart.
const rawPath = (text: string): string => /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*([^?#]*)/i.exec(text)?.[1] ?? text;

const sortedQuery = (url: URL): string => {
  const query = new URLSearchParams(url.search);
  query.sort();
  return query.toString();
};
