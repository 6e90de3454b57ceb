import { execFile, spawn } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { createClicker } from '../support/clicker.ts';
import { freePort } from '../support/daemon.ts';
import { exampleWorld } from '../support/gitlab/example.ts';
import { startGitLab } from '../support/gitlab/server.ts';
import { addSite, connectTo } from '../support/moored.ts';
import { until } from '../support/until.ts';

/**
 * Follows docs/install.md in a fresh Debian, up to a synced edit, and prints what it saw. Not a test: it needs root, a
 * network, and a folder made by `debootstrap --variant=minbase bookworm FOLDER`.
 *
 *     node test/deploy/transcript.ts FOLDER RELEASE.tar.gz
 *
 * Every command of the page runs as it stands, but for two things. The public address is one of this machine, without a
 * proxy. And systemd is no process of such a folder: the service starts as its unit says, by setpriv.
 */
const [chroot = '', release = ''] = process.argv.slice(2);
const page = readFileSync(join(import.meta.dirname, '../../docs/install.md'), 'utf8');
const commands = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, text = '']) => text.trim().split('\n'));
const port = await freePort();
const url = `http://127.0.0.1:${port}`;
const account = { name: 'Ana', password: 'moor-the-transcript' };

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** In the folder, as root, with a fresh /proc. */
const inside = (script: string): string[] => [
  'unshare',
  ...['--mount', '--propagation=private', 'sh', '-c'],
  'mount --bind /proc "$1/proc" && mount --bind /dev "$1/dev" && exec chroot "$1" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive sh -c "$2"',
  ...['sh', chroot, `cd /root && ${script}`],
];

/** Waits without blocking this process, in which the practice GitLab answers. */
async function run(command: string): Promise<string> {
  const [program = '', ...args] = inside(command);
  const { stdout, stderr } = await promisify(execFile)(program, args, { maxBuffer: 64 * 1024 * 1024 });
  const lines = `${stdout}${stderr}`.trim().split('\n');
  const shown = lines.length > 6 ? [...lines.slice(0, 2), `… ${lines.length - 4} lines …`, ...lines.slice(-2)] : lines;
  for (const line of shown) if (line !== '') say(`  ${line}`);
  return stdout;
}

/** What `systemctl enable --now` does with the unit, as far as it is not systemd's sandbox. */
const service = [
  'install -d -o mooring -g mooring -m 0700 /var/lib/mooring',
  'set -a',
  '. /etc/mooring.env',
  'MOORING_STATE=/var/lib/mooring NODE_ENV=production',
  'umask 0077',
  'cd /opt/mooring',
  'exec setpriv --reuid=mooring --regid=mooring --init-groups --no-new-privs --inh-caps=-all,+chown,+fowner,+fsetid,+setpcap --ambient-caps=-all,+chown,+fowner,+fsetid,+setpcap --bounding-set=-all,+chown,+fowner,+fsetid,+setpcap /opt/mooring/bin/mooring serve',
].join(' && ');

const gitlab = await startGitLab({ port: await freePort(), allowLocalWebhooks: true });
const world = await exampleWorld(gitlab);
const facts = { name: 'Mooring', redirectUris: [`${url}/oauth/callback`], scopes: ['api'], confidential: true };
const application = gitlab.applications.add(facts);
copyFileSync(release, join(chroot, 'root', basename(release)));
writeFileSync(join(chroot, 'etc/resolv.conf'), readFileSync('/etc/resolv.conf'));
let daemon: ReturnType<typeof spawn> | undefined;
try {
  for (const command of commands) {
    say(`# ${command}`);
    if (command.startsWith('systemctl ')) {
      const [program = '', ...args] = inside(service);
      daemon = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
      await until('it answers', async () => (await fetch(`${url}/readyz`)).ok);
      say('  (no systemd here: started by setpriv with the user, groups and capabilities of the unit; it answers)');
    } else if (command.includes('setup-code')) {
      await byBrowser((await run(command)).trim());
    } else await run(command.replace('https://mooring.example.org', `${url} MOORING_PORT=${port}`));
  }
  const pushed = (await world.website.files('main')).get('hello.txt');
  say(`In GitLab, hello.txt on main: ${String(pushed).trim()}`);
  await world.website.push('main', { 'from-gitlab.txt': 'Hello from GitLab\n' });
  say('Pushed from-gitlab.txt to main. In the folder:');
  const arrived = join(chroot, 'var/www/museum/from-gitlab.txt');
  await until('the file is in the folder', () => readFileSync(arrived, 'utf8') !== '');
  await run('ls -l /var/www/museum && cat /var/www/museum/from-gitlab.txt && mooring status');
  const words = page.trim().split(/\s+/).length;
  say(`${commands.length} commands, ${words} words.`);
} finally {
  daemon?.kill('SIGTERM');
  await gitlab.stop();
}

/** Steps 4 and 5 of the page. */
async function byBrowser(code: string): Promise<void> {
  const clicker = createClicker();
  await clicker.open(`${url}/setup`);
  await clicker.press('Create account', { 'Set-up code': code, Name: account.name, Password: account.password });
  say(`[browser] /setup: ${clicker.page.heading}`);
  await clicker.open(`${url}/account/gitlab`);
  const entered = { 'GitLab URL': gitlab.url, 'Application ID (key)': application.applicationId };
  await clicker.press('Configure Self Hosted GitLab', { ...entered, Secret: application.secret });
  say(
    `[browser] Self Hosted GitLab: ${clicker.page.words.includes('Self Hosted GitLab is configured') ? 'configured' : clicker.page.words}`,
  );
  await addSite({ url }, clicker, 'Museum', '/var/www/museum');
  say(`[browser] Add site: ${clicker.page.heading}`);
  await connectTo({ gitlab }, clicker, { project: world.website });
  say(`[browser] Connect, authorise, choose ${world.website.path} and main: ${clicker.page.heading}`);
  await clicker.press('Connect Self Hosted GitLab');
  say(
    `[browser] Connect Self Hosted GitLab: ${clicker.page.words.includes('Museum is connected') ? 'Museum is connected' : clicker.page.words}`,
  );
}
