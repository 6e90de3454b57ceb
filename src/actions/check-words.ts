import type { ProblemCode, ProblemFacts } from '../model/problem.ts';

/** What a failed check found, in a sentence for the admin who reads it. */
export function sentence({ code, facts, retryAfterMs }: ProblemFacts): string {
  const { host = 'GitLab', reason, issuer, names, until, status } = facts;
  if (code === 'tls-expired')
    return `The certificate of ${host} is not valid at this time${until ? ` (until ${until})` : ''}.`;
  if (code === 'tls-name') return `The certificate of ${host} is issued for ${names || 'other names'}.`;
  if (code === 'tls-client-certificate')
    return facts['sent']
      ? `${host} does not accept the client certificate.`
      : `${host} asks callers for a client certificate, and none is configured.`;
  if (code === 'tls-untrusted')
    return `The certificate of ${host} comes from ${issuer || 'an issuer'}, which is not trusted here.`;
  if (code === 'gitlab-slow') return `${host} did not answer in time.`;
  if (code === 'gitlab-maintenance') return `${host} is in maintenance mode.`;
  if (code === 'gitlab-busy')
    return `${host} answered ${status ?? '429'}: it limits the rate of requests${span(retryAfterMs)}.`;
  if (code === 'gitlab-error' && isPassing(facts)) return `${host} answered ${status}: GitLab is down for the moment.`;
  if (code === 'gitlab-error') return `${host} answered ${status ?? '500'}: something failed inside GitLab.`;
  if (code === 'instance-not-gitlab') return 'Something answers at the Token URL, but it is not GitLab.';
  if (facts['to']) return `${host} sends on to ${facts['to']}.`;
  return reason ? `${host}: ${reason}.` : `${host} gave an answer that cannot be used${status ? ` (${status})` : ''}.`;
}

/** What to do about it, chosen by what happened. */
export function fixOf({ code, facts }: ProblemFacts): string {
  if (facts['at'] === 'tls')
    return 'If GitLab is served without encryption, enter its URL with http://; otherwise with the port on which it speaks TLS.';
  if (facts['to']) return moveFix(facts['to']);
  if (code === 'gitlab-answer-odd' && facts['status'] === '401') return gateFix;
  if (code === 'gitlab-error' && !isPassing(facts)) return 'GitLab’s own log says what failed; its admins can see it.';
  return fixes[code] ?? urlFix;
}

export const urlFix =
  'Check the GitLab URL: it is the address you open in the browser, with the sub-path if there is one, but without a group, a repository or a page.';

const fixes: Partial<Record<ProblemCode, string>> = {
  'tls-untrusted': 'Under Advanced, paste the certificate of the authority that signed GitLab’s certificate.',
  'tls-expired': 'Have the certificate renewed. If it should be valid, set the clock of this machine by NTP.',
  'tls-client-certificate':
    'Under Advanced, enter a client certificate and its key, issued by an authority that GitLab’s server, or the gateway in front of it, trusts.',
  'tls-name': 'Enter the GitLab URL with a name that the certificate contains, or issue a certificate for this name.',
  'gitlab-unreachable': 'See whether a firewall or a load balancer between the two machines ends the connection.',
  'gitlab-slow': 'Look at the load of the GitLab machine, and whether a firewall swallows what is sent to it.',
  'gitlab-busy':
    'Wait that long and test again. If it lasts, raise the rate limits in GitLab’s admin area, under Settings, Network.',
  'gitlab-error':
    'Wait a few minutes and test again. If it lasts, see on the GitLab machine whether all its services run: gitlab-ctl status.',
  'gitlab-maintenance': 'Wait until its admins end the maintenance mode. Until then edits wait here.',
  'instance-not-gitlab': 'Check the Token URL among the addresses derived from the GitLab URL.',
};

const gateFix =
  'Whoever runs it has to let Mooring through to the API, to /oauth and to git; or add the header it wants under Advanced.';

/** From http to https, or to another host, it is the same question at another address; anything else is a sign-in page. */
function moveFix(to: string): string {
  const asked = '/api/v4/version';
  if (to.endsWith(asked)) return `Enter ${to.slice(0, -asked.length)} as the GitLab URL.`;
  return `If GitLab opens there in the browser, enter that as the GitLab URL. It may also be a sign-in that stands before GitLab. ${gateFix}`;
}

/** What a web server says while GitLab behind it restarts or is updated. */
const isPassing = ({ status }: ProblemFacts['facts']): boolean => ['502', '503', '504'].includes(status ?? '');

const span = (ms: number | undefined): string => (ms === undefined ? '' : ` for ${Math.ceil(ms / 1_000)} s`);
