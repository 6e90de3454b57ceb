import { spawn, spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { mooring } from '../support/command.ts';
import { type Harbour, inHarbour, setpriv } from '../support/daemon.ts';
import { makeFolder, signedIn } from '../support/moored.ts';

const test = suite('a plain shell script');

const cms = 33;
const as = { uid: 1500, gid: 1500, groups: [cms] };

const scripts = [
  { name: 'shell.sh', by: 'the command line' },
  { name: 'http.sh', by: 'curl' },
] as const;

for (const { name, by } of scripts) {
  test(`${name}: from an empty installation to a removed site, by ${by}`, async () => {
    if (process.getuid?.() !== 0) return console.log('not run here: becoming other users needs root');
    if (name === 'http.sh' && spawnSync('curl', ['--version']).error)
      return console.log('not run here: there is no curl');
    await inHarbour((harbour) => runs(harbour, name), { as });
  });
}

async function runs(harbour: Harbour, name: string): Promise<void> {
  const { dir, stateDir, sites, gitlab, url } = harbour;
  const folder = await makeFolder(sites, 'harbour', { files: { 'before.txt': 'only here before\n' } });
  for (const [path, mode] of [
    [folder, 0o2775],
    [join(folder, 'before.txt'), 0o664],
  ] as const) {
    await chown(path, cms, cms);
    await chmod(path, mode);
  }
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const command = [...setpriv(as), ...mooring].join(' ');
  await writeFile(join(bin, 'mooring'), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
  const work = await mkdtemp('/tmp/mooring-shell-');
  const remote = new URL(`${gitlab.url}/harbour/website.git`);
  [remote.username, remote.password] = ['oauth2', gitlab.tokens.add('ana', ['write_repository', 'read_repository'])];
  try {
    const script = spawn('sh', [join(import.meta.dirname, name)], {
      env: {
        ...{ PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: work, LANG: 'C.UTF-8', MOORING_STATE: stateDir },
        ...{ FOLDER: folder, WORK: work, REMOTE: remote.href, GIT_CONFIG_NOSYSTEM: '1' },
        ...{ MOORING: url, NODE: process.execPath },
        ...(name === 'http.sh' ? { TOKEN: await tokenOf(harbour) } : {}),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    for (const stream of [script.stdout, script.stderr])
      stream.on('data', (chunk: Buffer) => said.push(chunk.toString()));
    const code = await new Promise<number | null>((resolve) => script.once('close', resolve));
    assert.is(code, 0, said.join(''));
    assert.match(said.join(''), /== done\n$/);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Made by clicking, as its owner would. */
async function tokenOf(harbour: Harbour): Promise<string> {
  const clicker = await signedIn(harbour);
  await clicker.open(`${harbour.url}/account/tokens`);
  const { words } = await clicker.press('Create token', { Name: 'a script', Everything: true });
  return /mooring_[\w-]{43}/.exec(words)?.[0] ?? '';
}

test.run();
