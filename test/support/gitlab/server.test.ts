/** The server around it all: TLS, an address that is not its own, broken requests, pushes that meet. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startGitLab } from './server.ts';
import { trial } from './trial.ts';

const server = suite('practice GitLab: server');

/** A certificate for 127.0.0.1 that nobody trusts yet; undefined where there is no openssl. */
function selfSigned(): { key: Buffer; cert: Buffer } | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'practice-tls-'));
  try {
    const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
    const args = [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
      ...subject,
    ];
    const { status } = spawnSync('openssl', [...args, '-keyout', key, '-out', cert]);
    return status === 0 ? { key: readFileSync(key), cert: readFileSync(cert) } : undefined;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

server('serves TLS with the certificate it is given', async () => {
  const tls = selfSigned();
  if (!tls) {
    console.log('\n  not run here: openssl is not installed');
    return;
  }
  const gitlab = await startGitLab({ tls });
  try {
    assert.ok(gitlab.url.startsWith('https://127.0.0.1:'));
    const status = await new Promise((resolve, reject) => {
      const call = request(`${gitlab.url}/api/v4/user`, { ca: tls.cert, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.once('error', reject).end();
    });
    assert.is(status, 401);
  } finally {
    await gitlab.stop();
  }
});

server('an external URL appears in every address it hands out', async () => {
  const gitlab = await startGitLab({ externalUrl: 'https://git.example.org/gitlab/', basePath: '/gitlab' });
  try {
    gitlab.users.add({ username: 'ana', name: 'Ana', email: 'ana@example.org', password: 'x' });
    const project = await gitlab.projects.create({ path: 'g/p', owner: 'ana', files: { 'a.txt': 'a' } });
    assert.is(gitlab.url, 'https://git.example.org/gitlab');
    assert.is(project.cloneUrl, 'https://git.example.org/gitlab/g/p.git');
    const headers = { 'PRIVATE-TOKEN': gitlab.tokens.add('ana', ['api']) };
    const response = await fetch(`${gitlab.listenUrl}/api/v4/projects?per_page=1`, { headers });
    assert.match(response.headers.get('link') ?? '', '<https://git.example.org/gitlab/api/v4/projects?');
    assert.match(await response.text(), '"http_url_to_repo":"https://git.example.org/gitlab/g/p.git"');
  } finally {
    await gitlab.stop();
  }
});

server('broken requests get an answer and break nothing', () =>
  trial(async ({ gitlab, rest }) => {
    const headers = { 'Content-Type': 'application/json', 'PRIVATE-TOKEN': gitlab.tokens.add('ana', ['api']) };
    assert.is(
      (await fetch(`${gitlab.url}/api/v4/projects`, { method: 'POST', body: '{"name":', headers })).status,
      400,
    );
    assert.is((await fetch(`${gitlab.url}/%E0%A4%A`)).status, 404);
    assert.is((await rest('/projects/harbour%2Fwebsite/repository/branches/--help')).status, 404);
    assert.is((await rest('/projects/harbour%2Fwebsite/repository/commits?ref_name=--all')).status, 404);
    assert.is((await rest('/projects?per_page=abc')).status, 400);
  }),
);

server('pushes from the server and by git that meet all arrive', () =>
  trial(async ({ gitlab, world, git, withToken }) => {
    await git(['clone', '--quiet', withToken(world.website.cloneUrl, gitlab.tokens.add('ana', ['api'])), 'work']);
    await git(['-C', 'work', 'commit', '--quiet', '--allow-empty', '--message', 'By git']);
    const byGit = git(['-C', 'work', 'push', '--quiet', 'origin', 'HEAD:tides']);
    const changes = [1, 2, 3].map((at) => world.website.push('main', { [`file ${at} "ü".txt`]: `${at}\n` }));
    await Promise.all([...changes, byGit]);
    assert.is((await byGit).code, 0);
    const files = await world.website.files();
    assert.equal(
      [1, 2, 3].map((at) => files.get(`file ${at} "ü".txt`)?.toString()),
      ['1\n', '2\n', '3\n'],
    );
    assert.is((await world.website.log()).length, 5);
    const first = (await world.website.log()).at(-1)?.id ?? '';
    await world.website.push('main', { 'rewritten.txt': 'x' }, { parent: first });
    assert.is((await world.website.log()).length, 2);
  }),
);

server.run();
