/**
 * A person at a browser without script, across sites: keeps cookies per origin, follows links and redirects, fills in
 * forms by their labels. Quick, because nothing is drawn; for tests that need a way through and not the look of it.
 */
export interface Clicker {
  /** The page that is open. */
  readonly page: Page;
  open(url: string): Promise<Page>;
  /** Presses a button, with `fill` (label to text, or true for a box or radio) over what its form holds already. */
  press(button: string, fill?: Fill): Promise<Page>;
  /** Follows a link. */
  follow(link: string): Promise<Page>;
  /** What pressing would send, for tests that send it twice or from elsewhere. */
  request(button: string, fill?: Fill): Sent;
  send(sent: Sent): Promise<Page>;
  /** The cookie header this browser would send to an address. */
  cookies(url: string): string;
}

export type Fill = Readonly<Record<string, string | true>>;

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly fields: URLSearchParams;
}

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly html: string;
  /** What a person reads in the body: text with its spaces collapsed. */
  readonly words: string;
  /** The first heading. */
  readonly heading: string;
  /** The state beside the heading of a site's page. */
  readonly state: string;
}

/** Not only the page's status, but the page: an answer of another kind is an empty page. */
export function createClicker(): Clicker {
  const jar = new Map<string, Map<string, string>>();
  let current: Page = { url: 'about:blank', status: 0, html: '', words: '', heading: '', state: '' };
  let root: Element = parse('');

  const cookies = (url: string): string =>
    [...(jar.get(new URL(url).origin) ?? [])].map(([name, value]) => `${name}=${value}`).join('; ');

  const load = async (url: string, init: RequestInit, hops = 0): Promise<Page> => {
    const { origin } = new URL(url);
    const response = await fetch(url, {
      ...init,
      redirect: 'manual',
      headers: { ...init.headers, cookie: cookies(url), accept: 'text/html' },
    });
    const mine = jar.get(origin) ?? new Map<string, string>();
    jar.set(origin, mine);
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === '' || /max-age=0/i.test(line)) mine.delete(name);
      else mine.set(name, value);
    }
    const html = await response.text();
    const fresh = parse(html);
    const [, seconds = '', refresh] =
      /^(\d); url=(.*)$/.exec(
        find(fresh, (e) => e.tag === 'meta' && e.attrs['http-equiv'] === 'refresh')[0]?.attrs['content'] ?? '',
      ) ?? [];
    const to = response.headers.get('location') ?? refresh;
    // A page that waits for something shows itself until that is done.
    if (seconds !== '' && seconds !== '0' && refresh !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, Number(seconds) * 1_000));
      return load(new URL(refresh, url).href, {});
    }
    if (to !== undefined && hops < 12) return load(new URL(to, url).href, {}, hops + 1);
    root = fresh;
    const body = find(root, ({ tag }) => tag === 'body')[0] ?? root;
    current = {
      url,
      status: response.status,
      html,
      words: textOf(body),
      heading: textOf(find(root, ({ tag }) => tag === 'h1')[0]),
      state: textOf(find(root, ({ attrs }) => attrs['class'] === 'status')[0]),
    };
    return current;
  };

  const request = (button: string, fill: Fill = {}): Sent => {
    const at = find(root, ({ tag }) => tag === 'button').find((e) => textOf(e) === button);
    const form = at && ancestor(at, 'form');
    if (!at || !form) throw new Error(`no button “${button}” at ${current.url}: ${current.words}`);
    const fields = fieldsOf(form, named(form, fill));
    const { name, value = '', formaction } = at.attrs;
    if (name) fields.append(name, value);
    const action = new URL(formaction ?? form.attrs['action'] ?? '', current.url);
    return { method: (form.attrs['method'] ?? 'get').toUpperCase(), url: action.href, fields };
  };

  const send = ({ method, url, fields }: Sent): Promise<Page> => {
    if (method === 'GET') return load(`${url.replace(/[?#].*$/, '')}?${fields}`, {});
    const { origin } = new URL(url);
    return load(url, { method, body: fields, headers: { 'sec-fetch-site': 'same-origin', origin } });
  };

  return {
    get page() {
      return current;
    },
    open: (url) => load(url, {}),
    press: async (button, fill) => send(request(button, fill)),
    async follow(link) {
      const at = find(root, ({ tag, attrs }) => tag === 'a' && attrs['href'] !== undefined).find(
        (e) => textOf(e) === link,
      );
      if (!at) throw new Error(`no link “${link}” at ${current.url}: ${current.words}`);
      return load(new URL(at.attrs['href'] ?? '', current.url).href, {});
    },
    request,
    send,
    cookies,
  };
}

interface Element {
  readonly tag: string;
  readonly attrs: Readonly<Record<string, string>>;
  readonly parent: Element | undefined;
  readonly children: (Element | string)[];
}

const voidTags = /^(area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|use|rect)$/;
const token =
  /<!--.*?-->|<!doctype[^>]*>|<(\/?)([a-z][\w-]*)((?:\s+[^\s=>/]+(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]+))?)*)\s*(\/?)>|[^<]+|</gis;

/** As much of HTML as our own pages and the practice GitLab's use. */
function parse(html: string): Element {
  const root: Element = { tag: '#root', attrs: {}, parent: undefined, children: [] };
  let open = root;
  for (const [all, end, name, attributes = '', selfClosing] of html.matchAll(token)) {
    if (name === undefined) {
      if (!all.startsWith('<!')) open.children.push(plain(all));
      continue;
    }
    const tag = name.toLowerCase();
    if (end) {
      let at: Element | undefined = open;
      while (at && at.tag !== tag) at = at.parent;
      if (at?.parent) open = at.parent;
      continue;
    }
    const element: Element = { tag, attrs: attributesOf(attributes), parent: open, children: [] };
    open.children.push(element);
    if (!selfClosing && !voidTags.test(tag)) open = element;
  }
  return root;
}

function attributesOf(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [, name = '', double, single, bare] of text.matchAll(
    /([^\s=>/]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+)))?/g,
  ))
    found[name.toLowerCase()] = plain(double ?? single ?? bare ?? '');
  return found;
}

const plain = (text: string): string =>
  text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replace(/&amp;/g, '&');

function find(from: Element, wanted: (element: Element) => boolean): Element[] {
  const found: Element[] = [];
  for (const child of from.children) {
    if (typeof child === 'string') continue;
    if (wanted(child)) found.push(child);
    found.push(...find(child, wanted));
  }
  return found;
}

/** Where a browser would break a line there is a space. */
const blocks =
  /^(p|div|li|ul|ol|dl|dt|dd|h\d|section|article|header|footer|nav|form|fieldset|legend|tr|td|th|table|br|details|summary|pre|small|figure|figcaption|label|time)$/;

function textOf(element: Element | undefined): string {
  const read = (one: Element | string): string => {
    if (typeof one === 'string') return one;
    if (['script', 'style', 'svg', 'option'].includes(one.tag)) return '';
    const inside = one.children.map(read).join('');
    return blocks.test(one.tag) ? ` ${inside} ` : inside;
  };
  return element ? read(element).replace(/\s+/g, ' ').trim() : '';
}

function ancestor(element: Element, tag: string): Element | undefined {
  let at: Element | undefined = element;
  while (at && at.tag !== tag) at = at.parent;
  return at;
}

const controls = (form: Element): Element[] =>
  find(form, ({ tag, attrs }) => ['input', 'textarea', 'select'].includes(tag) && attrs['name'] !== undefined);

/** The controls that the labels of `fill` belong to. */
function named(form: Element, fill: Fill): Map<Element, string | true> {
  const labels = find(form, ({ tag }) => tag === 'label');
  const chosen = new Map<Element, string | true>();
  for (const [words, value] of Object.entries(fill)) {
    const label =
      labels.find((one) => textOf(one).replace(/ optional$/, '') === words) ??
      labels.find((one) => textOf(one).includes(words));
    const id = label?.attrs['for'];
    const control = controls(form).find((one) =>
      id === undefined ? label && ancestor(one, 'label') === label : one.attrs['id'] === id,
    );
    if (!control) throw new Error(`no field “${words}” in the form; there are: ${labels.map(textOf).join(' | ')}`);
    if ('disabled' in control.attrs) throw new Error(`the field “${words}” is disabled`);
    chosen.set(control, value);
  }
  return chosen;
}

/** What the form would send. */
function fieldsOf(form: Element, fill: ReadonlyMap<Element, string | true>): URLSearchParams {
  const fields = new URLSearchParams();
  const radios = new Set([...fill.keys()].filter((e) => e.attrs['type'] === 'radio').map((e) => e.attrs['name']));
  for (const control of controls(form)) {
    const { name = '', type, value } = control.attrs;
    if ('disabled' in control.attrs) continue;
    const given = fill.get(control);
    if (control.tag === 'select') fields.append(name, selected(control, given));
    else if (control.tag === 'textarea') fields.append(name, typeof given === 'string' ? given : rawText(control));
    else if (type === 'radio' || type === 'checkbox') {
      const on = given === true || ('checked' in control.attrs && !(type === 'radio' && radios.has(name)));
      if (on) fields.append(name, value ?? 'on');
    } else fields.append(name, typeof given === 'string' ? given : (value ?? ''));
  }
  return fields;
}

function selected(select: Element, given: string | true | undefined): string {
  const options = find(select, ({ tag, attrs }) => tag === 'option' && !('disabled' in attrs));
  const words = (option: Element): string => option.children.join('').trim();
  const chosen =
    given === undefined
      ? (options.find(({ attrs }) => 'selected' in attrs) ?? options[0])
      : options.find((option) => words(option) === given || option.attrs['value'] === given);
  if (!chosen) {
    if (given === undefined) return '';
    throw new Error(`no choice “${String(given)}”; there are: ${options.map(words).join(' | ')}`);
  }
  return chosen.attrs['value'] ?? words(chosen);
}

const rawText = (area: Element): string => area.children.join('').replace(/^\n/, '');
