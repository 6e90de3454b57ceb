// Mooring's one script. Every page works without it: this file opens dialogs in place of their pages, fetches the
// second step of a choice, keeps open pages live, copies, filters and changes the theme at once.
// Data reaches it by data- attributes; the server renders everything that is shown.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const byId = (id) => document.getElementById(id);

// ---- Sending once ---------------------------------------------------------------------------------------------------
// A second click on a slow button would only be refused by the server; better it does not leave the page.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method === 'dialog' || event.submitter?.formMethod === 'dialog') return;
  if (form.dataset.sent) return event.preventDefault();
  if (form.method !== 'post') return;
  form.dataset.sent = 'yes';
  event.submitter?.setAttribute('aria-busy', 'true');
});
// Back from another page: the browser may show this one as it was left.
addEventListener('pageshow', () => {
  for (const form of all('form[data-sent]')) delete form.dataset.sent;
  for (const button of all('form .button[aria-busy]'))
    if (!button.closest('[data-part]')) button.removeAttribute('aria-busy');
});

// ---- Questions: the page without script, a dialog with it ----------------------------------------------------------------
// A link or a GET form with data-asks leads to a page; the same address gives the inside of a dialog.
const dialog = document.createElement('dialog');
dialog.className = 'dialog';
dialog.setAttribute('aria-labelledby', 'ask-title');
let asking; // cancels the question before
let asker; // where the focus goes back to

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[data-asks]');
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0 || !dialog.showModal) return;
  event.preventDefault();
  ask(link.href, link);
});
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (!form.matches('form[data-asks]') || !dialog.showModal) return;
  event.preventDefault();
  ask(`${form.action}?${new URLSearchParams(new FormData(form))}`, form);
});

async function ask(address, from) {
  asking?.abort();
  asking = new AbortController();
  if (!dialog.isConnected) document.body.append(dialog);
  if (!dialog.open) asker = document.activeElement;
  wait(from.dataset.busy ?? 'One moment');
  if (!dialog.open) dialog.showModal();
  await show(fetch(address, { headers: { 'X-Part': 'dialog' }, signal: asking.signal }), address);
}

function wait(words) {
  const head = Object.assign(document.createElement('form'), { method: 'dialog', className: 'dialog-head' });
  const title = Object.assign(document.createElement('h2'), { id: 'ask-title', textContent: words, tabIndex: -1 });
  const cancel = Object.assign(document.createElement('button'), { className: 'button', textContent: 'Cancel' });
  head.append(title, cancel);
  const body = Object.assign(document.createElement('div'), { className: 'dialog-body' });
  const bar = Object.assign(document.createElement('progress'), { className: 'progress' });
  bar.setAttribute('aria-label', words);
  body.append(bar);
  dialog.setAttribute('aria-busy', 'true');
  dialog.replaceChildren(head, body);
}

// What the server says goes into the dialog; a redirect or another page goes to the window.
async function show(answer, address) {
  try {
    const response = await answer;
    const html = await response.text();
    if (/^\s*<!doctype/i.test(html)) return location.assign(response.redirected ? response.url : address);
    dialog.removeAttribute('aria-busy');
    dialog.innerHTML = html;
    dialog.querySelector('[autofocus]')?.focus();
  } catch (error) {
    if (error.name !== 'AbortError') location.assign(address);
  }
}

dialog.addEventListener('click', (event) => {
  if (event.target === dialog) dialog.close();
});
dialog.addEventListener('close', () => {
  // The event comes late: somebody quick has asked again meanwhile.
  if (dialog.open) return;
  asking?.abort();
  asker?.focus?.();
});
// The answer is sent from here too: when either side changed meanwhile, the dialog comes back with the new numbers.
dialog.addEventListener('submit', (event) => {
  const form = event.target;
  if (form.method !== 'post' || event.submitter?.formMethod === 'dialog') return;
  event.preventDefault();
  event.stopPropagation();
  if (form.dataset.sent) return;
  form.dataset.sent = 'yes';
  event.submitter?.setAttribute('aria-busy', 'true');
  // A button may lead elsewhere than its form: allowing a path brings the question back.
  const action = event.submitter?.hasAttribute('formaction') ? event.submitter.formAction : form.action;
  const body = new URLSearchParams(new FormData(form, event.submitter));
  void show(fetch(action, { method: 'POST', body, headers: { 'X-Part': 'dialog' } }), location.href);
});

// ---- The picker: a chosen repository brings its branches ---------------------------------------------------------------------
for (const form of all('form[data-picks]')) {
  for (const part of all('[data-plain]', form)) part.hidden = true;
  let picking;
  form.addEventListener('change', async () => {
    picking?.abort();
    picking = new AbortController();
    const target = byId(form.dataset.picks);
    const address = `${form.action.split('#')[0]}?${new URLSearchParams(new FormData(form))}`;
    target.setAttribute('aria-busy', 'true');
    say('Reading the branches');
    try {
      const page = new DOMParser().parseFromString(
        await (await fetch(address, { signal: picking.signal })).text(),
        'text/html',
      );
      const found = page.getElementById(target.id);
      if (!found) return location.assign(address);
      target.replaceChildren(...found.childNodes);
      target.removeAttribute('aria-busy');
      history.replaceState(null, '', address);
      say('Branches shown below');
      target.scrollIntoView({ block: 'nearest', behavior: 'smooth' });
    } catch (error) {
      if (error.name !== 'AbortError') location.assign(address);
    }
  });
}

// ---- Live pages ----------------------------------------------------------------------------------------------------------
// An event says only that something changed: the parts of the page are asked for anew and swapped by id.
const { live, events } = document.body.dataset;
if (live && window.EventSource) {
  const site = /\/sites\/([^/?]+)\/live/.exec(live)?.[1];
  const source = new EventSource(events);
  let timer;
  let wasLost = false;
  const soon = () => {
    timer ??= setTimeout(refresh, 400);
  };
  const note = (words) => {
    for (const place of all('[data-live-state]')) place.textContent = words;
  };
  const heard = (event) => {
    const about = JSON.parse(event.data).site;
    if (!site || about === site) soon();
  };
  source.addEventListener('status', heard);
  source.addEventListener('run', heard);
  source.addEventListener('open', () => {
    note('Live');
    if (wasLost) soon();
    wasLost = false;
  });
  source.addEventListener('error', () => {
    note('Not live at the moment');
    wasLost = true;
  });
  addEventListener('pagehide', () => source.close());

  async function refresh() {
    timer = undefined;
    if (document.hidden) return document.addEventListener('visibilitychange', soon, { once: true });
    const response = await fetch(live, { headers: { 'X-Part': 'live' } }).catch(() => undefined);
    if (response?.status === 403 || response?.redirected) return location.reload();
    if (!response?.ok || response.status === 204) return;
    swap(new DOMParser().parseFromString(await response.text(), 'text/html'));
  }
}

// Swaps what changed and nothing else: focus, open details and what is being filtered stay.
function swap(fresh) {
  for (const part of all('[data-part]', fresh)) {
    const old = byId(part.id);
    if (!old || !old.hasAttribute('data-part')) continue;
    for (const details of all('details[id]', old)) {
      const same = part.querySelector(`#${CSS.escape(details.id)}`);
      if (same) same.open = details.open;
    }
    if (old.outerHTML === part.outerHTML) continue;
    const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
    old.replaceWith(part);
    if (focused) byId(focused)?.focus({ preventScroll: true });
  }
  for (const input of all('input[data-filters]')) if (input.value) filter(input);
}

// ---- Copy ------------------------------------------------------------------------------------------------------------------
// Copy buttons arrive hidden, since without script they would be a lie.
for (const button of all('[data-copies]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const field = byId(button.dataset.copies);
    const text = field.value ?? field.textContent;
    const done = await navigator.clipboard?.writeText(text).then(
      () => true,
      () => false,
    );
    if (!done) getSelection()?.selectAllChildren(field);
    say(done ? `${button.dataset.what ?? 'Text'} copied` : 'Selected: press Ctrl+C to copy');
    if (done) mark(button);
  });
}
function mark(button) {
  const label = button.lastChild;
  const words = label.textContent;
  if (words === 'Copied') return;
  label.textContent = 'Copied';
  setTimeout(() => {
    label.textContent = words;
  }, 2000);
}

// ---- Filtering what the page already holds -----------------------------------------------------------------------------------
function filter(input) {
  const rows = all('[data-text]', byId(input.dataset.filters));
  const none = byId(`${input.dataset.filters}-none`);
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    row.hidden = !words.every((word) => row.dataset.text.includes(word));
    if (!row.hidden) shown += 1;
  }
  if (none) none.hidden = shown > 0;
  return `${shown} of ${rows.length} shown`;
}
for (const input of all('input[data-filters]')) input.addEventListener('input', () => say(filter(input)));
document.addEventListener('keydown', (event) => {
  if (
    event.key !== '/' ||
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    event.target.matches('input, textarea, select')
  )
    return;
  const input = document.querySelector('.filter input[type="search"]');
  if (input) {
    event.preventDefault();
    input.focus();
  }
});

// ---- Forms that help -----------------------------------------------------------------------------------------------------
// Typing a path means the other folder.
for (const input of all('input[data-chooses]')) {
  input.addEventListener('input', () => {
    const radio = input.form.querySelector(`input[type="radio"][value="${CSS.escape(input.dataset.chooses)}"]`);
    if (radio && input.value) radio.checked = true;
  });
}
// What would be derived from the GitLab URL stands in the empty fields.
for (const form of all('form[data-derives]')) {
  const url = form.elements.url;
  let before = url.value.trim().replace(/\/+$/, '');
  const derive = () => {
    const now = url.value.trim().replace(/\/+$/, '');
    // Half an address, such as https:/, derives nothing.
    if (now && !/^https?:\/\/[^/]/.test(now)) return;
    for (const field of all('input[data-derives-path]', form)) {
      if (field.value === before + field.dataset.derivesPath) field.value = now ? now + field.dataset.derivesPath : '';
      if (now) field.placeholder = now + field.dataset.derivesPath;
    }
    before = now;
  };
  url.addEventListener('input', derive);
  derive();
}
// The scopes to tick follow the scopes chosen.
for (const input of all('input[name="scopes"]')) {
  input.addEventListener('change', () => {
    const list = byId('scopes-to-tick');
    list?.replaceChildren(
      ...input.value.split(' ').map((scope) => {
        const item = document.createElement('li');
        item.append(Object.assign(document.createElement('code'), { textContent: scope }));
        return item;
      }),
    );
  });
}

// A template shows what it makes while it is typed.
for (const input of all('input[data-previews]')) {
  for (const part of all('[data-plain]', input.form)) part.hidden = true;
  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const query = new URLSearchParams({ subject: input.value });
      const response = await fetch(`${input.dataset.previewAt}?${query}`).catch(() => undefined);
      if (response?.ok && !response.redirected) byId(input.dataset.previews).textContent = await response.text();
    }, 200);
  });
}

// ---- Waiting -----------------------------------------------------------------------------------------------------------------
// A page that waits for long work shows how far it is, and goes on when it is done. Without script it refreshes itself.
for (const card of all('[data-waits]')) {
  const [bar, words] = [card.querySelector('progress'), card.querySelector('[data-progress]')];
  const look = async () => {
    const response = await fetch(card.dataset.waits).catch(() => undefined);
    const state = response?.ok && !response.redirected ? await response.json() : undefined;
    // A server that is away for a moment is asked again.
    if (response && !state?.isRunning) return location.replace(card.dataset.then);
    if (state?.progress) {
      words.textContent = state.progress.words;
      if (state.progress.total) Object.assign(bar, { max: state.progress.total, value: state.progress.done });
    }
    setTimeout(look, 1_000);
  };
  setTimeout(look, 1_000);
}

// ---- Theme -------------------------------------------------------------------------------------------------------------------
// The form posts to the server, which prints data-theme; with script it changes at once and the server is told.
for (const button of all('[data-theme-choice]')) {
  button.addEventListener('click', (event) => {
    event.preventDefault();
    if (button.value === 'system') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = button.value;
    for (const one of all('[data-theme-choice]')) one.setAttribute('aria-pressed', String(one === button));
    const body = new URLSearchParams(new FormData(button.form));
    body.set('theme', button.value);
    void fetch(button.form.action, { method: 'POST', body, redirect: 'manual' });
  });
}

// ---- One polite voice for the whole page -----------------------------------------------------------------------------------
let voice;
function say(text) {
  voice ??= document.body.appendChild(Object.assign(document.createElement('p'), { className: 'vh', role: 'status' }));
  voice.textContent = text;
}
