import type { Secret } from './secret.ts';
import type { Site, SiteId } from './site.ts';

/** A way in which people are told of what they do not see on a page. */
export type Channel = 'mail' | 'webhook';

export const channels: readonly Channel[] = ['mail', 'webhook'];

/** Something that wants a person, from when it begins until it is over. Told once, and once more when it is over. */
export interface Incident {
  /** The same for the same trouble, also after a restart. */
  readonly key: string;
  readonly kind: IncidentKind;
  /** ms since 1970: when it was first seen. */
  readonly at: number;
  readonly sites: readonly SiteId[];
  readonly words: IncidentWords;
  /** Where it was told. */
  readonly told: readonly Channel[];
  /** ms since 1970: the incident is over, and some of those who were notified have not been told so yet. */
  readonly overAt?: number;
}

/** `hold`: stopped until a person chooses. `retrying`: tries again by itself, for long. `token`: near its end. `task`: something beside syncing failed. */
export type IncidentKind = 'hold' | 'retrying' | 'reconnect' | 'token' | 'task';

/** Something beside syncing that failed, and fails until it succeeds once. Plain text. */
export interface FailedTask {
  /** The same while it is the same trouble, also after a restart. */
  readonly key: string;
  /** Whom it concerns; none: the installation. */
  readonly sites: readonly SiteId[];
  readonly words: IncidentWords;
}

/** As they were when it began: what is told later is what happened then. Plain text, already made visible. */
export interface IncidentWords {
  readonly title: string;
  readonly happened: string;
  readonly untouched: string;
  readonly todo: string;
}

/** What is told, before it takes the form of a channel. All texts are plain and hold no control characters. */
export interface Message {
  readonly kind: 'news' | 'digest' | 'test';
  /** ms since 1970. */
  readonly at: number;
  readonly subject: string;
  readonly lead: string;
  readonly entries: readonly MessageEntry[];
  /** Entries left out because there are too many. */
  readonly more: number;
  /** The page that shows everything. */
  readonly link: string;
}

export interface MessageEntry {
  readonly state: 'began' | 'over' | 'still';
  readonly kind: IncidentKind;
  /** ms since 1970. */
  readonly since: number;
  readonly words: IncidentWords;
  readonly sites: readonly MessageSite[];
  readonly moreSites: number;
}

export interface MessageSite {
  readonly id: string;
  readonly name: string;
  readonly repository: string;
  readonly branch: string;
  readonly link: string;
}

/** What became of one message. */
export type Delivery =
  | { readonly kind: 'good'; readonly said: string }
  | { readonly kind: 'bad'; readonly happened: string; readonly todo: string };

/** What is remembered of a channel. */
export interface ChannelRecord {
  readonly sent?: { readonly at: number; readonly subject: string };
  /** Since the last success; `times` in a row, `first` and `at` in ms since 1970. */
  readonly failure?: {
    readonly first: number;
    readonly at: number;
    readonly times: number;
    readonly happened: string;
    readonly todo: string;
  };
  /** The day (`2026-11-19`, of the server's own zone) whose digest is done with. */
  readonly digestDay?: string;
}

/** All that must outlive a restart, so that nothing is told twice and nothing is forgotten. */
export interface Ledger {
  readonly incidents: readonly Incident[];
  readonly channels: Readonly<Partial<Record<Channel, ChannelRecord>>>;
}

export type WebhookForm = 'json' | 'slack' | 'mattermost';

/** Where messages are posted. The address itself often is a key to the room behind it. */
export interface NoticeWebhook {
  readonly on: boolean;
  readonly form: WebhookForm;
  readonly address: Secret;
  /** Sent along, for receivers that ask for one. */
  readonly header?: { readonly name: string; readonly value: Secret };
}

/** The mail server and who is written to, from the environment. */
export interface MailSettings {
  readonly host: string;
  readonly port: number;
  /** From the first byte; by STARTTLS, without which nothing is sent; or not at all. */
  readonly tls: 'from-the-start' | 'starttls' | 'none';
  readonly user?: string;
  readonly password?: Secret;
  readonly from: string;
  readonly to: readonly string[];
}

/** Both ways of telling people; one that is not set up is absent. */
export interface NotificationsView {
  readonly mail?: {
    readonly from: string;
    readonly to: readonly string[];
    readonly server: string;
    readonly tls: MailSettings['tls'];
    readonly record: ChannelRecord;
  };
  readonly webhook?: {
    readonly on: boolean;
    readonly form: WebhookForm;
    readonly address: string;
    readonly host: string;
    /** Its name; the value is never shown again. */
    readonly header: string;
    readonly record: ChannelRecord;
  };
  /** What is stored of the webhook was altered from outside: it has to be entered again. */
  readonly damaged: boolean;
}

export interface NoticeWebhookForm {
  readonly on: boolean;
  readonly form: WebhookForm;
  readonly address: string;
  /** Empty: no header. */
  readonly header: string;
  /** Empty: the stored one. */
  readonly value: string;
}

/** A failure that lasted this many tries is told under Attention. */
export const lastingTries = 4;

/** `museum on town/museum, main`: what a notice needs of a site. */
export type NoticeSite = Pick<Site, 'id' | 'name' | 'binding' | 'paused'>;
