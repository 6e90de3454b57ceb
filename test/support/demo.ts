import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon.ts';
import { createLog, createMask } from '../../src/log.ts';
import { asProblem } from '../../src/model/problem.ts';
import { describe } from '../../src/model/remedy.ts';
import { examplePassword, exampleWorld } from './gitlab/example.ts';
import { startGitLab } from './gitlab/server.ts';

/**
 * `npm run demo`: the real daemon with a practice GitLab beside it, on this machine only, in a folder that is removed
 * at the end. MOORING_PORT and MOORING_DEMO_GITLAB_PORT choose other ports.
 */
const admin = { name: 'Ana', password: 'moor-the-demo' };

process.umask(0o077);
const dir = mkdtempSync(join(tmpdir(), 'mooring-demo-'));
const site = join(dir, 'sites', 'harbour');
const gitlabPort = Number(process.env['MOORING_DEMO_GITLAB_PORT'] ?? 7430);
const stopped = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
});

try {
  const port = process.env['MOORING_PORT'] ?? '7420';
  const config = readConfig(
    {
      PATH: process.env['PATH'],
      MOORING_STATE: join(dir, 'state'),
      MOORING_SITES: join(dir, 'sites'),
      MOORING_PORT: port,
      MOORING_ADMIN_NAME: admin.name,
      MOORING_ADMIN_PASSWORD: admin.password,
      MOORING_ALLOW_ROOT: 'yes',
      MOORING_LOG_LEVEL: process.env['MOORING_LOG_LEVEL'] ?? 'warn',
    },
    { terminal: true, uid: process.getuid?.() },
  );
  // An ordinary GitLab refuses to call this machine; the demo's allows it, and has the switch under Admin.
  const gitlab = await startGitLab({ port: gitlabPort, allowLocalWebhooks: true });
  await exampleWorld(gitlab);
  const application = gitlab.applications.add({
    name: 'Mooring',
    redirectUris: [`${config.publicUrl}/oauth/callback`],
    scopes: ['api'],
    confidential: true,
  });
  writeSite();
  const mask = createMask();
  const daemon = await startDaemon(config, { log: createLog({ ...config.log, mask }), mask });
  process.stdout.write(`
  Mooring            ${daemon.url}
      sign in as     ${admin.name}
      password       ${admin.password}

  Practice GitLab    ${gitlab.url}
      sign in as     ana
      password       ${examplePassword}

  Try this:
    1. Sign in to Mooring. Account Settings / Self Hosted GitLab: enter
           GitLab URL        ${gitlab.url}
           Application ID    ${application.applicationId}
           Secret            ${application.secret}
       and press Configure Self Hosted GitLab.
    2. Sites / Add site: choose ${site}
    3. Connect, authorise at the practice GitLab, choose harbour/website, read the warning,
       press Connect Self Hosted GitLab.
    4. Edit a file in ${site} and watch it arrive as a commit.
       Press “Commit changes” on the project's page in the practice GitLab and watch it appear in the folder.

  Ctrl+C stops both and removes everything.

`);
  await stopped;
  await daemon.stop();
  await gitlab.stop();
} catch (error) {
  const { title, happened, todo } = describe(asProblem(error).toFacts());
  process.stderr.write(`${title}\n${happened}\n${todo}\n${error instanceof Error ? (error.stack ?? '') : ''}\n`);
  process.exitCode = 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

/** A site that somebody made before there was a repository. */
function writeSite(): void {
  const files: Record<string, string> = {
    'index.html': '<!doctype html>\n<title>Harbour office</title>\n<h1>Harbour office</h1>\n<p>An older page.</p>\n',
    'notes/2025.txt': 'Only here, in no repository.\n',
    'uploads/plan.txt': 'Berths 1 to 12\n',
    '.env': 'DATABASE_PASSWORD=only-on-this-server\n',
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(site, path)), { recursive: true, mode: 0o755 });
    writeFileSync(join(site, path), text, { mode: 0o644 });
  }
}
