import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Problem, type ProblemCode } from '../model/problem.ts';
import type { ScanRules, ScanResult } from './scan.ts';
import type { ScanAnswer, ScanOrder } from './scan-worker.ts';

/** Looks at whole folders in a thread of its own, one after another. */
export interface Scanner {
  scan(root: string, manifest: string, rules: ScanRules): Promise<ScanResult>;
  close(): Promise<void>;
}

/** One thread for all sites: they share the disk anyway. Started at the first scan; started anew if it dies. */
export function createScanner(): Scanner {
  let worker: Worker | undefined;
  let nextId = 1;
  const waiting = new Map<number, { resolve: (result: ScanResult) => void; reject: (error: unknown) => void }>();

  const start = (): Worker => {
    // The same file as it is here: `.ts` from the sources, `.js` from the build.
    const file = new URL(`./scan-worker${extname(import.meta.filename)}`, import.meta.url);
    // A scan makes millions of short-lived objects: room for few of them at a time is enough.
    const started = new Worker(file, { resourceLimits: { maxYoungGenerationSizeMb: 16 } });
    started.on('message', (answer: ScanAnswer) => answered(answer));
    started.on('error', (error) => fail(error));
    started.on('exit', () => fail(new Error('the scanning thread ended')));
    started.unref();
    return started;
  };
  const answered = (answer: ScanAnswer): void => {
    const order = waiting.get(answer.id);
    waiting.delete(answer.id);
    if (waiting.size === 0) worker?.unref();
    if ('result' in answer) order?.resolve(answer.result);
    else order?.reject(revive(answer));
  };
  const fail = (error: unknown): void => {
    worker = undefined;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };

  return {
    scan(root, manifest, rules) {
      worker ??= start();
      worker.ref();
      const order: ScanOrder = { id: nextId++, root, manifest, rules };
      return new Promise((resolve, reject) => {
        waiting.set(order.id, { resolve, reject });
        worker?.postMessage(order);
      });
    },
    async close() {
      await worker?.terminate();
    },
  };
}

function revive(answer: Exclude<ScanAnswer, { result: ScanResult }>): Error {
  const { cause } = answer;
  if (answer.problem !== 'unexpected')
    return new Problem(answer.problem as ProblemCode, answer.facts, cause === '' ? {} : { cause });
  return Object.assign(new Error(answer.text), { code: answer.code });
}
