/**
 * A person at a browser without script, as far as our pages need one: keeps cookies, follows redirects within the
 * practice GitLab, fills in forms. For tests of the OAuth way that do not need to see anything.
 */
export interface Page {
  readonly url: string;
  readonly status: number;
  readonly text: string;
  /** Where a redirect off this site, or a forwarding page, would have led. */
  readonly leads: string | undefined;
}

export interface Browser {
  open(url: string): Promise<Page>;
  /** Sends the form of the last page that has a button with this text, with `fill` over its prefilled fields. */
  press(button: string, fill?: Record<string, string | string[]>): Promise<Page>;
}

export function createBrowser(): Browser {
  const jar = new Map<string, Map<string, string>>();
  let current: Page | undefined;

  const load = async (url: string, init: RequestInit, hops = 0): Promise<Page> => {
    const { origin } = new URL(url);
    const cookies = jar.get(origin) ?? new Map<string, string>();
    jar.set(origin, cookies);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...init, redirect: 'manual', headers: { ...init.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const text = await response.text();
    const location = response.headers.get('location');
    const to = location === null ? undefined : new URL(location, url).href;
    if (to !== undefined && new URL(to).origin === origin && hops < 10) return load(to, {}, hops + 1);
    const refresh = /http-equiv="refresh"[^>]*content="0; url=([^"]*)"/.exec(text)?.[1];
    current = { url, status: response.status, text, leads: to ?? (refresh === undefined ? undefined : plain(refresh)) };
    return current;
  };

  return {
    open: (url) => load(url, {}),
    press(button, fill = {}) {
      if (!current) throw new Error('no page is open');
      const forms = [...current.text.matchAll(/<form[^>]*action="([^"]*)"[^>]*>(.*?)<\/form>/gs)];
      const form = forms.find(([, , body = '']) =>
        [...body.matchAll(/<button[^>]*>(.*?)<\/button>/gs)].some(([, label = '']) => plain(label).trim() === button),
      );
      if (!form) throw new Error(`no button "${button}" at ${current.url}:\n${current.text}`);
      const [, action = '', body = ''] = form;
      const fields = new URLSearchParams(prefilled(body));
      for (const [name, value] of Object.entries(fill)) {
        fields.delete(name);
        for (const one of [value].flat()) fields.append(name, one);
      }
      const pressed = new RegExp(`<button[^>]*name="([^"]*)"[^>]*value="([^"]*)"[^>]*>\\s*${button}`).exec(body);
      if (pressed) fields.set(pressed[1] ?? '', pressed[2] ?? '');
      return load(new URL(plain(action), current.url).href, { method: 'POST', body: fields });
    },
  };
}

function prefilled(form: string): [string, string][] {
  const fields: [string, string][] = [];
  for (const [tag] of form.matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(tag)?.[1];
    const box = /type="(checkbox|radio)"/.test(tag);
    if (name === undefined || (box && !/\schecked/.test(tag))) continue;
    fields.push([name, plain(/value="([^"]*)"/.exec(tag)?.[1] ?? '')]);
  }
  for (const [, name = '', text = ''] of form.matchAll(/<textarea[^>]*name="([^"]*)"[^>]*>\n?(.*?)<\/textarea/gs)) {
    fields.push([name, plain(text)]);
  }
  for (const [, name = '', options = ''] of form.matchAll(/<select[^>]*name="([^"]*)"[^>]*>(.*?)<\/select>/gs)) {
    fields.push([name, plain(/value="([^"]*)"/.exec(options)?.[1] ?? '')]);
  }
  return fields;
}

const plain = (text: string): string =>
  text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');

/** Signs in on the way when the practice GitLab asks for it. */
export async function signIn(browser: Browser, page: Page, login: string, password: string): Promise<Page> {
  return page.text.includes('id="user_login"') ? browser.press('Sign in', { login, password }) : page;
}
