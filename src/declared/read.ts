import {
  type Document,
  LineCounter,
  type Node,
  type Pair,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
} from 'yaml';
import type { z } from 'zod';
import type { DeclaredFault, DeclaredPlace } from '../model/declared.ts';
import type { LabelSelector } from '../model/label-selector.ts';
import { type Declaration, declarationShape, exampleAt, membersAt } from './shape.ts';

type Path = readonly (string | number)[];

/** A declaration that has the right shape, and where each member of it stands. */
export interface ReadDeclaration {
  readonly declaration: Declaration;
  /** Of a member that is not there: of the nearest one around it. */
  placeOf(path: Path): DeclaredPlace;
  /** Whether a site is this daemon's, or belongs to another shard. */
  isHere(site: number): boolean;
  /** A fault at a member, with an example of what would be right. */
  fault(path: Path, text: string): DeclaredFault;
}

/** More than the largest installation needs; a file far larger is none of ours. */
const mostBytes = 4 * 1024 * 1024;

/**
 * Reads YAML, or JSON, which is a part of it. Gives every fault that the text alone shows, those of other shards too.
 * `selector`: which sites are this daemon's; absent: all.
 */
export function readDeclaration(
  text: string,
  selector?: LabelSelector,
):
  | { readonly kind: 'good'; readonly read: ReadDeclaration }
  | { readonly kind: 'bad'; readonly faults: DeclaredFault[] } {
  if (Buffer.byteLength(text) > mostBytes) return bad([{ ...start, path: '', text: 'The file is larger than 4 MiB.' }]);
  const lines = new LineCounter();
  const [document, second] = parseAllDocuments(text, {
    ...{ lineCounter: lines, version: '1.2', merge: true, prettyErrors: false, uniqueKeys: true },
  }) as Document.Parsed[];
  if (!document || document.contents === null)
    return bad([{ ...start, path: '', text: 'The file is empty.', example: 'version: 1' }]);
  if (second) return bad([{ ...placeAt(lines, second.range[0]), path: '', text: 'There must be one document only.' }]);
  const broken = [...document.errors, ...document.warnings].map((error) => ({
    ...placeAt(lines, error.pos[0]),
    ...{ path: '', text: `This is not YAML: ${error.message}.`.replace(/\.\.$/, '.') },
  }));
  // One mistake makes the parser stumble over the rest of its line.
  const first = broken.filter(({ line }, at) => broken.findIndex((one) => one.line === line) === at);
  if (first.length > 0) return bad(first);
  const value = plain(document);
  if (value.kind === 'bad') return bad([{ ...start, path: '', text: value.text }]);
  const placeOf = (path: Path): DeclaredPlace => placeAt(lines, offsetOf(document, path));
  const fault = (path: Path, words: string): DeclaredFault => {
    const example = exampleAt(path);
    return { ...placeOf(path), path: pathText(path), text: words, ...(example === undefined ? {} : { example }) };
  };
  const parsed = declarationShape.safeParse(value.value);
  if (!parsed.success) return bad(inOrder(parsed.error.issues.flatMap((issue) => faultsOf(issue, value.value, fault))));
  const isHere = (site: number): boolean => selector?.(parsed.data.sites[site]?.labels ?? {}) ?? true;
  const read = { declaration: parsed.data, placeOf, isHere, fault };
  const faults = ownFaults(read);
  return faults.length > 0 ? bad(inOrder(faults)) : { kind: 'good', read };
}

const start: DeclaredPlace = { line: 1, column: 1 };

export function inOrder(faults: readonly DeclaredFault[]): DeclaredFault[] {
  return [...faults].sort((a, b) => a.line - b.line || a.column - b.column);
}

function bad(faults: DeclaredFault[]): { kind: 'bad'; faults: DeclaredFault[] } {
  return { kind: 'bad', faults };
}

/** The number of aliases is bounded by the library: a few lines must not become gigabytes. */
function plain(document: Document): { kind: 'good'; value: unknown } | { kind: 'bad'; text: string } {
  try {
    return { kind: 'good', value: document.toJS() };
  } catch (error) {
    return { kind: 'bad', text: `This cannot be read: ${error instanceof Error ? error.message : String(error)}.` };
  }
}

/** `sites[2].source.branch`. */
export function pathText(path: Path): string {
  return path.map((step, at) => (typeof step === 'number' ? `[${step}]` : at === 0 ? step : `.${step}`)).join('');
}

function placeAt(lines: LineCounter, offset: number): DeclaredPlace {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

/** Where a member's name stands, or the element of a list; where it is not there, what is around it. */
function offsetOf(document: Document, path: Path): number {
  let node = document.contents as Node | null | undefined;
  let offset = node?.range?.[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === step) as Pair<Node, Node> | undefined;
      if (!pair) break;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)] as Node | undefined;
      if (!node) break;
      offset = node.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

type Issue = z.core.$ZodIssue;
type MakeFault = ReadDeclaration['fault'];

/** What is wrong, in our words: each names what is expected at that very place. */
function faultsOf(issue: Issue, value: unknown, fault: MakeFault): DeclaredFault[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const { line, column } = fault([...path, key], '');
      const known = membersAt(path);
      const near = known.find((name) => distance(name.toLowerCase(), key.toLowerCase()) <= 2);
      const example = near === undefined ? undefined : exampleAt([...path, near]);
      const hint = near === undefined ? `There are ${known.join(', ')}.` : `Did you mean ${near}?`;
      const text = `There is no member ${key} here. ${hint}`;
      return { line, column, path: pathText([...path, key]), text, ...(example === undefined ? {} : { example }) };
    });
  const found = at(value, path);
  if (found === undefined) return [fault(path, `${String(path.at(-1) ?? 'A member')} is missing.`)];
  return [fault(path, wordsOf(issue, found))];
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a set of members',
};

function wordsOf(issue: Issue, found: unknown): string {
  switch (issue.code) {
    case 'invalid_type': {
      const isBare = issue.expected === 'string' && ['number', 'boolean'].includes(typeof found);
      if (isBare) return 'It must be text. Put it in quotes.';
      return found === null ? 'It has no value.' : `It must be ${kinds[issue.expected] ?? issue.expected}.`;
    }
    case 'invalid_value':
      return `It must be ${issue.values.map(String).join(' or ')}.`;
    case 'too_big':
      return `It may have at most ${String(issue.maximum)}${issue.origin === 'string' ? ' characters' : ''}.`;
    case 'too_small':
      return typeof found === 'string' ? 'It is empty.' : `It needs at least ${String(issue.minimum)}.`;
    default:
      return issue.message;
  }
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, step) =>
      typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>)[step] : undefined,
    value,
  );
}

/** Changes of one letter between two words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries())
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)));
    row = next;
  }
  return row[b.length] ?? 0;
}

/** As accounts compare names: case and spaces around do not count. */
export const nameKey = (name: string): string => name.normalize('NFKC').trim().toLowerCase();

/** What members contradict one another. */
function ownFaults({ declaration, fault }: Pick<ReadDeclaration, 'declaration' | 'fault'>): DeclaredFault[] {
  const { instance, accounts, connections, sites, notifications } = declaration;
  const faults: DeclaredFault[] = [];
  const add = (path: Path, text: string): void => void faults.push(fault(path, text));
  const twice = (list: 'accounts' | 'connections' | 'sites', member: string, values: readonly string[]): void => {
    for (const [index, value] of values.entries()) {
      const first = values.indexOf(value);
      if (first < index) add([list, index, member], `${pathText([list, first])} has this ${member} already.`);
    }
  };
  twice(
    'accounts',
    'name',
    accounts.map(({ name }) => nameKey(name)),
  );
  twice(
    'connections',
    'name',
    connections.map(({ name }) => name),
  );
  twice(
    'sites',
    'name',
    sites.map(({ name }) => name.trim()),
  );
  twice(
    'sites',
    'folder',
    sites.map(({ folder }) => folder.replace(/\/+$/, '')),
  );
  for (const [index, { role, sites: only }] of accounts.entries()) {
    if (role === 'owner' && !only) add(['accounts', index, 'sites'], 'An owner needs the names of sites.');
    if (role === 'admin' && only) add(['accounts', index, 'sites'], 'An admin sees all sites. Leave this out.');
  }
  for (const [index, { tokenFile, user, expires }] of connections.entries()) {
    if (tokenFile === undefined && user === undefined)
      add(
        ['connections', index, 'tokenFile'],
        'It needs tokenFile, or user for somebody who authorises Mooring in a browser.',
      );
    if (tokenFile === undefined && expires !== undefined)
      add(['connections', index, 'expires'], 'Only a token has one.');
  }
  const names = connections.map(({ name }) => name);
  for (const [index, { source }] of sites.entries()) {
    if (source && !names.includes(source.connection))
      add(['sites', index, 'source', 'connection'], `No connection in this file is called ${source.connection}.`);
  }
  for (const [one, other] of [
    ['ca', 'caFile'],
    ['clientCertificate', 'clientCertificateFile'],
    ['proxy', 'proxyFile'],
  ] as const)
    if (instance?.[one] !== undefined && instance[other] !== undefined)
      add(['instance', other], `Give ${one} or ${other}, not both.`);
  const { header, valueFile } = notifications?.webhook ?? {};
  if ((header === undefined) !== (valueFile === undefined))
    add(['notifications', 'webhook', 'header'], 'header and valueFile belong together.');
  return faults;
}
