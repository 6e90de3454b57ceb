/*
 * `npm run release`: one archive with everything that a Linux machine without internet access needs to run Mooring, for
 * x64 and arm64: the built daemon, its packages, Node, pages, examples, checksums and a bill of materials. Two runs of
 * the same sources with the same npm produce the same bytes.
 *
 *     node config/release.js [folder for the archive, ./release by default]
 *
 * The launcher has installed the packages before.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const name = `mooring-${version}`;
const architectures = ['x64', 'arm64'];
/** The Node in the archive, from the packages `node-linux-…`, with their digests. */
const node = {
  version: '24.22.3',
  integrity: {
    x64: 'sha512-KHsob+Fv9YerATvYujMbiyJqnRCvLtrcr/eTNqRqiOSGp97EOiRP1yP47+knGgQ/xnc3XY8xzkW587dlZzNqRA==',
    arm64: 'sha512-IZx0J52/1NDwAsY2iyWR9nlPIYuYviTWetjj8+ElvYQh2+XRhLfCfkbFEF/2O5vGI2hcUbyPNHV+nz342FbJXw==',
  },
};
/** Whatever a clone has beside these is of no use to a running daemon. */
const copied = ['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md', 'package.json', 'package-lock.json'];
const copiedFolders = ['bin', 'config', 'docs', 'public', 'views'];

const target = resolve(process.argv[2] ?? join(root, 'release'));
const work = mkdtempSync(join(tmpdir(), 'mooring-release-'));
try {
  const stage = join(work, name);
  mkdirSync(stage);
  for (const each of [...copied, ...copiedFolders]) cpSync(join(root, each), join(stage, each), { recursive: true });
  compile(stage);
  for (const architecture of architectures) addPackages(stage, architecture);
  for (const architecture of architectures) addNode(stage, architecture);
  addBillOfMaterials(stage);
  setModes(stage);
  await addChecksums(stage);
  mkdirSync(target, { recursive: true });
  const archive = pack(stage);
  const digest = await digestOf(archive, 'sha256', 'hex');
  cpSync(archive, join(target, `${name}.tar.gz`));
  writeFileSync(join(target, `${name}.tar.gz.sha256`), `${digest}  ${name}.tar.gz\n`);
  process.stdout.write(`${join(target, `${name}.tar.gz`)}\nSHA-256 ${digest}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Anew, and not a copy of `dist`, which may hold files whose source is gone. */
function compile(stage) {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', join(stage, 'dist'), '--sourceMap', 'false'];
  execFileSync(process.execPath, args, { stdio: 'inherit' });
}

/** npm checks every package against the digest in the lock file, and runs no script of any. */
function addPackages(stage, architecture) {
  const folder = join(work, `packages-${architecture}`);
  mkdirSync(folder);
  for (const each of ['package.json', 'package-lock.json']) cpSync(join(root, each), join(folder, each));
  const options = ['--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['ci', ...options, '--os=linux', `--cpu=${architecture}`, '--libc=glibc'], folder);
  for (const each of ['.package-lock.json', '.bin']) rmSync(join(folder, 'node_modules', each), { recursive: true });
  // What both need is the same; only packages for one processor add something.
  cpSync(join(folder, 'node_modules'), join(stage, 'node_modules'), { recursive: true, verbatimSymlinks: true });
}

function addNode(stage, architecture) {
  const folder = join(work, `node-${architecture}`);
  mkdirSync(folder);
  run('npm', ['pack', '--silent', `node-linux-${architecture}@${node.version}`], folder);
  const [file = ''] = readdirSync(folder);
  const digest = createHash('sha512')
    .update(readFileSync(join(folder, file)))
    .digest('base64');
  if (`sha512-${digest}` !== node.integrity[architecture])
    throw new Error(`node-linux-${architecture}@${node.version} has another digest: sha512-${digest}`);
  run('tar', ['-xzf', file, 'package/bin/node', 'package/LICENSE'], folder);
  const to = join(stage, 'node', architecture);
  mkdirSync(join(to, 'bin'), { recursive: true });
  renameSync(join(folder, 'package/bin/node'), join(to, 'bin/node'));
  renameSync(join(folder, 'package/LICENSE'), join(to, 'LICENSE'));
}

/** CycloneDX, by npm; of the packages that are in the archive, without what differs from run to run. */
function addBillOfMaterials(stage) {
  // With `--omit=dev`, npm leaves out packages that a development package needs too.
  const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'];
  const bill = JSON.parse(run('npm', args, root));
  delete bill.serialNumber;
  delete bill.metadata.timestamp;
  const packages = installed(join(stage, 'node_modules'));
  bill.components = bill.components.filter(({ purl }) => packages.has(decodeURIComponent(purl)));
  for (const component of bill.components) delete component.properties;
  for (const architecture of architectures) bill.components.push(nodeComponent(architecture));
  const known = new Set([bill.metadata.component['bom-ref'], ...bill.components.map((one) => one['bom-ref'])]);
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => known.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => known.has(each)) }));
  const missing = [...packages].filter((purl) => !bill.components.some((one) => decodeURIComponent(one.purl) === purl));
  if (missing.length > 0) throw new Error(`not in the bill of materials: ${missing.join(', ')}`);
  writeFileSync(join(stage, 'bom.json'), `${JSON.stringify(bill, null, 2)}\n`);
}

function nodeComponent(architecture) {
  const content = Buffer.from(node.integrity[architecture].slice('sha512-'.length), 'base64').toString('hex');
  return {
    'bom-ref': `node-linux-${architecture}@${node.version}`,
    type: 'application',
    name: `node-linux-${architecture}`,
    version: node.version,
    scope: 'required',
    purl: `pkg:npm/node-linux-${architecture}@${node.version}`,
    hashes: [{ alg: 'SHA-512', content }],
    licenses: [{ license: { id: 'MIT' } }],
  };
}

/** The package URL of every package below a folder `node_modules`. */
function installed(folder, found = new Set()) {
  for (const entry of readdirSync(folder)) {
    if (entry.startsWith('.')) continue;
    const below = join(folder, entry);
    if (entry.startsWith('@')) {
      installed(below, found);
      continue;
    }
    const { name, version } = JSON.parse(readFileSync(join(below, 'package.json'), 'utf8'));
    found.add(`pkg:npm/${name}@${version}`);
    if (readdirSync(below).includes('node_modules')) installed(join(below, 'node_modules'), found);
  }
  return found;
}

/** Of a clone, modes depend on somebody's umask. */
function setModes(stage) {
  for (const entry of readdirSync(stage, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isSymbolicLink()) continue;
    const inside = relative(stage, path);
    const isProgram = entry.isDirectory() || /^bin\/|^node\/\w+\/bin\/|^config\/\w[\w-]*\.sh$/.test(inside);
    chmodSync(path, isProgram ? 0o755 : 0o644);
  }
  chmodSync(stage, 0o755);
}

async function addChecksums(stage) {
  const lines = [];
  for (const entry of readdirSync(stage, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    lines.push(`${await digestOf(path, 'sha256', 'hex')}  ${relative(stage, path)}\n`);
  }
  writeFileSync(join(stage, 'SHA256SUMS'), lines.sort((a, b) => (a.slice(66) < b.slice(66) ? -1 : 1)).join(''));
  chmodSync(join(stage, 'SHA256SUMS'), 0o644);
}

/** Names in order, one time, one owner; gzip without name and time. */
function pack(stage) {
  const time = `@${process.env.SOURCE_DATE_EPOCH ?? '315532800'}`;
  const tar = join(work, `${name}.tar`);
  const same = ['--sort=name', `--mtime=${time}`, '--owner=0', '--group=0', '--numeric-owner', '--format=gnu'];
  run('tar', [...same, '-cf', tar, name], dirname(stage));
  run('gzip', ['--no-name', tar], work);
  return `${tar}.gz`;
}

async function digestOf(path, algorithm, encoding) {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(path), hash);
  return hash.digest(encoding);
}

function run(program, args, cwd) {
  return execFileSync(program, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LC_ALL: 'C' },
  });
}
