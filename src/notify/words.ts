import type { Channel, Incident, Message, MessageEntry, MessageSite, NoticeSite } from '../model/notice.ts';
import type { SiteId } from '../model/site.ts';
import { displayPath } from '../model/tree.ts';
import { shown } from './incidents.ts';

/** What a message needs to know of the house. */
export interface About {
  /** Origin and sub-path, no final slash. */
  readonly publicUrl: string;
  readonly site: (id: SiteId) => NoticeSite | undefined;
  readonly now: number;
}

const mostEntries = 10;
const mostSites = 10;

/** What a channel has not told yet, in one message: what began at the same time is told together. */
export function news(incidents: readonly Incident[], channel: Channel, about: About): Message | undefined {
  const owed = incidents.filter((each) => isOwed(each, channel));
  const [only] = owed;
  if (!only) return undefined;
  const over = owed.filter(({ overAt }) => overAt !== undefined).length;
  const subject =
    owed.length === 1
      ? over === 1
        ? `Resolved: ${only.words.title}`
        : only.words.title
      : [counted(owed.length - over, 'needs attention', 'need attention'), counted(over, 'resolved', 'resolved')]
          .filter(Boolean)
          .join(', ');
  return {
    kind: 'news',
    at: about.now,
    subject: subjectOf(subject),
    lead: over === owed.length ? 'Resolved. Nothing needs to be done.' : 'This message is sent once.',
    ...entriesOf(
      owed.map((incident) => ({ incident, state: incident.overAt === undefined ? 'began' : 'over' })),
      about,
    ),
    link: only.kind === 'token' || only.kind === 'task' ? `${about.publicUrl}/attention` : `${about.publicUrl}/`,
  };
}

/** Whether a channel owes word of an incident: of its beginning to who does not know it, of its end to who does. */
export function isOwed({ told, overAt }: Incident, channel: Channel): boolean {
  return told.includes(channel) === (overAt !== undefined);
}

/** What still stands still, for the daily reminder; undefined when nothing does. */
export function digest(incidents: readonly Incident[], about: About): Message | undefined {
  const held = incidents.filter(
    ({ kind, overAt }) => overAt === undefined && (kind === 'hold' || kind === 'reconnect'),
  );
  if (held.length === 0) return undefined;
  const sites = new Set(held.flatMap((each) => each.sites)).size;
  return {
    kind: 'digest',
    at: about.now,
    subject: subjectOf(`${sites === 1 ? '1 site is' : `${sites} sites are`} still on hold`),
    lead: 'Sent once a day while it lasts. Each entry says what is waiting.',
    ...entriesOf(
      held.map((incident) => ({ incident, state: 'still' })),
      about,
    ),
    link: `${about.publicUrl}/?state=hold`,
  };
}

/** Proves that a channel works. */
export function trial({ publicUrl, now }: Pick<About, 'publicUrl' | 'now'>, by: string): Message {
  return {
    kind: 'test',
    at: now,
    subject: subjectOf('Test message'),
    lead: `${shown(by)} sent this test. Mooring sends messages about holds, long retries and tokens that are about to expire.`,
    entries: [],
    more: 0,
    link: `${publicUrl}/account/notifications`,
  };
}

function entriesOf(
  all: readonly { readonly incident: Incident; readonly state: MessageEntry['state'] }[],
  about: About,
): Pick<Message, 'entries' | 'more'> {
  const entries = all.slice(0, mostEntries).map(({ incident, state }) => ({
    state,
    kind: incident.kind,
    since: incident.at,
    words: incident.words,
    sites: incident.sites.slice(0, mostSites).flatMap((id) => siteView(about, id)),
    moreSites: Math.max(0, incident.sites.length - mostSites),
  }));
  return { entries, more: Math.max(0, all.length - mostEntries) };
}

function siteView({ site, publicUrl }: About, id: SiteId): MessageSite[] {
  const found = site(id);
  if (!found) return [];
  const { binding } = found;
  const inner = binding?.subfolder === undefined ? '' : `, folder ${displayPath(binding.subfolder)}`;
  return [
    {
      id,
      name: shown(found.name),
      repository: binding ? shown(`${binding.projectPath}${inner}`) : '',
      branch: binding ? shown(binding.branch) : '',
      link: `${publicUrl}/sites/${encodeURIComponent(id)}`,
    },
  ];
}

function counted(amount: number, one: string, many: string): string {
  return amount === 0 ? '' : `${amount} ${amount === 1 ? `item ${one}` : `items ${many}`}`;
}

function subjectOf(text: string): string {
  return `Mooring: ${text.length <= 160 ? text : `${text.slice(0, 159)}…`}`;
}
