import type { Message, MessageEntry, MessageSite, WebhookForm } from '../model/notice.ts';

/** A message as plain text: the body of an e-mail. */
export function toText(message: Message): string {
  return lines(message, { text: (text) => text, link: (url) => url }).join('\n');
}

/** What is posted, as a value for JSON. */
export function toBody(message: Message, form: WebhookForm): unknown {
  switch (form) {
    case 'json':
      return toJson(message);
    case 'slack':
      // Without mrkdwn `*` and `_` are letters; `<…>` means a link or a call to everybody all the same.
      return { text: headed(message, { text: slackText, link: slackText }), mrkdwn: false };
    case 'mattermost':
      return { text: headed(message, { text: markdownText, link: (url) => `<${url}>` }) };
  }
}

/** How words and addresses of ours are written so that they mean themselves and nothing else. */
interface Writing {
  readonly text: (text: string) => string;
  readonly link: (url: string) => string;
}

function headed(message: Message, writing: Writing): string {
  return [writing.text(message.subject), '', ...lines(message, writing)].join('\n');
}

function lines({ lead, entries, more, link }: Message, writing: Writing): string[] {
  return [
    writing.text(lead),
    '',
    ...entries.flatMap((entry) => [...entryLines(entry, writing), '']),
    ...(more > 0 ? [writing.text(`And ${more} more: see the page.`), ''] : []),
    `Mooring: ${writing.link(link)}`,
    '',
  ];
}

function entryLines({ state, since, words, sites, moreSites }: MessageEntry, writing: Writing): string[] {
  const heads = { began: '', over: 'Over: ', still: 'Still: ' };
  const told =
    state === 'over'
      ? ['Resolved.']
      : [`What happened: ${words.happened}`, `What was not touched: ${words.untouched}`, `What to do: ${words.todo}`];
  return [
    writing.text(`${heads[state]}${words.title}`),
    writing.text(`Since ${utc(since)}`),
    ...told.map(writing.text),
    ...sites.flatMap((site) => siteLines(site, writing)),
    ...(moreSites > 0 ? [writing.text(`and ${moreSites} more sites`)] : []),
  ];
}

function siteLines({ name, repository, branch, link }: MessageSite, writing: Writing): string[] {
  const where = repository === '' ? '' : `, repository ${repository}, branch ${branch}`;
  return [writing.text(`Site ${name}${where}:`), writing.link(link)];
}

/** For programs: stable names, moments as ISO 8601, texts without control characters. */
function toJson({ kind, at, subject, lead, entries, more, link }: Message): unknown {
  return {
    mooring: 1,
    kind,
    at: new Date(at).toISOString(),
    subject,
    text: lead,
    link,
    incidents: entries.map(({ state, kind: about, since, words, sites, moreSites }) => ({
      state,
      kind: about,
      since: new Date(since).toISOString(),
      ...words,
      sites,
      moreSites,
    })),
    more,
  };
}

/** The three signs that Slack reads in any text. */
function slackText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/**
 * Every sign that Markdown could read is a sign again after a backslash. Mentions and bare addresses are found before
 * Markdown is read: a space without width keeps `@all` from calling everybody, and an address from becoming a link.
 */
function markdownText(text: string): string {
  return text.replace(/[\\`*_{}[\]()<>#+!|~:&$=^-]/g, '\\$&').replace(/@|(?<=www)\./gi, '$&\u200b');
}

/** One zone for people and servers in many. */
function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
