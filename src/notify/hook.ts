import type { Delivery, Message, NoticeWebhook } from '../model/notice.ts';
import { asProblem, type Problem } from '../model/problem.ts';
import { toBody } from './forms.ts';

export interface HookDeps {
  /** Throws a Problem when there is no answer. */
  readonly post: (request: {
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly json: unknown;
    readonly signal?: AbortSignal | undefined;
  }) => Promise<{ readonly status: number; readonly body: Buffer }>;
}

/** Posts a message to a webhook. Never throws. Of the address only the host is ever told: the rest may be a key. */
export async function sendHook(
  { post }: HookDeps,
  { address, form, header }: NoticeWebhook,
  message: Message,
  signal?: AbortSignal,
): Promise<Delivery> {
  const url = address.open();
  const headers = header ? { [header.name]: header.value.open() } : {};
  try {
    return answered(url, await post({ url, headers, json: toBody(message, form), signal }));
  } catch (error) {
    return unreached(asProblem(error), hostOf(url));
  }
}

/** What an answer means. */
export function answered(url: string, { status, body }: { readonly status: number; readonly body: Buffer }): Delivery {
  const said = firstWords(body);
  if (status >= 200 && status < 300) return { kind: 'good', said: `It answered ${status}${said}.` };
  return { kind: 'bad', happened: `${hostOf(url)} answered ${status}${said}.`, todo: todoOf(status) };
}

function todoOf(status: number): string {
  if (status >= 300 && status < 400)
    return 'Enter the address that it redirects to. Mooring does not follow redirects, so that no secret is sent to another server.';
  if (status === 401 || status === 403)
    return 'Check the header and its value, or create a new webhook at the receiver.';
  if (status === 404 || status === 410)
    return 'The receiver no longer has this webhook. Create a new one and enter its address.';
  if (status === 400 || status === 415 || status === 422)
    return 'Check the format: the receiver did not understand the message.';
  return 'Mooring retries automatically. If the problem persists, check the receiver’s log.';
}

/** Why there was no answer. */
export function unreached({ code, facts }: Problem, host: string): Delivery {
  const reason = facts['reason'] ?? '';
  if (code.startsWith('tls-')) {
    return {
      kind: 'bad',
      happened: `The certificate of ${host} was not accepted.`,
      todo: 'Use the name in the certificate. An authority of your own is trusted when it stands under Account Settings / Self Hosted GitLab, Advanced.',
    };
  }
  if (code === 'gitlab-slow') {
    return { kind: 'bad', happened: `${host} did not answer in time.`, todo: 'Mooring retries automatically.' };
  }
  return {
    kind: 'bad',
    happened: reason === '' ? `${host} could not be reached.` : `${host} could not be reached: ${reason}.`,
    todo: 'Check the address, and that this server may reach it.',
  };
}

/**
 * What a receiver says, if it is a few plain words: `invalid_token`, `ok`. Anything else is not shown, so that nobody
 * reads an inner server's answers through this.
 */
function firstWords(body: Buffer): string {
  const text = messageOf(body.toString('utf8', 0, 2_000)).trim();
  return /^[a-z][a-z_ .,]{0,79}$/i.test(text) ? ` and says “${text.replace(/\.$/, '')}”` : '';
}

/** Mattermost answers with an object. */
function messageOf(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || !('message' in value)) return '';
    return typeof value.message === 'string' ? value.message : '';
  } catch {
    return text;
  }
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'The receiver';
}
