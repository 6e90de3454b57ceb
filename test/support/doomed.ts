import { subscribe } from 'node:diagnostics_channel';
import fs from 'node:fs/promises';
import type { ClientRequest } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { readConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon.ts';
import { realFs } from '../../src/files/disk.ts';
import { createLog, createMask } from '../../src/log.ts';
import type { Fs } from '../../src/model/world.ts';
import type { Overrides } from '../../src/site/runtime.ts';
import type { PendingFile } from '../../src/sync/ports.ts';

/**
 * The real daemon, which SIGKILLs itself when it reaches the point named in MOORING_TEST_KILL for the n-th time
 * (`apply.captured:2`). Nothing of this is in the product: the points are calls of its ports.
 */
const [point = '', nth = '1'] = (process.env['MOORING_TEST_KILL'] ?? '').split(':');
let left = Number(nth);

function reached(name: string): void {
  if (name !== point) return;
  left -= 1;
  if (left > 0) return;
  // The parent reads this line: the kill counts only if the point was met.
  process.stdout.write(`\nkilled at ${point}\n`);
  process.kill(process.pid, 'SIGKILL');
}

/** Somewhere inside a git process: after so many milliseconds, if it still runs. */
function reachedWhile<T>(name: string, work: Promise<T>): Promise<T> {
  if (name !== point) return work;
  const timer = setTimeout(() => {
    left = 1;
    reached(name);
  }, Number(nth));
  return work.finally(() => clearTimeout(timer));
}

const overrides: Overrides = {
  // These lie in the slow look, which is to come soon.
  ...(point.startsWith('hook.') ? { roundsMs: 300 } : {}),
  fs: doomedFs(realFs()),
  repository: (repository) => ({
    ...repository,
    async commitFiles(parent, taking, message, author) {
      const taken = await repository.commitFiles(parent, taking.map(doomedReading), message, author);
      if (taking.length > 0) reached('snapshot.made');
      return taken;
    },
    async updateRefs(moves, expect) {
      const isSnapshot = Object.keys(moves).join() === 'disk';
      if (isSnapshot) reached('snapshot.moving');
      await repository.updateRefs(moves, expect);
      if (isSnapshot) reached('snapshot.moved');
    },
  }),
  directory: (directory) => {
    const apply = directory.apply.bind(directory);
    directory.apply = async (request) => {
      const applied = await apply(request);
      reached('apply.done');
      return applied;
    };
    return directory;
  },
  remote: (remote) => ({
    head: (signal) => remote.head(signal),
    async fetch(signal, progress) {
      reached('fetch.before');
      const tip = await reachedWhile('fetch.running', remote.fetch(signal, progress));
      reached('fetch.done');
      return tip;
    },
    async push(commit, expected, options, signal) {
      reached('push.before');
      const result = await reachedWhile('push.running', remote.push(commit, expected, options, signal));
      reached('push.after');
      return result;
    },
  }),
};

function doomedReading(taking: PendingFile): PendingFile {
  const { file } = taking;
  if (!file) return taking;
  const open = async () => {
    reached('snapshot.reading');
    return file.open();
  };
  return { ...taking, file: { ...file, open } };
}

function doomedFs(real: Fs): Fs {
  const { exchange, ...rest } = real;
  const wrapped: Fs = {
    ...rest,
    createFile(...args) {
      reached('apply.staging');
      return real.createFile(...args);
    },
    rename(...args) {
      real.rename(...args);
      // Without exchange this is the gap of a replace: the old file is aside, the new one not yet at its name.
      if (!isTrial(args[1])) reached('apply.gap');
    },
  };
  if (point === 'apply.gap' || !exchange) return wrapped;
  return {
    ...wrapped,
    exchange(...args) {
      if (!isTrial(args[1])) reached('apply.before-swap');
      exchange(...args);
      if (!isTrial(args[1])) reached('apply.captured');
    },
  };
}

/** A staging folder, or a file in it by which it is tried what the disk can do. */
const isTrial = (name: Buffer): boolean => /^\.mooring-|-é$/.test(name.toString());

/** GitLab has issued a new pair of tokens, and nothing of it is on disk yet. */
let refreshed = false;

/** The store has no port: its points are its renames, and GitLab's answers are heard where node hears them. */
function doomedStore(): void {
  const { rename } = fs;
  fs.rename = async (from, to) => {
    const isStore = String(to).endsWith('.json');
    if (isStore) reached('store.tmp');
    await rename(from, to);
    if (isStore) reached('store.renamed');
    if (refreshed && String(to).endsWith('instance.json')) reached('oauth.stored');
  };
  syncBuiltinESMExports();
  const asks = ({ method, path }: ClientRequest, what: RegExp): boolean => method === 'POST' && what.test(path);
  subscribe('http.client.response.finish', (message) => {
    const { request } = message as { request: ClientRequest };
    if (asks(request, /\/hooks$/)) reached('hook.create');
    if (request.method === 'PUT' && /\/hooks\/\d+$/.test(request.path)) reached('hook.found');
    refreshed ||= asks(request, /\/oauth\/token$/);
  });
}

doomedStore();
const config = readConfig();
const mask = createMask();
const hide: typeof mask.hide = (secret) => {
  mask.hide(secret);
  // The first thing done with a new token, before it is stored, is to keep it out of the log.
  if (refreshed) reached('oauth.refresh.received');
};
const log = createLog({ ...config.log, mask });
await startDaemon(config, { log, mask: { ...mask, hide } }, overrides);
