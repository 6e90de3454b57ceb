import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser } from 'playwright-core';
import { patienceMs } from './until.ts';

/**
 * A real browser for the tests of the pages: the one that MOORING_TEST_CHROMIUM names, the system's, or the one that
 * comes with npm. The caller closes it.
 */
export async function launchBrowser(): Promise<Browser> {
  const { executablePath, env } = await findBrowser();
  return chromium.launch({ executablePath, env, args: ARGS, headless: true, timeout: patienceMs });
}

/** Where the browser came from, for a note in the output. */
export async function browserName(): Promise<string> {
  return (await findBrowser()).executablePath;
}

// Never @sparticuz/chromium's own `args`: they switch off web security, and a test of our CSP would test nothing.
const ARGS = [
  // Root has no sandbox; tests open only pages of our own.
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-background-networking',
];

const SYSTEM = '/usr/bin/chromium';

interface Found {
  readonly executablePath: string;
  readonly env: Record<string, string>;
}

function findBrowser(): Promise<Found> {
  const named = process.env['MOORING_TEST_CHROMIUM'];
  if (named === 'npm') return packaged();
  if (named) return Promise.resolve({ executablePath: named, env: environment() });
  if (existsSync(SYSTEM)) return Promise.resolve({ executablePath: SYSTEM, env: environment() });
  return packaged();
}

/** The package's browser, unpacked once per version (a few seconds, 190 MB) into the user's cache. */
async function packaged(): Promise<Found> {
  const manifest = fileURLToPath(new URL('../package.json', import.meta.resolve('@sparticuz/chromium')));
  const version = /"version":\s*"([^"]+)"/.exec(readFileSync(manifest, 'utf8'))?.[1] ?? 'unknown';
  const cache = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'mooring');
  const folder = join(cache, `chromium-${version}`);
  if (!existsSync(folder)) await unpack(cache, folder);
  const libraries = join(folder, 'al2023', 'lib');
  return {
    executablePath: join(folder, 'chromium'),
    env: { ...environment(), LD_LIBRARY_PATH: libraries, FONTCONFIG_FILE: join(folder, 'fonts.conf') },
  };
}

/** In a folder of its own, renamed when complete: the package takes any file that is there for a finished one. */
async function unpack(cache: string, folder: string): Promise<void> {
  await mkdir(cache, { recursive: true });
  const partial = await mkdtemp(`${folder}.partial-`);
  const script = `import c from '@sparticuz/chromium'; await c.executablePath();`;
  try {
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      cwd: import.meta.dirname,
      // Makes the package bring the NSS libraries that a bare Debian lacks.
      env: { ...process.env, TMPDIR: partial, AWS_LAMBDA_JS_RUNTIME: 'nodejs22.x' },
      timeout: patienceMs,
    });
    // The package's own says /tmp/fonts.
    const fonts = `<fontconfig><dir>${folder}/fonts</dir><dir>/usr/share/fonts</dir><cachedir>${folder}/font-cache</cachedir></fontconfig>`;
    await writeFile(join(partial, 'fonts.conf'), `<?xml version="1.0"?>\n${fonts}\n`);
    await rename(partial, folder);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    // Another test file may have been quicker.
    if (!existsSync(folder)) throw error;
  }
}

function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/tmp', LANG: 'C.UTF-8' };
}
