import type { CommitFacts } from '../sync/ports.ts';
import type { CommitObject } from './objects.ts';

/** Who wrote a commit and what it says, as `git log` shows them. */
export function messageOf({ data }: CommitObject): Pick<CommitFacts, 'author' | 'subject' | 'body'> {
  const end = data.indexOf('\n\n');
  const head = data.subarray(0, end < 0 ? data.length : end);
  const text = decoder(/^encoding (\S+)$/m.exec(head.toString('latin1'))?.[1]);
  const author = /^author (.*?)<[^<>]*>/m.exec(text(head))?.[1] ?? '';
  const message = text(data.subarray(end < 0 ? data.length : end + 2)).replace(/^(?:[ \t\r\f\v]*\n)+/, '');
  const lines = message.split('\n');
  const blank = lines.findIndex((line) => line.trim() === '');
  const subject = lines.slice(0, blank < 0 ? lines.length : blank);
  const rest = blank < 0 ? '' : lines.slice(blank).join('\n');
  return {
    author: author.trim(),
    subject: subject.map((line) => line.trimEnd()).join(' '),
    body: `${rest.replace(/^(?:[ \t\r\f\v]*\n)+/, '')}\n`,
  };
}

function decoder(encoding = 'utf-8'): (bytes: Buffer) => string {
  try {
    const known = new TextDecoder(encoding, { ignoreBOM: true });
    return (bytes) => known.decode(bytes);
  } catch {
    return (bytes) => bytes.toString('utf8');
  }
}
