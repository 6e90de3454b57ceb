import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Clicker, Fill, Page } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { type Harbour, freePort, inHarbourWithoutGitLab } from '../support/daemon.ts';
import { demandingProxy } from '../support/demanding-proxy.ts';
import { addSite, authorised, configured, makeFolder, mooredSite, signedIn } from '../support/moored.ts';
import { listen, listenRaw } from '../net/support.ts';

const tests = suite('gitlab-depth/connection-test');

/** Every line of the page's list as a person reads it: name to verdict, finding and fix. */
function linesOf({ html }: Page): Record<string, string> {
  const list = /<ul class="checks">(.*?)<\/ul>/s.exec(html)?.[1] ?? '';
  const lines = [...list.matchAll(/<b>([^<]*)<span class="vh"> ([^<]*)<\/span><\/b>(.*?)<\/li>/gs)];
  const text = (part: string): string =>
    part
      .replace(/<[^>]*>/g, ' ')
      .replace(/\s+/g, ' ')
      .trim();
  return Object.fromEntries(lines.map(([, name = '', verdict = '', rest = '']) => [name, `${verdict}: ${text(rest)}`]));
}

/** Saves these settings and presses Test connection; `failed`: the names of the lines that failed. */
async function tested({ url, application }: Harbour, clicker: Clicker, fill: Fill) {
  await clicker.open(`${url}/account/gitlab`);
  const saved = await clicker.press('Configure Self Hosted GitLab', { Secret: application.secret, ...fill });
  assert.match(saved.words, 'Self Hosted GitLab is configured');
  const lines = linesOf(await clicker.press('Test connection'));
  const failed = Object.keys(lines).filter((name) => lines[name]?.startsWith('failed'));
  return { lines, failed };
}

const notTried = 'not known: Could not be tried yet';

tests('straight: each cause fails one line, with its own fix, and what could not be tried is not called wrong', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const all = await tested(harbour, clicker, {});
    assert.equal(all.failed, []);
    assert.match(all.lines['Application'] ?? '', 'passed: GitLab knows');

    const closed = await tested(harbour, clicker, { 'GitLab URL': `http://127.0.0.1:${await freePort()}` });
    assert.equal(closed.failed, ['Port']);
    assert.match(closed.lines['Port'] ?? '', /nothing listens.*Check the port in the GitLab URL/);
    for (const name of ['GitLab', 'Application']) assert.match(closed.lines[name] ?? '', notTried);

    const nameless = await tested(harbour, clicker, { 'GitLab URL': 'http://no-such-host.invalid' });
    assert.equal(nameless.failed, ['Name']);
    assert.match(nameless.lines['Port'] ?? '', notTried);

    const plain = await tested(harbour, clicker, { 'GitLab URL': gitlab.url.replace('http:', 'https:') });
    assert.equal(plain.failed, ['Encryption']);
    assert.match(plain.lines['Encryption'] ?? '', /does not speak TLS.*enter its URL with http:\/\//);

    const cut = await listenRaw((socket) => socket.once('data', () => socket.destroy()));
    const mute = await tested(harbour, clicker, { 'GitLab URL': cut.url });
    assert.equal(mute.failed, ['GitLab']);
    assert.match(mute.lines['GitLab'] ?? '', /the connection was cut.*firewall/);
    assert.match(mute.lines['Application'] ?? '', notTried);
    await cut.close();
  }),
);

tests('GitLab that is down for a moment, redirects or is none: the line GitLab says which, and what to do', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab } = harbour;
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const gitlabSays = async (rule: Parameters<typeof gitlab.faults.add>[0]) => {
      const away = gitlab.faults.add(rule);
      const { lines, failed } = await tested(harbour, clicker, { 'GitLab URL': gitlab.url });
      away();
      assert.equal(failed, ['GitLab']);
      assert.match(lines['Application'] ?? '', notTried);
      return lines['GitLab'] ?? '';
    };
    const match = (): boolean => true;
    const html = { 'content-type': 'text/html' };
    for (const status of [502, 503, 504]) {
      const down = await gitlabSays({ match, status, headers: html, body: '<html>Deploy in progress</html>' });
      assert.match(down, new RegExp(`answered ${status}: GitLab is down for the moment.*gitlab-ctl status`));
    }
    assert.match(await gitlabSays({ match, status: 500, body: 'x' }), /something failed inside.*own log/);
    const busy = await gitlabSays({ match, status: 429, headers: { 'retry-after': '30' }, body: 'x' });
    assert.match(busy, /limits the rate of requests for 30 s.*rate limits/);
    const moved = await gitlabSays({ match, redirect: 'https://git.example/api/v4/version' });
    assert.match(moved, /sends on to .*Enter https:\/\/git\.example as the GitLab URL/);
    const guarded = await gitlabSays({ match, redirect: 'https://sso.example/login' });
    assert.match(guarded, /sso\.example.*a sign-in that stands before GitLab/);
    const gate = { ...html, 'www-authenticate': 'Basic realm="house"' };
    assert.match(await gitlabSays({ match, status: 401, headers: gate, body: '<html>' }), /sign-in of its own/);
    assert.match(await gitlabSays({ match, status: 404, headers: html, body: '<html>' }), /not GitLab’s API.*a group/);
  }),
);

tests(
  'through a proxy: its name, its port and its refusals are lines of their own, and GitLab is not blamed',
  async () => {
    const demanding = await demandingProxy({ user: 'house', password: 'tide' });
    const bare = `http://127.0.0.1:${new URL(demanding.url).port}`;
    const refusing = (status: number) =>
      listenRaw((socket) =>
        socket.once('data', () => socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`)),
      );
    const squids = [await refusing(403), await refusing(503)] as const;
    const own = await listen((_request, response) =>
      response.writeHead(403, { 'content-type': 'text/html' }).end('No'),
    );
    try {
      await inHarbourWithoutGitLab(async (harbour) => {
        const clicker = await signedIn(harbour);
        await configured(harbour, clicker);
        const ways = { http: { 'GitLab URL': harbour.gitlab.url }, https: { 'GitLab URL': 'https://gitlab.example' } };

        const through = await tested(harbour, clicker, { ...ways.http, Proxy: demanding.url });
        assert.equal(through.failed, []);
        assert.match(through.lines['Proxy port'] ?? '', /^passed: 127\.0\.0\.1:\d+ accepts/);
        assert.match(through.lines['Proxy'] ?? '', `passes requests on to`);
        assert.is(through.lines['Port'], undefined);

        const dead = await freePort();
        for (const way of [ways.http, ways.https]) {
          const gone = await tested(harbour, clicker, { ...way, Proxy: `http://127.0.0.1:${dead}` });
          assert.equal(gone.failed, ['Proxy port']);
          assert.match(gone.lines['Proxy port'] ?? '', new RegExp(`127\\.0\\.0\\.1:${dead}: nothing listens.*proxy`));
          for (const name of ['Proxy', 'GitLab', 'Application']) assert.match(gone.lines[name] ?? '', notTried, name);

          const asks = await tested(harbour, clicker, { ...way, Proxy: bare });
          assert.equal(asks.failed, ['Proxy']);
          const named = /: The proxy asks for a name and password.*http:\/\/name:password@127\.0\.0\.1:\d+/;
          assert.match(asks.lines['Proxy'] ?? '', named);
          assert.match(asks.lines['GitLab'] ?? '', notTried);
          const wrong = await tested(harbour, clicker, { ...way, Proxy: bare.replace('//', '//house:ebb@') });
          assert.match(wrong.lines['Proxy'] ?? '', /^failed: .*does not accept this name and password/);
          assert.not.match(JSON.stringify(wrong.lines), 'ebb');
        }

        const unknown = await tested(harbour, clicker, { ...ways.http, Proxy: 'http://no-such-proxy.invalid:3128' });
        assert.equal(unknown.failed, ['Proxy name']);
        const barred = await tested(harbour, clicker, { ...ways.https, Proxy: squids[0].url });
        assert.equal(barred.failed, ['Proxy']);
        assert.match(
          barred.lines['Proxy'] ?? '',
          /answered 403.*let this machine through to gitlab\.example, port 443/,
        );
        const lost = await tested(harbour, clicker, { ...ways.https, Proxy: squids[1].url });
        assert.match(
          lost.lines['Proxy'] ?? '',
          /The proxy does not get through to GitLab.*knows the name gitlab\.example/,
        );
        // Over http the proxy's own page looks like one of GitLab's.
        const page = await tested(harbour, clicker, { ...ways.http, Proxy: own.url });
        assert.equal(page.failed, ['GitLab']);
        assert.match(page.lines['Proxy'] ?? '', 'not known');
      });
    } finally {
      await Promise.all([demanding.close(), ...squids.map((squid) => squid.close()), own.close()]);
    }
  },
);

tests('the address by which GitLab reaches Mooring: a change reaches the webhooks at once, and calls are told', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const site = await mooredSite(harbour);
    const hook = () => harbour.world.website.hooks[0];
    assert.match(hook()?.url ?? '', harbour.url);
    await site.settled();
    const { clicker } = site;
    const at = harbour.url.replace('127.0.0.1', 'localhost');
    const address = 'Address by which GitLab reaches Mooring';
    await tested(harbour, clicker, { 'GitLab URL': harbour.gitlab.url, [address]: at });
    await until('the webhook leads to the new address', () => hook()?.url.startsWith(`${at}/hooks/gitlab/`));
    const lineOf = async () => {
      await clicker.open(`${harbour.url}/account/gitlab`);
      return linesOf(await clicker.press('Test connection'))['Webhook'] ?? '';
    };
    await harbour.world.website.push('main', { 'pushed.md': 'x\n' });
    await until('the call is told', async () => /^passed: GitLab gets through: its last call/.test(await lineOf()));
  }),
);

tests('a webhook that GitLab refused to make is told as refused, with where to allow it', () =>
  inHarbourWithoutGitLab(
    async (harbour) => {
      const { clicker } = await mooredSite(harbour);
      await clicker.open(`${harbour.url}/account/gitlab`);
      const lines = linesOf(await clicker.press('Test connection'));
      assert.match(lines['Webhook'] ?? '', /^failed: GitLab refused to call 127\.0\.0\.1:\d+ for the site Harbour/);
      assert.match(lines['Webhook'] ?? '', 'Outbound requests');
    },
    { allowLocalWebhooks: false },
  ),
);

tests('the least role holds also for who chose the repository before it was raised, and nothing is connected', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { gitlab, url } = harbour;
    const project = await gitlab.projects.create({ path: 'parks/timetable', owner: 'piet', files: { 'a.md': 'a\n' } });
    gitlab.projects.addMember(project, 'ana', 30);
    // Developers may not push to the default branch.
    await project.push('preview', { 'b.md': 'b\n' });
    const clicker = await signedIn(harbour);
    await configured(harbour, clicker);
    const folder = await makeFolder(harbour.sites, 'timetable', {});
    await addSite(harbour, clicker, 'Timetable', folder);
    await authorised(harbour, clicker);
    await clicker.press('Search', { 'Search repositories': 'timetable' });
    await clicker.press('Choose branch', { [project.path]: true });
    const other = await signedIn(harbour);
    const form = await other.open(`${url}/account/gitlab`);
    assert.not.match(form.html, 'Reporter');
    await other.press('Configure Self Hosted GitLab', { 'Minimum access level': 'Maintainer' });
    const refused = await clicker.press('Continue', { [`Branch of ${project.path}`]: 'preview' });
    assert.match(refused.words, 'has the role Developer there, and Maintainer is required');
    await other.open(`${url}/account/gitlab`);
    await other.press('Configure Self Hosted GitLab', { 'Minimum access level': 'Developer' });
    await clicker.press('Search', { 'Search repositories': 'timetable' });
    await clicker.press('Choose branch', { [project.path]: true });
    await clicker.press('Continue', { [`Branch of ${project.path}`]: 'preview' });
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'Timetable is connected');
  }),
);

tests('a path that looks like a repository’s is doubted, used as it is once somebody says so, and then known', () =>
  inHarbourWithoutGitLab(async (harbour) => {
    const { url, gitlab, application } = harbour;
    const clicker = await signedIn(harbour);
    const fill = {
      ...{ 'GitLab URL': `${gitlab.url}/dev/scm`, 'Application ID (key)': application.applicationId },
      Secret: application.secret,
    };
    await clicker.open(`${url}/account/gitlab`);
    assert.not.match(clicker.page.words, 'Use this address as it is');
    const doubted = await clicker.press('Configure Self Hosted GitLab', fill);
    assert.is(doubted.status, 422);
    assert.match(doubted.words, `Did you mean ${gitlab.url}?`);
    const said = { ...fill, 'Use this address as it is': true as const };
    const used = await clicker.press('Configure Self Hosted GitLab', said);
    assert.match(used.words, 'Self Hosted GitLab is configured');
    const again = await clicker.press('Configure Self Hosted GitLab', fill);
    assert.match(again.words, 'Self Hosted GitLab is configured');
  }),
);

tests.run();
