import type { Config } from './config.ts';
import type { Events } from './events.ts';
import type { Log, Mask } from './log.ts';
import { type AfterFailure, afterWords } from './model/after.ts';
import { type BackupStatus, backupWords } from './model/backup.ts';
import { type Channel, type ChannelRecord, channels, type FailedTask, type NoticeWebhook } from './model/notice.ts';
import { asProblem, type Problem } from './model/problem.ts';
import type { Hold, SiteId, SiteStatus } from './model/site.ts';
import type { Clock, Random } from './model/world.ts';
import { createOutgoing } from './net/outgoing.ts';
import { type Calls, createCalls } from './notify/calls.ts';
import { sendHook } from './notify/hook.ts';
import { createMail } from './notify/mail.ts';
import { createNotifier, type Notifier, type NotifierDeps } from './notify/notifier.ts';
import type { Store } from './store/store.ts';
import { holdChoices, holdReason, holdTitle } from './web/hold-words.ts';

export interface Notices {
  readonly notifier: Notifier;
  readonly calls: Calls;
  /** The ways that are on, with what became of them. */
  on(): readonly { readonly channel: Channel; readonly record: ChannelRecord }[];
  /** Ends what is being sent, or gives it three seconds. */
  stop(): Promise<void>;
}

export interface NoticesDeps {
  readonly config: Config;
  readonly store: Store;
  readonly events: Events;
  readonly status: (id: SiteId) => SiteStatus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly mask: Mask;
  readonly backups: { status(): BackupStatus };
  readonly afterHooks: { failures(): readonly AfterFailure[] };
  readonly everyMs?: number;
}

type Sender = ReturnType<NotifierDeps['sender']>;

/** What tells people, with both ways out. */
export function createNotices(deps: NoticesDeps): Notices {
  const { config, store, events, clock, log, mask } = deps;
  // An authority of the house signs more than its GitLab.
  const ca = (): string => store.instance.get()?.advanced.ca ?? '';
  const outgoing = createOutgoing({ ca, clock });
  if (config.mail?.password) mask.hide(config.mail.password);
  const mail = config.mail && createMail({ settings: config.mail, ca, clock });

  function webhook(): Sender {
    let settings: NoticeWebhook | undefined;
    try {
      settings = store.notify.webhook();
    } catch (error) {
      // Not "off": whoever counts on it has to learn that it tells nobody.
      return damaged(asProblem(error));
    }
    if (!settings?.on) return undefined;
    const { address, header } = settings;
    mask.hide(address);
    if (header) mask.hide(header.value);
    return (message, signal) => sendHook({ post: (request) => outgoing.post(request) }, settings, message, signal);
  }

  const sender = (channel: Channel): Sender => (channel === 'mail' ? mail : webhook());
  const notifier = createNotifier({
    publicUrl: config.publicUrl,
    sites: () => store.sites.all(),
    site: (id) => store.sites.get(id),
    status: deps.status,
    connections: () => store.instance.connections(),
    holdWords,
    tasks: () => [...backupTasks(deps.backups.status()), ...afterTasks(deps)],
    sender,
    store: store.notify,
    follow: (listener) => events.follow(undefined, listener),
    clock,
    log,
    ...(deps.everyMs === undefined ? {} : { everyMs: deps.everyMs }),
  });
  const calls = createCalls({
    ...{ publicUrl: config.publicUrl, clock, random: deps.random, log, store: store.deliveries },
    webhooks() {
      const all = store.outgoing.all();
      for (const { address, secret } of all) [address, secret].forEach((each) => mask.hide(each));
      return all;
    },
    site: (id) => store.sites.get(id),
    post: (request) => outgoing.post(request),
  });
  events.follow(undefined, (event) => calls.happened(event));
  return {
    notifier,
    calls,
    on: () =>
      channels
        .filter((channel) => sender(channel) !== undefined)
        .map((channel) => ({ channel, record: notifier.record(channel) })),
    async stop() {
      await Promise.all([notifier.stop(), calls.stop()]);
      outgoing.close();
    },
  };
}

function backupTasks({ failure }: BackupStatus): readonly FailedTask[] {
  return failure ? [{ key: 'backup', sites: [], words: { title: 'Backups fail', ...backupWords(failure) } }] : [];
}

function afterTasks({ afterHooks, store }: NoticesDeps): readonly FailedTask[] {
  return afterHooks.failures().map((failure) => {
    const name = store.sites.get(failure.site)?.name ?? failure.site;
    return { key: `${failure.hook} ${failure.site}`, sites: [failure.site], words: afterWords(failure, name) };
  });
}

function damaged(problem: Problem): Sender {
  const happened = `What is stored of the webhook cannot be opened (${problem.code}).`;
  const todo = 'Enter its address again under Account Settings / Notifications.';
  return () => Promise.resolve({ kind: 'bad', happened, todo });
}

/** As on the page of the hold, in sentences. */
function holdWords(hold: Hold): ReturnType<NotifierDeps['holdWords']> {
  const choices = holdChoices(hold).map(({ title, button }) => `${title}: “${button}”`);
  const todo = choices.length === 0 ? 'Open the site.' : `Open the site and choose. ${choices.join('; ')}.`;
  return { title: holdTitle(hold), reason: holdReason(hold), todo };
}
