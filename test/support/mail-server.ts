import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';

/** A real SMTP server on a spare port of loopback, with what came in. */
export interface MailServer {
  readonly port: number;
  readonly letters: Letter[];
  close(): Promise<void>;
}

export interface Letter {
  readonly from: string;
  readonly to: readonly string[];
  readonly user: string;
  readonly secure: boolean;
  /** Header lines, unfolded. */
  readonly headers: readonly string[];
  /** The body, its encoding taken off. */
  readonly body: string;
  /** As it came over the wire. */
  readonly raw: string;
}

export async function mailServer(options: SMTPServerOptions = {}): Promise<MailServer> {
  const letters: Letter[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: options.key ? [] : ['STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    ...options,
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const raw = Buffer.concat(chunks).toString('latin1');
        const { mailFrom, rcptTo } = session.envelope;
        letters.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          user: String(session.user ?? ''),
          secure: session.secure,
          ...opened(raw),
          raw,
        });
        done();
      });
    },
  });
  server.on('error', () => undefined);
  const listening = server.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return {
    port: (listening.address() as AddressInfo).port,
    letters,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** A letter of one part, as ours are. */
function opened(raw: string): Pick<Letter, 'headers' | 'body'> {
  const at = raw.indexOf('\r\n\r\n');
  const headers = raw
    .slice(0, at)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n');
  const encoding = headers
    .find((line) => /^content-transfer-encoding:/i.test(line))
    ?.split(':')[1]
    ?.trim();
  const body = raw.slice(at + 4);
  const bytes =
    encoding === 'base64'
      ? Buffer.from(body, 'base64')
      : Buffer.from(
          encoding === 'quoted-printable'
            ? body
                .replace(/=\r\n/g, '')
                .replace(/=([0-9A-F]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
            : body,
          'latin1',
        );
  return { headers, body: bytes.toString('utf8').replaceAll('\r\n', '\n') };
}

/** A header's text, its words decoded. */
export function headerOf({ headers }: Letter, name: string): string {
  const line = headers.find((one) => one.toLowerCase().startsWith(`${name.toLowerCase()}:`)) ?? '';
  return line
    .slice(name.length + 1)
    .trim()
    .replace(/\?=\s+=\?/g, '?==?')
    .replace(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, kind: string, text: string) =>
      kind.toLowerCase() === 'b'
        ? Buffer.from(text, 'base64').toString('utf8')
        : Buffer.from(
            text
              .replaceAll('_', ' ')
              .replace(/=([0-9A-F]{2})/g, (_all, code: string) => String.fromCharCode(parseInt(code, 16))),
            'latin1',
          ).toString('utf8'),
    );
}
