import type { Instance } from '../../src/model/instance.ts';
import { Secret } from '../../src/model/secret.ts';
import type { Clock } from '../../src/model/world.ts';
import { createGitlabClient } from '../../src/gitlab/client.ts';
import { createOauth } from '../../src/gitlab/oauth.ts';
import { deriveUrls } from '../../src/net/url.ts';
import { createHttp } from '../../src/net/http.ts';
import { createBrowser, signIn } from '../support/gitlab/browser.ts';
import { startGitLab, type GitLab, type GitLabOptions } from '../support/gitlab/server.ts';
import { realClock, realRandom } from '../net/support.ts';

const redirectUri = 'http://127.0.0.1:4000/connect/callback';

export type Scene = Awaited<ReturnType<typeof arrange>>;

/** Runs a test against a practice GitLab with ana (owner of site/web), ben, and our application. */
export async function withGitLab(run: (scene: Scene) => Promise<void>, options: GitLabOptions = {}, clock = realClock) {
  const gitlab = await startGitLab(options);
  const scene = await arrange(gitlab, clock);
  try {
    await run(scene);
    if (gitlab.errors.length > 0) throw new AggregateError(gitlab.errors, 'the practice GitLab broke');
  } finally {
    scene.http.close();
    await gitlab.stop();
  }
}

async function arrange(gitlab: GitLab, clock: Clock) {
  gitlab.users.add({ username: 'ana', name: 'Ana Example', email: 'ana@example.org', password: 'secret' });
  gitlab.users.add({ username: 'ben', name: 'Ben', email: 'ben@example.org', password: 'secret' });
  const application = gitlab.applications.add({
    name: 'Mooring',
    redirectUris: [redirectUri],
    scopes: ['api', 'read_api', 'write_repository'],
  });
  const project = await gitlab.projects.create({ path: 'site/web', owner: 'ana', files: { 'index.html': 'hello' } });
  const settings = { ...instanceFor(gitlab.url), ...application, secret: new Secret(application.secret) };
  let instance: Instance = settings;
  const http = createHttp({ instance: () => instance, clock, random: realRandom });
  const oauth = createOauth({ http, instance: () => instance, redirectUri, clock });
  const client = createGitlabClient({ http, apiUrl: () => instance.apiUrl });
  return {
    gitlab,
    project,
    http,
    oauth,
    client,
    clock,
    instance: () => instance,
    configure: (changes: Partial<Instance>) => void (instance = { ...instance, ...changes }),
    /** A personal access token. */
    pat: (user: string, scopes = ['api']) => new Secret(gitlab.tokens.add(user, scopes)),
    authorize: (url: string, user = 'ana') => authorize(url, user),
  };
}

/** A person at the browser: signs in, presses Authorize (or the other), comes back with the callback's query. */
async function authorize(url: string, user: string, button = 'Authorize Mooring'): Promise<Record<string, string>> {
  const browser = createBrowser();
  const page = await signIn(browser, await browser.open(url), user, 'secret');
  const { leads } = page.leads === undefined ? await browser.press(button) : page;
  return Object.fromEntries(new URL(leads ?? '').searchParams);
}

export const deny = (url: string) => authorize(url, 'ana', 'Deny');

function instanceFor(url: string): Instance {
  return {
    ...deriveUrls(url),
    applicationId: 'id',
    secret: new Secret('secret'),
    scopes: 'api',
    advanced: { ca: '', proxy: '', noProxy: [], headers: {}, reachableAt: '', minAccessLevel: 30 },
    configuredAt: 0,
  };
}
