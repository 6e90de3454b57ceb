import { createWriteStream } from 'node:fs';
import { open, rename, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { restoreBackup } from '../backup/restore.ts';
import { Problem } from '../model/problem.ts';
import { isAnswered, socketPath } from '../socket.ts';
import { syncFolder } from '../store/durable.ts';
import { bytes, fullTime } from '../web/times.ts';
import { systemRandom } from '../world.ts';
import type { Cli } from './cli.ts';
import { CliError, exit } from './exit.ts';
import { inUse, storePlace } from './stopped.ts';

export interface BackupOptions {
  /** A file, or `-`; absent: a name with the time, in the present folder. */
  readonly to: string | undefined;
  readonly withKey: string | undefined;
  readonly repositories: boolean;
}

/** Writes what the daemon sends, and nothing under the final name before it is complete. */
export async function backup(cli: Cli, { to, withKey, repositories }: BackupOptions): Promise<void> {
  process.umask(0o077);
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  const path = to ?? `mooring-backup-${time}Z.tar.gz`;
  if (path === '-' && process.stdout.isTTY)
    throw new CliError(exit.usage, 'An archive is nothing for a terminal.', 'Redirect it, or name a file with --to.');
  if (path === '-' && cli.json) throw new CliError(exit.usage, '--json and --to - both write to standard output.');
  for (const file of [path, withKey]) if (file !== undefined && file !== '-') await refuseExisting(file);
  // The key first: an archive whose key could not be written looks more complete than it is.
  if (withKey !== undefined) await writeKey(cli, withKey);
  const answer = await cli.client.stream(`/operator/v1/backup${repositories ? '' : '?repositories=no'}`);
  const leftOut = JSON.parse(decodeURIComponent(String(answer.headers['x-left-out'] ?? '[]'))) as string[];
  if (path === '-') await pipeline(answer, process.stdout, { end: false }).catch(brokenOff);
  else await writeArchive(answer, path);
  for (const name of leftOut)
    cli.out.note(`The repository of ${name} is not in it: the site was busy. Run the command again later.`);
  if (path === '-') return;
  const { size } = await stat(path);
  if (cli.json) return cli.out.json({ file: path, bytes: size, key: withKey ?? null, leftOut });
  cli.out.line(`${path} (${bytes(size)})`);
  if (withKey === undefined)
    cli.out.note('The key that encrypts tokens and secrets is not in it. Keep a copy of the key elsewhere.');
}

async function refuseExisting(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  // A device, such as /dev/null or a tape, is written to as it is.
  if (there?.isFile() || there?.isDirectory())
    throw new CliError(exit.usage, `${path} is there already, and nothing was written.`, 'Name another file.');
}

async function writeArchive(answer: IncomingMessage, path: string): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await pipeline(answer, createWriteStream(partial, { mode: 0o600, flags: 'wx' }));
    const file = await open(partial, 'r');
    await file.sync().finally(() => file.close());
    await rename(partial, path);
    await syncFolder(resolve(path, '..'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await rm(partial, { force: true });
    brokenOff(error, path);
  }
}

function brokenOff(error: unknown, path = 'Standard output'): never {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (['ECONNRESET', 'ERR_STREAM_PREMATURE_CLOSE', 'ABORT_ERR'].includes(code))
    throw new CliError(exit.tryAgain, 'The daemon broke the backup off.', 'Look at its log, and try again.', 'stopped');
  const reason = code === 'ENOSPC' || code === 'EDQUOT' ? 'the disk is full' : code || String(error);
  throw new CliError(exit.failed, `${path} could not be written: ${reason}.`, 'No archive was left there.');
}

async function writeKey({ client }: Cli, path: string): Promise<void> {
  const { key } = await client.get<{ key: string }>('/operator/v1/backup-key');
  const file = await open(path, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(exit.failed, `${path} could not be written (${error.code}).`, 'Nothing was backed up.');
  });
  try {
    await file.writeFile(`${key}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Puts an archive into an empty state directory, and says what to do before the daemon starts on it. */
export async function restore(cli: Cli, file: string, key: string | undefined): Promise<void> {
  process.umask(0o077);
  const { path: stateDir, keyPath } = storePlace(cli);
  if (await isAnswered(socketPath(stateDir)))
    throw new CliError(
      exit.tryAgain,
      `A daemon runs on ${stateDir}.`,
      'If it works, do not restore. Otherwise stop it, move its state directory away, and run this command again.',
      'state-in-use',
    );
  const { manifest, isSigned } = await restoreBackup({
    ...{ file, stateDir, keyPath, random: systemRandom },
    ...(key === undefined ? {} : { keyFile: key }),
  }).catch((error: unknown) => {
    if (error instanceof Problem && error.code === 'state-in-use') throw inUse(stateDir);
    const { code = '', path } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'EACCES', 'EISDIR'].includes(code) && path === file)
      throw new CliError(exit.usage, `${file} cannot be read (${code}).`, 'Name the archive of a backup.');
    throw error;
  });
  const { createdAt, host, sites } = manifest;
  if (cli.json) return cli.out.json({ stateDir, createdAt, host, sites: sites.length, signed: isSigned, keyPath });
  cli.out.line(`${stateDir} holds the backup of ${host} from ${fullTime(createdAt)} now.`);
  if (!isSigned)
    cli.out.note(
      `Put the key at ${keyPath} before you start Mooring. Without it, only damage to the archive could be detected.`,
    );
  for (const line of afterwards) cli.out.note(line);
}

const afterwards = [
  'Before you start Mooring, make sure that the old installation is stopped and does not start again. GitLab accepts each refresh token once: whichever installation renews a connection first ends that of the other.',
  'If another installation has renewed it since the backup, GitLab ends the connection. Then open Source Syncing of a site and press Reconnect.',
  'Accounts, API tokens and passwords are as they were at the time of the backup. Revoke again what was revoked since.',
];
