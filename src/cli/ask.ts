import { createInterface } from 'node:readline';
import { CliError, exit } from './exit.ts';

/** One line of standard input, for scripts; without its end. */
async function lineOfInput(): Promise<string> {
  const lines = createInterface({ input: process.stdin, terminal: false });
  for await (const line of lines) return line;
  return '';
}

/** Asks on the terminal without showing what is typed. Throws when somebody presses Ctrl+C. */
function hidden(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let typed: string[] = [];
    const end = (): void => {
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
    };
    const onData = (text: string): void => {
      for (const key of text) {
        if (key === '\r' || key === '\n' || key === '\u0004') {
          end();
          return resolve(typed.join(''));
        }
        if (key === '\u0003') {
          end();
          return reject(new CliError(exit.tryAgain, 'Interrupted. Nothing was changed.'));
        }
        if (key === '\u007f' || key === '\b') typed.pop();
        else if (key === '\u0015') typed = [];
        else if (key >= ' ') typed.push(key);
      }
    };
    stdin.on('data', onData);
    stdin.resume();
  });
}

/**
 * A new password: on a terminal asked twice and not shown, elsewhere the first line of standard input. Never an argument:
 * every user of the machine can read those.
 */
export async function newPassword(name: string): Promise<string> {
  if (!process.stdin.isTTY) {
    const password = await lineOfInput();
    if (password === '')
      throw new CliError(exit.usage, 'No password came.', 'Write it to standard input, on one line.');
    return password;
  }
  const first = await hidden(`New password of ${name}: `);
  if ((await hidden('Once more: ')) === first) return first;
  throw new CliError(exit.usage, 'The two passwords differ. Nothing was changed.');
}

/** A yes on the terminal; `otherwise`: what to do where there is none to ask on. */
export async function confirmed(question: string, otherwise: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new CliError(exit.usage, 'There is no terminal to ask on.', otherwise);
  process.stderr.write(`${question} [y/N] `);
  return /^y(?:es)?$/i.test((await lineOfInput()).trim());
}
