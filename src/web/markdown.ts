import createMarkdown, { type MarkdownIt, type Token } from 'markdown-it';

/** A part of a page: what stands below one heading, up to the next. */
export interface Section {
  readonly level: number;
  readonly heading: string;
  /** Its `id` in the HTML, as GitLab and GitHub make it from the heading. */
  readonly anchor: string;
  /** All words in it, without marks. */
  readonly text: string;
}

export interface Rendered {
  /** Without the first heading, which is the title of the page. */
  readonly html: string;
  readonly sections: readonly Section[];
}

/** Where a relative link leads; undefined where we serve nothing, then only its words are shown. */
export type LinkTo = (target: string) => string | undefined;

/**
 * HTML in the source is shown as text and never becomes markup, and markdown-it refuses `javascript:` and the like. So
 * what comes out is safe, whoever wrote the page.
 */
export function renderMarkdown(source: string, linkTo: LinkTo): Rendered {
  const md = createRenderer();
  const tokens = md.parse(source.replace(/^<!--.*?-->$/gms, ''), {});
  const sections = anchorHeadings(tokens);
  for (const token of tokens) if (token.children) token.children = relink(token.children, linkTo);
  const first = tokens.findIndex(({ type }) => type === 'heading_close');
  return { html: md.renderer.render(tokens.slice(first + 1), md.options, {}), sections };
}

function createRenderer(): MarkdownIt {
  const md = createMarkdown({ html: false });
  const { rules } = md.renderer;
  const escape = md.utils.escapeHtml;
  // What may be wider than a phone scrolls by itself, also by keyboard.
  rules['table_open'] = () => '<div class="doc-wide" tabindex="0"><table>';
  rules['table_close'] = () => '</table></div>';
  // Without the alignment, which would be a style in the markup.
  rules['th_open'] = () => '<th>';
  rules['td_open'] = () => '<td>';
  rules['fence'] = (tokens, index) =>
    `<pre class="output" tabindex="0"><code>${escape(tokens[index]?.content ?? '')}</code></pre>\n`;
  rules['image'] = (tokens, index) => escape(tokens[index]?.content ?? '');
  return md;
}

/** Gives each heading its `id`, and collects what stands below it. */
function anchorHeadings(tokens: readonly Token[]): readonly Section[] {
  const sections: { level: number; heading: string; anchor: string; text: string }[] = [];
  const used = new Map<string, number>();
  for (const [index, token] of tokens.entries()) {
    if (token.type === 'heading_open') {
      const heading = textOf(tokens[index + 1]);
      const anchor = anchorOf(heading);
      const again = used.get(anchor) ?? 0;
      used.set(anchor, again + 1);
      const id = again === 0 ? anchor : `${anchor}-${again}`;
      token.attrSet('id', id);
      sections.push({ level: Number(token.tag.slice(1)), heading, anchor: id, text: '' });
    } else if (tokens[index - 1]?.type !== 'heading_open') {
      const section = sections.at(-1);
      const text = textOf(token);
      if (section && text !== '') section.text = `${section.text} ${text}`.trimStart();
    }
  }
  return sections;
}

function textOf(token: Token | undefined): string {
  if (!token) return '';
  const text = token.children
    ? token.children.map(({ type, content }) => (isBreak(type) ? ' ' : content)).join('')
    : '';
  return (token.children ? text : token.type === 'fence' ? token.content : '').replace(/\s+/g, ' ').trim();
}

const isBreak = (type: string): boolean => type === 'softbreak' || type === 'hardbreak';

export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');
}

/** Links between pages lead to where we serve them; a link to what we do not serve becomes its words. */
function relink(tokens: readonly Token[], linkTo: LinkTo): Token[] {
  const kept: Token[] = [];
  let isDropped = false;
  for (const token of tokens) {
    if (token.type === 'link_open') {
      const target = String(token.attrGet('href') ?? '');
      const href = target.startsWith('#') || /^https?:/.test(target) ? target : linkTo(target);
      isDropped = href === undefined;
      if (href === undefined) continue;
      token.attrSet('href', href);
      if (/^https?:/.test(href)) token.attrSet('rel', 'noreferrer');
    } else if (token.type === 'link_close' && isDropped) {
      isDropped = false;
      continue;
    }
    kept.push(token);
  }
  return kept;
}
