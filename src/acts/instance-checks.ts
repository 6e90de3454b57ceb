import { isIP } from 'node:net';
import type { Instance } from '../model/instance.ts';
import { asProblem, type ProblemFacts } from '../model/problem.ts';
import type { Clock } from '../model/world.ts';

export interface Check {
  readonly name: string;
  readonly result: 'good' | 'bad' | 'unknown';
  readonly finding: string;
  readonly fix?: string;
  readonly problem?: ProblemFacts;
}

export interface CheckDeps {
  readonly clock: Clock;
  /** The redirect URI to register in GitLab. */
  readonly redirectUri: string;
  /** Our own address, as browsers know it; GitLab's calls come here unless another is set. */
  readonly publicUrl: string;
  readonly network: {
    resolve(url: URL): Promise<readonly string[]>;
    openPort(url: URL, timeoutMs: number): Promise<void>;
    /** Any answer of this URL; throws Problems, among them `tls-*`. */
    ask(url: string): Promise<{ status: number; headers: Readonly<Record<string, string | string[] | undefined>> }>;
  };
  /** GitLab's version by any working connection; undefined when nobody is connected. */
  readonly version: () => Promise<{ version: string } | undefined>;
  readonly knowsApplication: () => Promise<boolean>;
}

/** Looks at each thing on its own, in the order in which they build on each other. Never throws. */
export async function checkInstance(instance: Instance | undefined, deps: CheckDeps): Promise<readonly Check[]> {
  if (!instance) {
    return [
      {
        name: 'Settings',
        result: 'bad',
        finding: 'No GitLab is configured yet.',
        fix: 'Fill in the form and save it.',
      },
    ];
  }
  const url = new URL(instance.url);
  const checks: Check[] = [];
  const isDirect = instance.advanced.proxy === '';
  if (isDirect) {
    checks.push(await attempt('Name', nameFix, () => checkName(url, deps)));
    checks.push(await attempt('Port', portFix, () => checkPort(url, deps)));
  } else {
    checks.push({ name: 'Name', result: 'unknown', finding: 'The proxy looks up the name.' });
  }
  const answer = await settle(deps.network.ask(`${instance.apiUrl}/version`));
  checks.push(await attempt('Encryption', tlsFix, () => checkEncryption(url, answer)));
  checks.push(await attempt('Clock', 'Set this machine to the right time (NTP).', () => checkClock(answer, deps)));
  checks.push(await attempt('GitLab', gitlabFix, () => checkVersion(answer, deps)));
  checks.push(await attempt('Application', applicationFix, () => checkApplication(deps)));
  checks.push(checkRedirect(instance, deps));
  checks.push(await checkWayBack(instance, deps));
  return checks;
}

type Finding = Omit<Check, 'name'>;
type Settled<T> = { readonly value: T } | { readonly error: unknown };
type Answer = Settled<Awaited<ReturnType<CheckDeps['network']['ask']>>>;

const nameFix = 'Check the host name in the GitLab URL, and the DNS server of the machine Mooring runs on.';
const portFix = 'Check the port in the GitLab URL, and whether a firewall stands between the two machines.';
const tlsFix =
  'Under Advanced, paste the certificate of the authority that signed GitLab’s certificate; or have it renewed.';
const gitlabFix = 'Check the GitLab URL: it is the address you open in the browser, with the sub-path if there is one.';
const applicationFix =
  'In GitLab, open the application, copy its Application ID, renew the secret if it is lost, and enter both here.';

async function checkName(url: URL, { network }: CheckDeps): Promise<Finding> {
  const addresses = await network.resolve(url);
  if (isIP(bareHost(url))) return good(`${bareHost(url)} is an address already.`);
  return good(`${url.hostname} leads to ${addresses.slice(0, 4).join(', ')}.`);
}

async function checkPort(url: URL, { network }: CheckDeps): Promise<Finding> {
  await network.openPort(url, 5_000);
  return good(`${url.host} accepts connections.`);
}

function checkEncryption(url: URL, answer: Answer): Finding {
  const code = 'error' in answer ? asProblem(answer.error).code : '';
  if (url.protocol === 'http:') {
    const finding = 'GitLab is reached over http: tokens travel in the open.';
    return { result: 'unknown', finding, fix: 'Use https if the network between the two is not all yours.' };
  }
  if (code.startsWith('tls-')) throw (answer as { error: unknown }).error;
  if (code === 'gitlab-unreachable' || code === 'gitlab-slow') return unknown('Could not be tried: nothing answers.');
  return good('The certificate is valid for this name, and its chain is trusted.');
}

function checkClock(answer: Answer, { clock }: CheckDeps): Finding {
  const header = 'value' in answer ? answer.value.headers['date'] : undefined;
  const theirs = typeof header === 'string' ? Date.parse(header) : NaN;
  if (Number.isNaN(theirs)) return unknown('GitLab named no time.');
  const seconds = Math.round(Math.abs(clock.now() - theirs) / 1_000);
  if (seconds <= 60) return good(seconds <= 2 ? 'Both clocks agree.' : `The clocks differ by ${seconds} s.`);
  return {
    result: 'bad',
    finding: `The clocks differ by ${seconds} s: signed webhooks are refused beyond five minutes.`,
    fix: 'Set both machines by NTP.',
  };
}

async function checkVersion(answer: Answer, deps: CheckDeps): Promise<Finding> {
  if ('error' in answer) throw answer.error;
  const found = await settle(deps.version());
  if ('value' in found && found.value) return good(`GitLab ${found.value.version} answers.`);
  // Without a token GitLab says 401 in JSON: only a GitLab (or a good imitation) does.
  const type = String(answer.value.headers['content-type'] ?? '');
  if (answer.value.status === 401 && type.includes('json'))
    return good('GitLab answers. Its version shows once somebody is connected.');
  return { result: 'bad', finding: 'Something answers there, but it is not GitLab’s API.', fix: gitlabFix };
}

async function checkApplication(deps: CheckDeps): Promise<Finding> {
  if (await deps.knowsApplication()) return good('GitLab knows the Application ID with this Secret.');
  return { result: 'bad', finding: 'GitLab does not know this Application ID with this Secret.', fix: applicationFix };
}

/** GitLab tells about a wrong redirect URI only to a signed-in browser, so here the admin compares. */
function checkRedirect(instance: Instance, deps: CheckDeps): Check {
  return {
    name: 'Redirect URI',
    result: 'unknown',
    finding: `Only GitLab’s page can tell. It must be registered exactly so: ${deps.redirectUri}`,
    fix: `Scopes to tick in the application: ${instance.scopes.replaceAll(' ', ', ')}.`,
  };
}

/** Nobody can see from here whether GitLab gets through; but which addresses it refuses by default is known. */
async function checkWayBack(instance: Instance, deps: CheckDeps): Promise<Check> {
  const name = 'Webhook';
  if (instance.scopes !== 'api') {
    return { name, result: 'unknown', finding: 'Without the scope api no webhook can be made: branches are polled.' };
  }
  const back = new URL(instance.advanced.reachableAt || deps.publicUrl);
  if (back.origin === new URL(instance.url).origin) {
    return { name, result: 'good', finding: 'Mooring lies under GitLab’s own address, which GitLab always may call.' };
  }
  const addresses = await settle(deps.network.resolve(back));
  const local = 'value' in addresses ? addresses.value.find(isLocalAddress) : undefined;
  if (local !== undefined) {
    return {
      name,
      result: 'unknown',
      finding: `GitLab will call ${back.origin} (${local}), a local address. GitLab refuses those unless they are allowed.`,
      fix:
        'In GitLab’s admin area, under Settings, Network, Outbound requests, allow webhooks to the local network or add this host ' +
        'to the list; or serve Mooring below GitLab’s own address. Until then branches are polled.',
    };
  }
  return {
    name,
    result: 'unknown',
    finding: `GitLab will call ${back.origin}. The first push shows whether it gets through.`,
  };
}

/** What GitLab's filter blocks by default: loopback, private, shared and link-local ranges. */
export function isLocalAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  const v4 =
    /^(127\.|10\.|0\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/;
  return v4.test(plain) || /^(::1?$|f[cd]|fe[89ab])/i.test(plain);
}

async function attempt(name: string, fix: string, check: () => Finding | Promise<Finding>): Promise<Check> {
  try {
    return { name, ...(await check()) };
  } catch (error) {
    const problem = asProblem(error).toFacts();
    return { name, result: 'bad', finding: sentence(problem), fix, problem };
  }
}

function sentence({ code, facts }: ProblemFacts): string {
  const { host = 'GitLab', reason, issuer, names, until } = facts;
  if (code === 'tls-expired')
    return `The certificate of ${host} is not valid at this time${until ? ` (until ${until})` : ''}.`;
  if (code === 'tls-name') return `The certificate of ${host} is made for ${names || 'other names'}.`;
  if (code === 'tls-untrusted')
    return `The certificate of ${host} comes from ${issuer || 'an issuer'}, which is not trusted here.`;
  if (code === 'gitlab-slow') return `${host} did not answer in time.`;
  if (facts['to']) return `${host} sends on to ${facts['to']}: enter that address instead.`;
  return reason ? `${host}: ${reason}.` : `${host} gave an answer that cannot be used (${code}).`;
}

async function settle<T>(work: Promise<T>): Promise<Settled<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

const good = (finding: string): Finding => ({ result: 'good', finding });
const unknown = (finding: string): Finding => ({ result: 'unknown', finding });
const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');
