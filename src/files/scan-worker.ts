import { parentPort } from 'node:worker_threads';
import { asProblem } from '../model/problem.ts';
import { realFs } from './disk.ts';
import { Manifest } from './manifest.ts';
import { type ScanRules, type ScanResult, scanAll } from './scan.ts';

/** The thread that scans whole folders: a hundred thousand calls that must not hold up the daemon. */
export interface ScanOrder {
  readonly id: number;
  readonly root: string;
  readonly manifest: string;
  readonly rules: ScanRules;
}

export type ScanAnswer =
  | { readonly id: number; readonly result: ScanResult }
  | {
      readonly id: number;
      readonly code: string;
      readonly problem: string;
      readonly facts: Record<string, string>;
      readonly cause: string;
      readonly text: string;
    };

const fs = realFs();

parentPort?.on('message', (order: ScanOrder) => {
  parentPort?.postMessage(answer(order));
});

function answer({ id, root, manifest, rules }: ScanOrder): ScanAnswer {
  try {
    return { id, result: scanAll(fs, root, new Manifest(manifest), rules) };
  } catch (error) {
    const problem = asProblem(error);
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return {
      id,
      code,
      problem: problem.code,
      facts: { ...problem.facts },
      cause: problem.toFacts().cause,
      text: error instanceof Error ? error.message : String(error),
    };
  }
}
