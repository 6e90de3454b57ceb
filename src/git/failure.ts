import { escapeControls } from '../model/tree.ts';
import { Problem } from '../model/problem.ts';
import { handshakeRefused } from '../net/failure.ts';

/**
 * What git's network commands say, as Problems. Git's exit codes tell little, so this reads its English (the
 * environment fixes the language); anything unknown stays `git-failed` with git's own words. `atLimit`: what had come in
 * was as large as a file may become.
 */
export function fetchFailure(
  stderr: string,
  facts: { project: string; branch: string },
  { atLimit = false }: { readonly atLimit?: boolean } = {},
): Problem {
  const text = cleanOutput(stderr);
  const cause = { cause: new Error(lastLines(text)) };
  if (/couldn't find remote ref|does not appear to be a git repository/i.test(text))
    return new Problem('branch-missing', facts, cause);
  if (
    /fsck|hasDot|badTree|does not contain a valid|index-pack failed.*fsck/i.test(text) &&
    /error: object/.test(text)
  ) {
    return new Problem('fetch-refused', { ...facts, text: lastLines(text) }, cause);
  }
  // Before it said a word: which signal it was is not known while the pack still comes in.
  const isKilled = /^(remote:.*\n)*fatal: fetch-pack: invalid index-pack output$/.test(text.trim());
  if (killed.test(text) || (isKilled && !atLimit))
    return new Problem('git-killed', { ...facts, command: 'fetch' }, cause);
  // SIGXFSZ: the limit on what a fetch may write.
  if (isKilled || /died of signal 25/.test(text)) return new Problem('repository-too-large', facts, cause);
  return networkFailure(text, facts) ?? new Problem('git-failed', { command: 'fetch', text: lastLines(text) }, cause);
}

/** As {@link fetchFailure}; `push-refused` and `push-not-allowed` where the push was turned down at the door. */
export function pushFailure(stderr: string, facts: { project: string; branch: string }): Problem {
  const text = cleanOutput(stderr);
  const refused = statusOf(text);
  // What stands in front of GitLab has limits of its own: sent again it would be turned down again.
  if (/^4/.test(refused) && !answeredElsewhere.has(refused)) {
    return new Problem('push-refused', { ...facts, text: remoteLines(text) || atTheDoor(refused) });
  }
  if (killed.test(text))
    return new Problem('git-killed', { ...facts, command: 'push' }, { cause: new Error(lastLines(text)) });
  return (
    networkFailure(text, facts) ??
    new Problem('git-failed', { command: 'push', text: lastLines(text) }, { cause: new Error(lastLines(text)) })
  );
}

function networkFailure(text: string, facts: { project: string; branch: string }): Problem | undefined {
  const cause = { cause: new Error(lastLines(text)) };
  const http = statusOf(text);
  if (/Authentication failed|could not read Username|HTTP Basic: Access denied/.test(text) || http === '401') {
    return new Problem('grant-lost', facts, cause);
  }
  // A storage move, a Geo secondary, maintenance: over by itself, so nobody need choose anything.
  if (/temporarily read-only|read-only GitLab|read-only\) maintenance mode/i.test(text)) {
    return new Problem('gitlab-maintenance', { ...facts, text: remoteLines(text) }, cause);
  }
  if (gitHttpDisabled.test(text)) return new Problem('git-http-disabled', { ...facts, text: remoteLines(text) }, cause);
  if (/mismatched (?:algorithms|object format)|object format .*not supported|unknown object format/i.test(text))
    return new Problem('repository-sha256', facts, cause);
  if (http === '403') return new Problem('push-not-allowed', { ...facts, text: remoteLines(text) }, cause);
  if (http === '404' || http === '410' || /repository '.*' not found/.test(text))
    return new Problem('project-missing', facts, cause);
  // Git does not tell what Retry-After says; a minute is the window of GitLab's own limits.
  if (http === '429') return new Problem('gitlab-busy', facts, { ...cause, retryAfterMs: 60_000 });
  if (http === '407' || /CONNECT tunnel failed/.test(text))
    return new Problem('gitlab-unreachable', { ...facts, reason: 'the proxy did not pass it on' }, cause);
  // Before the words that every broken connection ends with.
  if (/Operation too slow|timed out/.test(text)) return new Problem('gitlab-slow', facts, cause);
  if (http.startsWith('5')) return new Problem('gitlab-error', { ...facts, status: http }, cause);
  if (
    /Could not resolve (?:host|proxy)|Failed to connect|Connection refused|Connection reset|Empty reply|(?:Recv|Send) failure|hung up unexpectedly|early EOF|unexpected disconnect|transfer closed/.test(
      text,
    )
  ) {
    return new Problem('gitlab-unreachable', { ...facts, reason: brokenBy(text) }, cause);
  }
  if (clientCertificateAlert.test(text)) return new Problem('tls-client-certificate', facts, cause);
  if (/alert handshake failure|Handshake failed|TLS fatal alert has been received/.test(text))
    return new Problem('gitlab-unreachable', { ...facts, reason: handshakeRefused }, cause);
  if (/certificate has expired/.test(text)) return new Problem('tls-expired', facts, cause);
  if (/SSL|certificate/.test(text)) return new Problem('tls-untrusted', facts, cause);
  if (http.startsWith('3') || /redirect/i.test(text))
    return new Problem('gitlab-answer-odd', { ...facts, reason: 'it redirects git elsewhere' }, cause);
  if (isFullDisk(text)) return new Problem('disk-full', facts, cause);
  return undefined;
}

/** A server refuses a caller for its certificate, or for having none: in OpenSSL's words, and in those of GnuTLS. */
const clientCertificateAlert = new RegExp(
  [
    'alert (?:certificate required|bad certificate|unknown ca|certificate (?:unknown|expired|revoked))',
    'gnutls_handshake\\(\\) failed: (?:CA is unknown|Certificate (?:is|was|has|could))',
    'Certificate is required',
  ].join('|'),
);

/** GitLab's words where an admin allows git over SSH only. */
export const gitHttpDisabled = /git access over HTTP is not allowed|(?:pulling|pushing) over HTTP is not allowed/i;

/** How the way to GitLab was broken, in our words: git's own, such as «curl 18», are the technical cause. */
function brokenBy(text: string): string {
  if (/Could not resolve proxy/.test(text)) return 'the proxy’s name was not found';
  if (/Could not resolve host/.test(text)) return 'its name was not found';
  if (/Failed to connect|Connection refused/.test(text)) return 'nothing answers at its port';
  return 'the connection broke off';
}

/** The HTTP status that ended git's request; empty where there was none. */
function statusOf(text: string): string {
  return /(?:HTTP|error:|returned error:?) ?(\d{3})/.exec(text)?.[1] ?? '';
}

/** Statuses that say nothing about this very push. */
const answeredElsewhere = new Set(['401', '403', '404', '407', '408', '410', '429']);

function atTheDoor(status: string): string {
  if (status === '413')
    return 'Something in front of GitLab answered 413: the push is larger than it lets through (in nginx client_max_body_size).';
  return `GitLab, or something in front of it, answered ${status}.`;
}

/** The kernel's memory killer, or somebody with `kill -9`. */
const killed = /died of signal 9\b/;

/** A local command of git that failed. */
export function localFailure(command: string, stderr: string): Problem {
  const facts = { command, text: stderr.trim().slice(0, 500) };
  if (isFullDisk(stderr)) return new Problem('disk-full', {}, { cause: new Error(facts.text) });
  if (killed.test(stderr)) return new Problem('git-killed', { command }, { cause: new Error(facts.text) });
  return new Problem(isDamage(stderr) ? 'git-damaged' : 'git-failed', facts);
}

/** What a command printed is not what it prints: cut off, or in another form. Never to be taken for the whole of it. */
export function oddAnswer(command: string): Problem {
  return new Problem('git-failed', { command, text: 'Its output is cut off, or not in the form that was expected.' });
}

/** Our own copy cannot be read any more; the folder and GitLab are complete without it. */
const isDamage = (text: string): boolean =>
  /corrupt|bad object|unable to read|missing (blob|tree|commit)|loose object|inflate|bad tree|not a git repository|unable to parse|not a valid object|not a tree object|invalid object|is empty/i.test(
    text,
  );

const isFullDisk = (text: string): boolean =>
  /No space left|Out of diskspace|Disk quota exceeded|file size limit|File too large/i.test(text);

/** The words after `remote:`: GitLab's, or its hooks'. */
export function remoteLines(text: string): string {
  return cleanOutput(text)
    .split('\n')
    .filter((line) => line.startsWith('remote:'))
    .map((line) => line.slice('remote:'.length).trim())
    .filter((line) => line !== '')
    .join('\n')
    .slice(0, 2_000);
}

/** Terminal sequences out, control characters visible, anything that looks like a credential masked. */
export function cleanOutput(text: string): string {
  return (
    text
      .replace(/\u001b\[[0-9;?]*[ -/]*[@-~]/g, '')
      // Padding of a server that counts bytes: it says nothing.
      .replaceAll('\0', '')
      .split(/\r\n|\n|\r/)
      .map((line) => escapeControls(line.replaceAll('\t', '  ')).trimEnd())
      .join('\n')
      .replace(/(oauth2:|Basic |Bearer |glpat-)[A-Za-z0-9+/=_.~-]+/g, '$1[secret]')
      .slice(0, 20_000)
  );
}

function lastLines(text: string): string {
  return text.split('\n').filter(Boolean).slice(-4).join('\n').slice(0, 500);
}
