import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { readConfig } from '../../src/config.ts';
import { variables } from '../../src/settings.ts';
import { troubleshootPage, troubleshootPath } from '../support/troubleshoot.ts';

/** What the pages under docs/ show is there, and can be run. */
const test = suite('docs');

const root = join(import.meta.dirname, '../..');
const names = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith('.md'),
);
const read = (name: string): string => readFileSync(join(root, name), 'utf8');

interface Block {
  readonly kind: string;
  readonly text: string;
}

function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(([, indent = '', kind = '', block = '']) => ({
    kind,
    text: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}

const withoutBlocks = (text: string): string => text.replace(/^( *)```[\s\S]*?^ *```$/gm, '');

/** As GitLab and GitHub make it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

const anchorsOf = (text: string): Set<string> =>
  new Set([...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading)));

test('docs/troubleshoot.md is the catalogue of problems', () => {
  assert.is(readFileSync(troubleshootPath, 'utf8'), troubleshootPage(), 'run: node test/support/troubleshoot.ts');
});

test('every link leads to a file, and every anchor to a heading', () => {
  const broken: string[] = [];
  let links = 0;
  for (const name of names) {
    for (const [, target = ''] of withoutBlocks(read(name)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      links += 1;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? join(root, name) : join(root, dirname(name), path);
      if (!existsSync(file)) broken.push(`${name}: ${target}`);
      else if (anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).has(anchor))
        broken.push(`${name}: ${target}: no such heading`);
    }
  }
  assert.ok(links > 60);
  assert.equal(broken, []);
});

test('the README is a map of all pages, and of one screen', () => {
  const readme = read('README.md');
  assert.equal(
    names.filter((name) => name !== 'README.md' && !readme.includes(`](${name})`)),
    [],
  );
  assert.ok(readme.split('\n').length <= 60);
});

test('docs/install.md needs at most 12 commands and 900 words', () => {
  const text = read('docs/install.md');
  const commands = blocksOf(text)
    .filter(({ kind }) => kind === 'sh')
    .flatMap((block) => block.text.trim().split('\n'))
    .flatMap((line) => line.split(/&&|;/));
  const words = text.trim().split(/\s+/).length;
  console.log(`note: ${commands.length} commands, ${words} words`);
  assert.ok(commands.length <= 12);
  assert.ok(words <= 900);
});

/** What reads a kind of block; `undefined` where another test runs every block of that kind. */
const readers: Readonly<Record<string, ((text: string, dir: string) => void) | undefined>> = {
  sh: (text) => succeeds('sh', ['-n'], text),
  js: (text) => succeeds(process.execPath, ['--check', '--input-type=module', '-'], text),
  json: (text) => void JSON.parse(text),
  yaml: (text) =>
    assert.equal(
      parseAllDocuments(text).flatMap(({ errors }) => errors),
      [],
    ),
  ini: (text, dir) => {
    const lines = text
      .replace('/var/backups/mooring', dir)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const env = Object.fromEntries(lines.map((line) => [line.split('=')[0] ?? '', line.slice(line.indexOf('=') + 1)]));
    const known = new Set(variables().map(({ name }) => name));
    for (const name of Object.keys(env)) assert.ok(known.has(name), name);
    readConfig({ PATH: process.env['PATH'], ...env }, { terminal: false, uid: 1_500 });
  },
  // test/after/docs.test.ts has them verified by systemd, and runs what is in the others.
  systemd: (text) => assert.match(text, /^\[\w+\]$/m),
  // Shown, not to be copied: diagrams, and what needs a machine of its own.
  text: () => {},
  '': () => {},
};

function succeeds(program: string, args: readonly string[], input: string): void {
  const { status, stderr } = spawnSync(program, args, { input, encoding: 'utf8' });
  assert.is(status, 0, `${input}\n${stderr}`);
}

test('every block has a kind, and is of that kind', () => {
  const dir = mkdtempSync(join(tmpdir(), 'mooring-docs-'));
  try {
    let count = 0;
    for (const name of names)
      for (const { kind, text } of blocksOf(read(name))) {
        assert.ok(Object.hasOwn(readers, kind), `${name}: a block of the kind «${kind}»`);
        try {
          readers[kind]?.(text, dir);
        } catch (error) {
          throw new Error(`${name}:\n${text}`, { cause: error });
        }
        count += 1;
      }
    console.log(`note: ${count} blocks`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('files and settings that the pages name exist', () => {
  const known = new Set(variables().map(({ name }) => name));
  const wrong: string[] = [];
  for (const name of names.filter((each) => each !== 'docs/develop.md')) {
    const text = read(name);
    for (const [setting] of text.matchAll(/\bMOORING_[A-Z_]+[A-Z]\b/g))
      if (!known.has(setting)) wrong.push(`${name}: ${setting}`);
    for (const [, path = ''] of text.matchAll(/`((?:config|bin|docs|test|src)\/[\w./-]+)`/g))
      if (!existsSync(join(root, path))) wrong.push(`${name}: ${path}`);
  }
  assert.equal(wrong, []);
});

test.run();
