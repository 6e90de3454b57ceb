import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Address } from './address.ts';
import { renderMarkdown, type Section } from './markdown.ts';

/** The pages in `docs/`, as the daemon serves them. */
export interface Manual {
  readonly groups: readonly { readonly name: string; readonly pages: readonly ManualPage[] }[];
  page(name: string): ManualPage | undefined;
  /** Sections in which every word occurs, those with the words in their heading first; at most `mostFound`. */
  search(words: string): readonly Found[];
}

export interface ManualPage {
  readonly name: string;
  readonly title: string;
  readonly href: string;
  readonly html: string;
  readonly sections: readonly Section[];
}

export interface Found {
  readonly title: string;
  /** Undefined for what stands above the second heading of a page. */
  readonly heading: string | undefined;
  readonly href: string;
  /** A piece of the text; `hit` where it is what was searched for. */
  readonly excerpt: readonly { readonly text: string; readonly hit: boolean }[];
}

const docsFolder = fileURLToPath(new URL('../../docs', import.meta.url));
export const mostFound = 30;
const mostWords = 8;
/** Characters of text on each side of what was found. */
const around = 90;

/** Pages that are not named here stand in the last group. */
const order: readonly (readonly [group: string, names: readonly string[]])[] = [
  ['Set up', ['install', 'connect-gitlab', 'reverse-proxy', 'permissions', 'configuration-as-code']],
  ['Run', ['operate', 'monitor', 'back-up', 'upgrade', 'troubleshoot', 'after-a-sync']],
  ['Automate', ['command-line', 'api']],
  ['Understand', ['engine', 'performance', 'compare', 'glossary', 'architecture', 'develop']],
];

/** Reads and renders all pages: they do not change while the daemon runs. */
export function readManual(address: Address, folder = docsFolder): Manual {
  const names = readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .map((name) => name.slice(0, -3));
  const hrefOf = (name: string): string => address.link(`/docs/${name}`);
  const linkTo = (target: string): string | undefined => {
    const [, name = '', anchor = ''] = /^([\w-]+)\.md(#.*)?$/.exec(target) ?? [];
    return names.includes(name) ? `${hrefOf(name)}${anchor}` : undefined;
  };
  const pages = new Map(
    names.map((name): [string, ManualPage] => {
      const { html, sections } = renderMarkdown(readFileSync(join(folder, `${name}.md`), 'utf8'), linkTo);
      return [name, { name, title: sections[0]?.heading ?? name, href: hrefOf(name), html, sections }];
    }),
  );
  const named = new Set(order.flatMap(([, each]) => each));
  const others = names.filter((name) => !named.has(name)).sort();
  const groups = order.map(([name, each], index) => ({
    name,
    pages: [...each, ...(index === order.length - 1 ? others : [])].flatMap((one) => pages.get(one) ?? []),
  }));
  const all = groups.flatMap((group) => group.pages);
  return { groups, page: (name) => pages.get(name), search: (words) => search(all, words) };
}

function search(pages: readonly ManualPage[], asked: string): readonly Found[] {
  const words = [...new Set(asked.toLowerCase().split(/\s+/))].filter((word) => word !== '').slice(0, mostWords);
  if (words.length === 0) return [];
  const found = pages.flatMap((page) =>
    page.sections.flatMap((section, index) => {
      const [heading, text] = [section.heading.toLowerCase(), section.text.toLowerCase()];
      if (!words.every((word) => heading.includes(word) || text.includes(word))) return [];
      const score = words.filter((word) => heading.includes(word)).length;
      return [{ score, result: foundIn(page, section, index, words) }];
    }),
  );
  // The sort is stable: equally good ones stay in the order of the pages.
  return found
    .sort((a, b) => b.score - a.score)
    .slice(0, mostFound)
    .map(({ result }) => result);
}

function foundIn({ title, href }: ManualPage, section: Section, index: number, words: readonly string[]): Found {
  return {
    title,
    heading: index === 0 ? undefined : section.heading,
    href: index === 0 ? href : `${href}#${section.anchor}`,
    excerpt: excerptOf(section.text, words),
  };
}

function excerptOf(text: string, words: readonly string[]): Found['excerpt'] {
  const lower = text.toLowerCase();
  // Lower case of a few letters has another length; then positions would be wrong, and nothing is marked.
  const places = lower.length === text.length ? words.map((word) => lower.indexOf(word)).filter((at) => at >= 0) : [];
  const first = places.length === 0 ? 0 : Math.min(...places);
  // Whole words only. A text without spaces is shown from there on, to its end.
  const start = first <= around ? 0 : text.indexOf(' ', first - around) + 1;
  const space = text.indexOf(' ', first + 2 * around);
  const end = space < 0 ? text.length : space;
  const parts: { text: string; hit: boolean }[] = [];
  let at = start;
  while (at < end) {
    const next = words
      .map((word) => ({ word, place: lower.length === text.length ? lower.indexOf(word, at) : -1 }))
      .filter(({ word, place }) => place >= 0 && place + word.length <= end)
      .sort((a, b) => a.place - b.place || b.word.length - a.word.length)[0];
    if (!next) break;
    if (next.place > at) parts.push({ text: text.slice(at, next.place), hit: false });
    parts.push({ text: text.slice(next.place, next.place + next.word.length), hit: true });
    at = next.place + next.word.length;
  }
  if (at < end) parts.push({ text: text.slice(at, end), hit: false });
  return [
    ...(start > 0 ? [{ text: '… ', hit: false }] : []),
    ...parts,
    ...(end < text.length ? [{ text: ' …', hit: false }] : []),
  ];
}
