import { createWriteStream } from 'node:fs';
import { open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import PQueue from 'p-queue';
import { z } from 'zod';
import type { BackupSettings, BackupStatus } from '../model/backup.ts';
import { Problem, asProblem } from '../model/problem.ts';
import { describe } from '../model/remedy.ts';
import { FILE_MODE, syncFolder, writeDurably } from '../store/durable.ts';
import { type Signing, writeArchive } from './archive.ts';
import { machineId } from './machine-id.ts';
import { type Snapshot, type SnapshotDeps, sweepSnapshots, takeSnapshot } from './snapshot.ts';

export interface BackupsDeps extends SnapshotDeps {
  readonly version: string;
  readonly signing: () => Signing;
  /** Absent: only those that somebody asks for. */
  readonly settings?: BackupSettings;
  /** Calls back at the times of a schedule until it is told to stop. */
  readonly schedule: (expression: string, due: () => Promise<void>) => { stop(): Promise<void> };
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

export interface Backups {
  /**
   * Takes a snapshot, then gives the way to write it: nothing that happens meanwhile is in it any more. `write` ends the
   * stream and releases the snapshot; `release` does only the latter.
   */
  prepare(withRepositories: boolean, signal: AbortSignal): Promise<PreparedBackup>;
  status(): BackupStatus;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PreparedBackup {
  readonly leftOut: readonly string[];
  write(to: Writable): Promise<void>;
  release(): Promise<void>;
}

const statusSchema = z.strictObject({
  last: z
    .strictObject({
      at: z.number(),
      bytes: z.number(),
      file: z.string().exactOptional(),
      leftOut: z.array(z.string()),
    })
    .exactOptional(),
  failure: z.strictObject({ first: z.number(), at: z.number(), times: z.number(), text: z.string() }).exactOptional(),
}) satisfies z.ZodType<BackupStatus>;

/** Backups on request and by the clock, and what became of them. */
export function createBackups(deps: BackupsDeps): Backups {
  const { stateDir, clock, settings, log } = deps;
  const statusFile = join(stateDir, 'backups.json');
  // One at a time: each reads all there is.
  const queue = new PQueue({ concurrency: 1 });
  const stopping = new AbortController();
  let status: BackupStatus = {};
  let schedule: { stop(): Promise<void> } | undefined;

  async function note(next: BackupStatus): Promise<void> {
    status = next;
    await writeDurably(statusFile, JSON.stringify(next)).catch((error: unknown) =>
      log('warn', 'What became of a backup could not be noted.', { error }),
    );
  }

  async function prepare(withRepositories: boolean, asked: AbortSignal): Promise<PreparedBackup & { file?: string }> {
    const signal = AbortSignal.any([asked, stopping.signal]);
    const snapshot = await queue.add(() => takeSnapshot(deps, withRepositories, signal));
    const createdAt = clock.now();
    return {
      leftOut: snapshot.leftOut,
      release: snapshot.release,
      async write(to) {
        try {
          const bytes = await writeTo(snapshot, { withRepositories, createdAt }, to, signal);
          await note({ last: { at: createdAt, bytes, leftOut: [...snapshot.leftOut] } });
        } finally {
          await snapshot.release();
        }
      },
    };
  }

  function writeTo(
    { files, connected, leftOut }: Snapshot,
    { withRepositories, createdAt }: { withRepositories: boolean; createdAt: number },
    to: Writable,
    signal: AbortSignal,
  ): Promise<number> {
    const signing = deps.signing();
    const about = {
      ...{ mooring: deps.version, createdAt, host: hostname(), machine: machineId(), keyId: signing.keyId },
      ...{ withRepositories, sites: [...connected], leftOut: [...leftOut] },
    };
    return writeArchive(files, about, signing, to, signal);
  }

  /** Under another name until it is complete, so that no half of an archive is ever taken for one. */
  async function writeFile({ folder, keep, withRepositories }: BackupSettings): Promise<void> {
    const stamp = new Date(clock.now()).toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
    const file = join(folder, `mooring-backup-${stamp}Z.tar.gz`);
    const partial = `${file}.partial`;
    try {
      for (const name of await readdir(folder)) if (isPartial(name)) await rm(join(folder, name), { force: true });
      const prepared = await prepare(withRepositories, stopping.signal);
      try {
        await prepared.write(createWriteStream(partial, { mode: FILE_MODE, flags: 'wx' }));
      } finally {
        await prepared.release();
      }
      await syncFile(partial);
      await rename(partial, file);
      await syncFolder(folder);
      if (status.last) await note({ last: { ...status.last, file } });
      log('info', 'A backup was written.', { file, bytes: status.last?.bytes });
      if (prepared.leftOut.length > 0)
        log('warn', 'A backup lacks the repositories of sites that were busy.', { sites: prepared.leftOut.join(', ') });
      await prune(folder, keep);
    } catch (error) {
      await rm(partial, { force: true }).catch(() => undefined);
      throw error;
    }
  }

  async function due(chosen: BackupSettings): Promise<void> {
    const before = status;
    try {
      await writeFile(chosen);
    } catch (error) {
      if (stopping.signal.aborted) return;
      const at = clock.now();
      const { first = at, times = 0 } = before.failure ?? {};
      const text = textOf(error, chosen.folder);
      log('error', 'A backup failed.', { folder: chosen.folder, error });
      await note({
        ...(before.last ? { last: before.last } : {}),
        failure: { first, at, times: times + 1, text },
      });
    }
  }

  return {
    prepare,
    status: () => status,
    async start() {
      await sweepSnapshots(stateDir);
      status = await readStatus(statusFile);
      if (settings) schedule = deps.schedule(settings.schedule, () => due(settings));
    },
    async stop() {
      stopping.abort(new Problem('stopping'));
      await schedule?.stop();
      await queue.onIdle();
    },
  };
}

const isArchive = (name: string): boolean => /^mooring-backup-\d{8}T\d{6}Z\.tar\.gz$/.test(name);
const isPartial = (name: string): boolean => isArchive(name.replace(/\.partial$/, '')) && name.endsWith('.partial');

/** The oldest go, and nothing else that may lie there. */
async function prune(folder: string, keep: number): Promise<void> {
  const archives = (await readdir(folder)).filter(isArchive).sort();
  for (const name of archives.slice(0, -keep)) await rm(join(folder, name), { force: true });
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function readStatus(file: string): Promise<BackupStatus> {
  try {
    return statusSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    // Never made, or spoilt: the next backup writes it anew.
    return {};
  }
}

function textOf(error: unknown, folder: string): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return `The disk of ${folder} is full.`;
  if (code !== '' && !(error instanceof Problem)) return `${folder} cannot be written (${code}).`;
  return describe(asProblem(error).toFacts()).happened;
}
