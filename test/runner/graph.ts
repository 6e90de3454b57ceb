import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** Which modules a test file runs, read from the sources: what decides its tier, and whether a change concerns it. */
export interface ImportGraph {
  /** All modules that `file` runs, itself included, and the names of the packages they import. Type imports are none. */
  reach(file: string): { readonly files: ReadonlySet<string>; readonly packages: ReadonlySet<string> };
}

/** What one module runs: by import, or by naming the file it starts as a process or a worker. */
const edges = [
  /^\s*(?:import|export)\s+(?!type\b)(?:[^'"`;]*?\sfrom\s+)?['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  /new URL\(\s*['"](\.[^'"]+\.ts)['"]/g,
] as const;
/** A path from the root of the project, in one string or in the arguments of `join`. */
const started = /['"`]((?:src|test)(?:\/|', ')[\w./', -]*?\.(?:ts|mjs|py))['"`]/g;

/** `root`: folder of the project; files are named by their path below it. */
export function readImports(root: string): ImportGraph {
  const known = new Map<string, { files: string[]; packages: string[] }>();

  function direct(file: string): { files: string[]; packages: string[] } {
    const found = known.get(file);
    if (found) return found;
    const source = readFileSync(join(root, file), 'utf8');
    const files: string[] = [];
    const packages: string[] = [];
    for (const pattern of edges) {
      for (const [, specifier = ''] of source.matchAll(pattern)) {
        if (!specifier.startsWith('.')) packages.push(specifier);
        else files.push(posix.join(dirname(file), specifier));
      }
    }
    for (const [, path = ''] of source.matchAll(started)) files.push(path.replaceAll("', '", '/'));
    const made = { files: files.filter((path) => existsSync(join(root, path))), packages };
    known.set(file, made);
    return made;
  }

  return {
    reach(file) {
      const files = new Set([file]);
      const packages = new Set<string>();
      for (const each of files) {
        const next = direct(each);
        for (const path of next.files) if (/\.(ts|mjs)$/.test(path)) files.add(path);
        for (const name of next.packages) packages.add(name);
      }
      return { files, packages };
    },
  };
}

/**
 * `unit` starts no process at all; `engine` runs real git and real files; `system` has a daemon, a browser or the
 * practice GitLab in it.
 */
export type Tier = 'unit' | 'engine' | 'system';

const systems = /^(?:test\/support\/(?:daemon|browser|gitlab\/server)|src\/(?:daemon|main))\.ts$/;

export function tierOf(graph: ImportGraph, file: string): Tier {
  const { files, packages } = graph.reach(file);
  if ([...files].some((path) => systems.test(path))) return 'system';
  return packages.has('node:child_process') ? 'engine' : 'unit';
}

/** Of the test files, those that a change to `changed` may break. */
export function affected(graph: ImportGraph, tests: readonly string[], changed: readonly string[]): readonly string[] {
  const pages = changed.some((path) => /^(views|public)\//.test(path));
  // Words for people: only the tests that read them can tell.
  const isProse = (path: string): boolean => /\.md$|^docs\/|^LICENSE$|\.png$/.test(path);
  const isModule = (path: string): boolean => /^(src|test)\/.*\.ts$/.test(path);
  const anything = changed.some((path) => !isProse(path) && !isModule(path) && !/^(views|public)\//.test(path));
  if (anything) return tests;
  const modules = new Set(changed.filter(isModule));
  if (pages) modules.add('src/web/render.ts');
  return tests.filter((test) => [...graph.reach(test).files].some((path) => modules.has(path)));
}
