import { isIP } from 'node:net';
import type { Advanced, Connection, ConnectionId, Instance } from '../model/instance.ts';
import { asProblem, type ProblemFacts } from '../model/problem.ts';
import type { Secret } from '../model/secret.ts';
import type { Site } from '../model/site.ts';
import type { Clock } from '../model/world.ts';
import { fixOf, sentence, urlFix } from './check-words.ts';

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
  /** `publicUrl`: our own address, as browsers know it; GitLab's calls come here unless another is set. */
  readonly config: { readonly publicUrl: string };
  readonly network: {
    resolve(url: URL): Promise<readonly string[]>;
    openPort(url: URL, timeoutMs: number): Promise<void>;
    /** The proxy that leads to `url`; empty: it is reached straight. */
    proxyFor(url: URL, rules: Pick<Advanced, 'proxy' | 'noProxy'>): string;
    /** Any answer of this URL; throws Problems, among them `tls-*`. */
    ask(url: string): Promise<{ status: number; headers: Readonly<Record<string, string | string[] | undefined>> }>;
  };
  readonly store: {
    readonly sites: { all(): readonly Site[] };
    readonly instance: { connections(): readonly Connection[] };
  };
  readonly tokens: { withToken<T>(id: ConnectionId, use: (token: Secret) => Promise<T>): Promise<T> };
  readonly client: { version(token: Secret): Promise<{ version: string }> };
  readonly oauth: { knowsApplication(): Promise<boolean> };
}

/** Looks at each thing on its own, in the order in which they build on each other. Never throws. */
export async function checkInstance(instance: Instance | undefined, deps: CheckDeps): Promise<readonly Check[]> {
  if (!instance) {
    return [
      {
        name: 'Settings',
        result: 'bad',
        finding: 'No GitLab is configured yet.',
        fix: 'Enter it on the page Account Settings / Self Hosted GitLab.',
      },
    ];
  }
  const url = new URL(instance.url);
  const by = deps.network.proxyFor(url, instance.advanced);
  const proxy = by === '' ? undefined : new URL(by);
  const checks = proxy ? await checkWay(proxy, proxyWay, deps) : await checkWay(url, directWay, deps);
  const answer = await outcomeOf(deps.network.ask(`${instance.apiUrl}/version`));
  if (proxy) checks.push(checkProxy(proxy, url, answer));
  checks.push(await attempt('Encryption', () => checkEncryption(url, answer)));
  const isTold = checks.some(({ result }) => result === 'bad');
  checks.push(checkClock(answer, deps));
  const gitlab = await attempt('GitLab', () => checkVersion(answer, isTold, deps));
  checks.push(gitlab);
  checks.push(await attempt('Application', () => checkApplication(instance, gitlab, deps)));
  checks.push(checkRedirect(instance, deps));
  checks.push(await checkWayBack(instance, deps));
  return checks;
}

type Finding = Omit<Check, 'name'>;
type Outcome<T> = { readonly value: T } | { readonly error: unknown };
type Answer = Outcome<Awaited<ReturnType<CheckDeps['network']['ask']>>>;

const directWay = {
  name: 'Name',
  nameFix: 'Check the host name in the GitLab URL, and the DNS server of the machine Mooring runs on.',
  port: 'Port',
  portFix: 'Check the port in the GitLab URL, and whether a firewall stands between the two machines.',
};
const proxyWay = {
  name: 'Proxy name',
  nameFix: 'Check the host name of the proxy under Advanced, and the DNS server of the machine Mooring runs on.',
  port: 'Proxy port',
  portFix: 'Check the port of the proxy under Advanced, and that the proxy runs and lets this machine connect.',
};
const applicationFix =
  'In GitLab, open the application and copy its Application ID. If the secret is lost, renew it there. Enter both here.';

/** The first machine on the way: GitLab itself, or the proxy, which looks up GitLab’s name by itself. */
async function checkWay(to: URL, words: typeof directWay, { network }: CheckDeps): Promise<Check[]> {
  const name = await attempt(words.name, () => checkName(to, network), words.nameFix);
  const knock = async (): Promise<Finding> => {
    if (name.result === 'bad') return notTried;
    await network.openPort(to, 5_000);
    return good(`${to.host} accepts connections.`);
  };
  return [name, await attempt(words.port, knock, words.portFix)];
}

async function checkName(to: URL, network: CheckDeps['network']): Promise<Finding> {
  const addresses = await network.resolve(to);
  if (isIP(bareHost(to))) return good(`${bareHost(to)} is an address already.`);
  return good(`${to.hostname} leads to ${addresses.slice(0, 4).join(', ')}.`);
}

function checkProxy(proxy: URL, url: URL, answer: Answer): Check {
  const name = 'Proxy';
  const problem = 'error' in answer ? asProblem(answer.error).toFacts() : undefined;
  if (problem?.facts['at'] === 'proxy') {
    const isKnown = proxy.username !== '' && problem.facts['status'] === '407';
    const said = `The ${problem.facts['reason']?.replace(/^the /, '') ?? 'proxy passes nothing on'}.`;
    const finding = isKnown ? `${proxy.host} does not accept this name and password.` : said;
    return { name, result: 'bad', finding, fix: proxyFix(proxy, url, problem), problem };
  }
  if (problem && isBelowHttp(problem) && !problem.code.startsWith('tls-')) return { name, ...notTried };
  if (url.protocol === 'http:' && !isApi(answer))
    return { name, ...unknown('Over http an answer of the proxy’s own looks like one of GitLab’s.') };
  return { name, ...good(`${proxy.host} passes requests on to ${url.host}.`) };
}

function proxyFix(proxy: URL, url: URL, { facts }: ProblemFacts): string {
  const { status = '' } = facts;
  if (status === '407' && proxy.username === '')
    return `Under Advanced, write both into the proxy’s address: ${proxy.protocol}//name:password@${proxy.host}.`;
  if (status === '407') return 'Check both in the proxy’s address. An @ in them is written %40, a colon %3A.';
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  if (/^50[234]$/.test(status))
    return `Ask whoever runs the proxy whether it knows the name ${url.hostname} and reaches its port ${port}.`;
  return `Ask whoever runs the proxy to let this machine through to ${url.hostname}, port ${port}.`;
}

function checkEncryption(url: URL, answer: Answer): Finding {
  if (url.protocol === 'http:') {
    const finding = 'GitLab is reached over http: tokens are sent unencrypted.';
    return { result: 'unknown', finding, fix: 'Use https if the network between the two is not all yours.' };
  }
  if (!('error' in answer)) return trusted;
  const problem = asProblem(answer.error);
  if (problem.code.startsWith('tls-') || problem.facts['at'] === 'tls') throw problem;
  return isBelowHttp(problem) ? notTried : trusted;
}

function checkClock(answer: Answer, { clock }: CheckDeps): Check {
  const name = 'Clock';
  if ('error' in answer) return { name, ...unknown('No answer came that names a time.') };
  const header = answer.value.headers['date'];
  const theirs = typeof header === 'string' ? Date.parse(header) : NaN;
  if (Number.isNaN(theirs)) return { name, ...unknown('GitLab named no time.') };
  const seconds = Math.round(Math.abs(clock.now() - theirs) / 1_000);
  if (seconds <= 60)
    return { name, ...good(seconds <= 2 ? 'Both clocks agree.' : `The clocks differ by ${seconds} s.`) };
  return {
    name,
    result: 'bad',
    finding: `The clocks differ by ${seconds} s: signed webhooks are refused beyond five minutes.`,
    fix: 'Set both machines by NTP.',
  };
}

async function checkVersion(answer: Answer, isTold: boolean, deps: CheckDeps): Promise<Finding> {
  if ('error' in answer) {
    if (isTold && isBelowHttp(asProblem(answer.error))) return notTried;
    throw answer.error;
  }
  const found = await outcomeOf(versionOf(deps));
  if ('value' in found && found.value) return good(`GitLab ${found.value.version} answers.`);
  if (isApi(answer)) return good('GitLab answers. Its version is shown once someone has connected.');
  return bad(`Something answers there, but it is not GitLab’s API (it answered ${answer.value.status}).`, urlFix);
}

/** GitLab's version, asked with any working connection; undefined when nobody is connected. */
async function versionOf({ store, tokens, client }: CheckDeps): Promise<{ version: string } | undefined> {
  const connection = store.instance.connections().find(({ health }) => health === 'good');
  return connection && tokens.withToken(connection.id, (token) => client.version(token));
}

/** At the same address a GitLab that does not answer would only fail once more. */
async function checkApplication({ apiUrl, tokenUrl }: Instance, gitlab: Check, deps: CheckDeps): Promise<Finding> {
  const isElsewhere = new URL(tokenUrl).origin !== new URL(apiUrl).origin;
  if (gitlab.result !== 'good' && !isElsewhere) return notTried;
  if (await deps.oauth.knowsApplication()) return good('GitLab knows the Application ID with this Secret.');
  return bad('GitLab does not know this Application ID with this Secret.', applicationFix);
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

/** Whether GitLab gets through shows in its calls; before the first one, which addresses it refuses by default is known. */
async function checkWayBack(instance: Instance, deps: CheckDeps): Promise<Check> {
  const name = 'Webhook';
  const told = knownFromHooks(instance, deps.store.sites.all());
  if (told) return { name, ...told };
  if (instance.scopes !== 'api') {
    return { name, result: 'unknown', finding: 'Without the scope api no webhook can be made: branches are polled.' };
  }
  const back = new URL(instance.advanced.reachableAt || deps.config.publicUrl);
  if (back.origin === new URL(instance.url).origin) {
    return {
      name,
      result: 'good',
      finding: 'Mooring is served under GitLab’s own address, which GitLab can always call.',
    };
  }
  const addresses = await outcomeOf(deps.network.resolve(back));
  const local = 'value' in addresses ? addresses.value.find(isLocalAddress) : undefined;
  if (local !== undefined) {
    const finding = `GitLab will call ${back.origin} (${local}), a local address. GitLab refuses those unless they are allowed.`;
    return { name, result: 'unknown', finding, fix: localFix };
  }
  return {
    name,
    result: 'unknown',
    finding: `GitLab will call ${back.origin}. The first push shows whether it gets through.`,
  };
}

const localFix =
  'In GitLab’s admin area, under Settings, Network, Outbound requests, allow webhooks to the local network or add this host ' +
  'to the list; or serve Mooring below GitLab’s own address. Until then branches are polled.';

/** What the sites’ own webhooks have shown. A call from before the settings were saved may have gone to another address. */
function knownFromHooks({ configuredAt }: Instance, sites: readonly Site[]): Finding | undefined {
  const hooks = sites.flatMap(({ name, binding }) => (binding ? [{ site: name, webhook: binding.webhook }] : []));
  const calls = hooks.map(({ webhook }) => ('lastDeliveryAt' in webhook ? webhook.lastDeliveryAt : 0));
  const last = Math.max(0, ...calls);
  if (last >= configuredAt && last > 0) return good(`GitLab gets through: its last call came on ${when(last)}.`);
  for (const { site, webhook } of hooks) {
    if (webhook.kind === 'blocked')
      return bad(`GitLab refused to call ${webhook.address} for the site ${site}: it is a local address.`, localFix);
    if (webhook.kind === 'disabled')
      return bad(`GitLab gave up calling for the site ${site} after too many failures.`, callsFix);
    if (webhook.kind === 'waiting' && webhook.missedAt !== undefined)
      return bad(`A push to the site ${site} came on ${when(webhook.missedAt)} without a call.`, callsFix);
  }
  if (last === 0) return undefined;
  return unknown(
    `GitLab’s last call came on ${when(last)}, before these settings were saved. The next push shows more.`,
  );
}

const callsFix =
  'In GitLab, open the repository’s Settings, Webhooks and look at Recent events of Mooring’s: each failed call names its cause.';

/** What GitLab's filter blocks by default: loopback, private, shared and link-local ranges. */
export function isLocalAddress(address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
  const v4 =
    /^(127\.|10\.|0\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.)/;
  return v4.test(plain) || /^(::1?$|f[cd]|fe[89ab])/i.test(plain);
}

/** `fix`: where the line itself tells more than the kind of failure. */
async function attempt(name: string, check: () => Finding | Promise<Finding>, fix?: string): Promise<Check> {
  try {
    return { name, ...(await check()) };
  } catch (error) {
    const problem = asProblem(error).toFacts();
    return { name, result: 'bad', finding: sentence(problem), fix: fix ?? fixOf(problem), problem };
  }
}

/** The request never became one that GitLab could answer. */
function isBelowHttp({ code }: Pick<ProblemFacts, 'code'>): boolean {
  return code === 'gitlab-unreachable' || code === 'gitlab-slow' || code.startsWith('tls-');
}

/** Without a token GitLab says 401 in JSON: only a GitLab (or a good imitation) does. */
function isApi(answer: Answer): boolean {
  if ('error' in answer) return false;
  return answer.value.status === 401 && String(answer.value.headers['content-type'] ?? '').includes('json');
}

async function outcomeOf<T>(work: Promise<T>): Promise<Outcome<T>> {
  return work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
}

const good = (finding: string): Finding => ({ result: 'good', finding });
const bad = (finding: string, fix: string): Finding => ({ result: 'bad', finding, fix });
const unknown = (finding: string): Finding => ({ result: 'unknown', finding });
const notTried = unknown('Could not be tried yet: mend what failed first.');
const trusted = good('The certificate is valid for this name, and its chain is trusted.');
const when = (at: number): string => `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
const bareHost = (url: URL): string => url.hostname.replace(/^\[|\]$/g, '');
