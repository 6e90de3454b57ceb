import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import ts from 'typescript';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const imports = suite('imports');

/** Which module may import which; one not named here is an error. `everything` is for those that compose the others. */
const modules: Readonly<Record<string, readonly string[] | 'everything'>> = {
  model: [],
  sync: ['model'],
  net: ['model'],
  store: ['model'],
  actions: ['model'],
  notify: ['model'],
  backup: ['model', 'store'],
  after: ['model'],
  git: ['model', 'net'],
  files: ['model', 'net'],
  gitlab: ['model', 'net'],
  triggers: ['model'],
  web: ['model'],
  events: ['model'],
  log: ['model'],
  config: ['model', 'settings', 'mail-settings'],
  settings: ['model'],
  'mail-settings': ['model', 'settings'],
  world: ['model'],
  version: [],
  parts: 'everything',
  machine: 'everything',
  'web-wiring': 'everything',
  'notify-wiring': 'everything',
  socket: ['model'],
  check: ['model'],
  metrics: ['model'],
  // What a file declares is compared and applied through the same actions as on the pages.
  declared: ['model', 'actions'],
  'declared-wiring': 'everything',
  'check-wiring': 'everything',
  daemon: 'everything',
  site: 'everything',
  cli: 'everything',
  main: 'everything',
};

/** Where a module may import another's types, and nothing else. */
const asTypes: readonly { from: string; readers: readonly string[] }[] = [
  // The ports of the engine are implemented by git and files.
  { from: 'sync/ports.ts', readers: ['git', 'files'] },
  // Pages call the actions that they are handed, and the check of a set-up repeats what they find.
  { from: 'actions', readers: ['web', 'check'] },
  { from: 'declared', readers: ['web'] },
];

/** What reaches outside, and where alone it may: modules, or single files. */
const seams: readonly { what: string; found: RegExp; allowed: readonly string[] }[] = [
  {
    what: 'process.env',
    found: /\bprocess\s*\.\s*env\b/,
    allowed: ['config', 'check-wiring', 'daemon', 'cli', 'main'],
  },
  {
    what: 'node:child_process',
    found: /from 'node:child_process'/,
    allowed: ['git', 'store/lock.ts', 'after/command.ts'],
  },
  {
    what: 'node:fs',
    found: /from 'node:fs(\/promises)?'/,
    allowed: [
      'files',
      'store',
      'backup',
      'after/program.ts',
      'git',
      'web/render.ts',
      'web/manual.ts',
      'config',
      'daemon',
      'socket',
      'check-wiring',
      'declared-wiring',
      'parts',
      'site',
      'cli',
      'main',
    ],
  },
  {
    what: 'a timer',
    found: /(?<![.\w])(?:setTimeout|setInterval)\(|from 'node:timers(\/promises)?'/,
    allowed: [
      'world',
      'net',
      'triggers',
      'daemon',
      'cli',
      'main',
      'git/driver.ts',
      'git/coprocess.ts',
      'web/live.ts',
      'web/pending.ts',
      'web/routes/hooks.ts',
    ],
  },
  {
    what: 'the wall clock',
    found: /\bDate\.now\(\)|\bperformance\.now\(\)|new Date\(\)/,
    allowed: ['world', 'daemon', 'cli', 'main'],
  },
  { what: 'process.exit', found: /\bprocess\s*\.\s*exit\(/, allowed: ['main'] },
];

/** Every breach, one line each. `sources`: path below `src/` to text. */
function breaches(sources: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  for (const [file, source] of sources) {
    const module = moduleOf(file);
    const mayImport = modules[module];
    if (mayImport === undefined) found.push(`${file}: no module is called ${module}`);
    for (const { fileName: specifier } of ts.preProcessFile(source).importedFiles) {
      if (!specifier.startsWith('.')) {
        if (module === 'model' && !['zod', 'node:util'].includes(specifier))
          found.push(`${file}: model imports ${specifier}`);
        continue;
      }
      const target = posix.join(posix.dirname(file), specifier);
      if (isRoute(file) && isRoute(target)) found.push(`${file}: a route imports the route ${target}`);
      if (mayImport === 'everything' || moduleOf(target) === module || mayImport?.includes(moduleOf(target))) continue;
      const readable = asTypes.some(
        ({ from, readers }) => [target, moduleOf(target)].includes(from) && readers.includes(module),
      );
      if (readable && isTypeImport(source, specifier)) continue;
      found.push(`${file}: ${module} imports ${target}`);
    }
    const code = withoutComments(source);
    for (const seam of seams) {
      if (seam.found.test(code) && !seam.allowed.includes(module) && !seam.allowed.includes(file)) {
        found.push(`${file}: uses ${seam.what}`);
      }
    }
  }
  return found;
}

/** Files that lie on a circle of imports, those of types alone too: such files can only be read together. */
function circles(sources: ReadonlyMap<string, string>): string[] {
  const left = new Map(
    [...sources].map(([file, source]) => {
      const { importedFiles } = ts.preProcessFile(source);
      const targets = importedFiles.map(({ fileName }) => posix.join(posix.dirname(file), fileName));
      return [file, new Set(targets.filter((target) => sources.has(target)))];
    }),
  );
  // Whoever imports nothing that is left, or is imported by nothing that is left, lies on no circle.
  for (let before = Infinity; left.size < before;) {
    before = left.size;
    const imported = new Set([...left.values()].flatMap((targets) => [...targets]));
    for (const [file, targets] of left)
      if (!imported.has(file) || ![...targets].some((target) => left.has(target))) left.delete(file);
  }
  return [...left.keys()].sort();
}

/** What two pages share belongs beside the routes. */
const isRoute = (file: string): boolean => file.startsWith('web/routes/');

function moduleOf(file: string): string {
  return file.split('/')[0]?.replace(/\.ts$/, '') ?? '';
}

function isTypeImport(source: string, specifier: string): boolean {
  const parsed = ts.createSourceFile('x.ts', source, ts.ScriptTarget.Latest);
  return parsed.statements
    .filter((statement) => ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement))
    .filter((s) => s.moduleSpecifier && ts.isStringLiteral(s.moduleSpecifier) && s.moduleSpecifier.text === specifier)
    .every((s) =>
      ts.isImportDeclaration(s) ? s.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword : s.isTypeOnly,
    );
}

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
}

function realSources(): Map<string, string> {
  const root = join(import.meta.dirname, '..', 'src');
  const files = globSync('**/*.ts', { cwd: root });
  return new Map(files.map((file) => [file.replaceAll('\\', '/'), readFileSync(join(root, file), 'utf8')]));
}

imports('every module imports only what the table allows, and reaches outside only where it may', () => {
  const sources = realSources();
  assert.ok(sources.size > 20);
  assert.equal(breaches(sources), []);
});

imports('no file imports itself by way of others', () => {
  assert.equal(circles(realSources()), []);
  const planted = new Map([
    ['a.ts', `import { b } from './b.ts';`],
    ['b.ts', `import type { C } from './c.ts';`],
    ['c.ts', `import { a } from './a.ts';\nimport { d } from './d.ts';`],
    ['d.ts', ``],
    ['e.ts', `import { a } from './a.ts';`],
  ]);
  assert.equal(circles(planted), ['a.ts', 'b.ts', 'c.ts']);
});

imports('a planted breach is found', () => {
  const planted: [string, string, string][] = [
    ['web/page.ts', `import { x } from '../store/sites.ts';`, 'web/page.ts: web imports store/sites.ts'],
    ['store/x.ts', `export * from '../git/driver.ts';`, 'store/x.ts: store imports git/driver.ts'],
    ['sync/x.ts', `const x = await import('../files/scan.ts');`, 'sync/x.ts: sync imports files/scan.ts'],
    ['model/x.ts', `import got from 'got';`, 'model/x.ts: model imports got'],
    ['git/x.ts', `import { y } from '../sync/ports.ts';`, 'git/x.ts: git imports sync/ports.ts'],
    ['gitlab/x.ts', `import type { Y } from '../sync/ports.ts';`, 'gitlab/x.ts: gitlab imports sync/ports.ts'],
    ['log.ts', `import type { L } from './config.ts';`, 'log.ts: log imports config.ts'],
    ['helpers/x.ts', ``, 'helpers/x.ts: no module is called helpers'],
    ['web/x.ts', `const home = process.env['HOME'];`, 'web/x.ts: uses process.env'],
    ['store/y.ts', `import { spawn } from 'node:child_process';`, 'store/y.ts: uses node:child_process'],
    ['sync/y.ts', `import { readFile } from 'node:fs/promises';`, 'sync/y.ts: uses node:fs'],
    ['sync/z.ts', `setTimeout(() => undefined, 5);`, 'sync/z.ts: uses a timer'],
    ['sync/t.ts', `const now = Date.now();`, 'sync/t.ts: uses the wall clock'],
    ['web/e.ts', `process.exit(1);`, 'web/e.ts: uses process.exit'],
    ['web/routes/a.ts', `import { b } from './b.ts';`, 'web/routes/a.ts: a route imports the route web/routes/b.ts'],
  ];
  for (const [file, source, breach] of planted) assert.equal(breaches(new Map([[file, source]])), [breach]);
});

imports('what is allowed passes', () => {
  const good = new Map([
    ['git/x.ts', `import type { Y } from '../sync/ports.ts';\nimport { spawn } from 'node:child_process';`],
    ['web/routes/x.ts', `import { Problem } from '../../model/problem.ts';\nimport { y } from '../y.ts';`],
    ['daemon.ts', `import { a } from './web/app.ts';\nconst b = process.env['B'];`],
    ['sync/x.ts', `// process.env is read elsewhere\n/* Date.now() too */`],
  ]);
  assert.equal(breaches(good), []);
});

imports.run();
