import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createClicker } from '../support/clicker.ts';
import { until } from '../support/until.ts';
import { freePort } from '../support/daemon.ts';
import { examplePassword } from '../support/gitlab/example.ts';

const test = suite('commands from a fresh clone');
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** What would be cloned: the last commit, nothing of what lies around uncommitted. */
async function clone(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-clone-'));
  execFileSync('git', ['clone', '--quiet', '--no-hardlinks', root, join(dir, 'mooring')]);
  return dir;
}

const hasRegistry = (): boolean => spawnSync('npm', ['ping'], { stdio: 'ignore', timeout: 30_000 }).status === 0;

test('npm run demo comes up after git clone, answers, and stops cleanly', async () => {
  if (!hasRegistry()) {
    console.log('not run here: npm has no registry to install from');
    return;
  }
  const dir = await clone();
  const [port, gitlabPort] = [await freePort(), await freePort()];
  const temp = join(dir, 'tmp');
  execFileSync('mkdir', [temp]);
  const child = spawn('npm', ['run', 'demo'], {
    ...{ cwd: join(dir, 'mooring'), detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    env: {
      ...process.env,
      ...{ MOORING_PORT: String(port), MOORING_DEMO_GITLAB_PORT: String(gitlabPort), TMPDIR: temp },
      // As for somebody who never ran it here.
      NODE_ENV: '',
    },
  });
  const output: string[] = [];
  child.stdout?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => output.push(chunk.toString()));
  let code: number | null | undefined;
  child.once('exit', (exit) => (code = exit));
  try {
    const stamp = join(dir, 'mooring', 'node_modules', '.mooring-stamp');
    await until('the packages are installed', () => existsSync(stamp));
    await until('the demo says what to try', () => {
      if (code !== undefined) throw new Error(`it ended with ${code}`);
      return output.join('').includes('press Connect Self Hosted GitLab');
    });
    const said = output.join('');
    const find = (pattern: RegExp): string => pattern.exec(said)?.[1] ?? '';
    const url = find(/Mooring\s+(http:\S+)/);
    const gitlab = find(/Practice GitLab\s+(http:\S+)/);
    assert.is(url, `http://127.0.0.1:${port}`);

    // The click-through that it prints, with what it prints.
    const clicker = createClicker();
    await clicker.open(`${url}/sign-in`);
    await clicker.press('Sign in', { Name: find(/sign in as\s+(\S+)/), Password: find(/password\s+(\S+)/) });
    await clicker.open(`${url}/account/gitlab`);
    await clicker.press('Configure Self Hosted GitLab', {
      'GitLab URL': gitlab,
      'Application ID (key)': find(/Application ID\s+(\S+)/),
      Secret: find(/Secret\s+(\S+)/),
    });
    await clicker.open(`${url}/sites/add`);
    await clicker.press('Add site', { Name: 'Harbour', [find(/choose (\S+)/)]: true });
    await clicker.press('Connect');
    await clicker.press('Sign in', { 'Username or primary email': 'ana', Password: examplePassword });
    await clicker.press('Authorize Mooring');
    await clicker.press('Choose branch', { 'harbour/website': true });
    await clicker.press('Continue');
    assert.match(clicker.page.words, '1 file looks like a secret');
    await clicker.press('Connect Self Hosted GitLab');
    assert.match(clicker.page.words, 'Harbour is connected');

    child.kill('SIGTERM');
    await until('it has ended', () => code !== undefined || undefined);
    await until('the port is free', async () => {
      const answer = await fetch(`${url}/healthz`).catch(() => undefined);
      return answer === undefined;
    });
    const left = (await readdir(temp)).filter((name) => /^(mooring-|practice-)/.test(name));
    assert.equal(left, [], 'its folders are removed');
  } catch (error) {
    console.log(output.join('').slice(-4_000));
    throw error;
  } finally {
    try {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    } catch {
      // Nobody of the group is left.
    }
    await rm(dir, { recursive: true, force: true });
  }
});

test.run();
