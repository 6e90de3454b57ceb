import { getCACertificates } from 'node:tls';
import type { Delivery, MailSettings, Message } from '../model/notice.ts';
import { escapeControls } from '../model/tree.ts';
import type { Clock } from '../model/world.ts';
import { toText } from './forms.ts';

export interface MailDeps {
  readonly settings: MailSettings;
  /** PEM of the house's own authority; empty: none. Asked each time. */
  readonly ca: () => string;
  readonly clock: Clock;
  readonly limits?: MailLimits;
}

/** All in ms. A server may take its time for a greeting, and none may hold a message for ever. */
export interface MailLimits {
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
}

const usualLimits: MailLimits = { connectMs: 10_000, idleMs: 20_000, totalMs: 45_000 };

/** Sends a message by SMTP, over a connection of its own. Never throws. */
export function createMail(deps: MailDeps): (message: Message, signal?: AbortSignal) => Promise<Delivery> {
  const { settings, clock } = deps;
  const limits = deps.limits ?? usualLimits;
  return async (message, signal) => {
    // Loaded with the first message: most installations send none, and it takes as much memory as the web server.
    const { createTransport } = await import('nodemailer');
    const transport = createTransport(options(settings, deps.ca(), limits));
    const ended = new AbortController();
    const limit = AbortSignal.any(signal ? [signal, ended.signal] : [ended.signal]);
    const late = clock.sleep(limits.totalMs, limit).then(
      () => Promise.reject(new Late()),
      () => Promise.reject(new Late()),
    );
    try {
      const sent = await Promise.race([transport.sendMail(letter(settings, message, clock.now())), late]);
      const refused = sent.rejected.join(', ');
      return { kind: 'good', said: oneLine(refused === '' ? sent.response : `${sent.response} Refused: ${refused}`) };
    } catch (error) {
      return failure(error, settings);
    } finally {
      ended.abort();
      late.catch(() => undefined);
      transport.close();
    }
  };
}

class Late extends Error {
  override readonly name = 'Late';
}

function options({ host, port, tls, user, password }: MailSettings, ca: string, limits: MailLimits) {
  return {
    host,
    port,
    secure: tls === 'from-the-start',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    ...(user === undefined ? {} : { auth: { user, pass: password?.open() ?? '' } }),
    tls: {
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2' as const,
      ...(ca === '' ? {} : { ca: [...getCACertificates('default'), ca] }),
    },
    connectionTimeout: limits.connectMs,
    greetingTimeout: limits.connectMs,
    dnsTimeout: limits.connectMs,
    socketTimeout: limits.idleMs,
    maxResponseSize: 64 * 1024,
    // A text of ours must never make it read a file or fetch an address.
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}

function letter({ from, to }: MailSettings, message: Message, now: number) {
  return {
    from,
    to: [...to],
    // A line break here would begin a header of its own: escaped once more, whoever made the subject.
    subject: escapeControls(message.subject),
    text: toText(message),
    date: new Date(now),
    // Holiday answers go to people, not to programs.
    headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
  };
}

function failure(error: unknown, { host, port, tls }: MailSettings): Delivery {
  const where = `${host} port ${port}`;
  const bad = (happened: string, todo: string): Delivery => ({ kind: 'bad', happened: oneLine(happened), todo });
  const reach = 'Check MOORING_SMTP_URL, that the name resolves on this server, and that no firewall stands between.';
  if (error instanceof Late) return bad(`${where} did not take the message in time.`, reach);
  const { code = '', response = '', message } = error as NodeJS.ErrnoException & { response?: string };
  const said = response === '' ? '' : ` It says: ${response}`;
  if (code === 'EAUTH' || code === 'ENOAUTH') {
    return bad(
      `${where} does not accept the name or the password.${said}`,
      'Correct MOORING_SMTP_URL and start Mooring again.',
    );
  }
  if (code === 'EENVELOPE') {
    return bad(
      `${where} refuses the sender or who it goes to.${said}`,
      'Correct MOORING_MAIL_FROM or MOORING_MAIL_TO and start Mooring again, or let the server accept them.',
    );
  }
  if (code === 'ETLS' && tls === 'starttls' && !/certificate/i.test(message)) {
    return bad(
      `${where} offers no encryption (STARTTLS), so nothing was sent.`,
      'Use smtps:// for a server that encrypts from the start. For a relay inside the house, without a password, ?tls=no allows it.',
    );
  }
  if (/certificate|altname|self.signed|unable to verify/i.test(message)) {
    return bad(
      `The certificate of ${where} was not accepted: ${message}`,
      'Use the name in the certificate. An authority of your own is trusted when it stands under Account Settings / Self Hosted GitLab, Advanced.',
    );
  }
  if (response !== '')
    return bad(`${where} did not take the message.${said}`, 'What the server says tells what to change.');
  return bad(`${where} could not be reached: ${message}`, reach);
}

function oneLine(text: string): string {
  const visible = escapeControls(text.replace(/[\r\n]+/g, ' ')).trim();
  return visible.length <= 300 ? visible : `${visible.slice(0, 299)}…`;
}
