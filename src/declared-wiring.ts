import { open, realpath } from 'node:fs/promises';
import { type Apply, createApply } from './declared/apply.ts';
import type { DeclaredGitlab, DeclaredWorld } from './declared/comparison.ts';
import { exportDeclaration } from './declared/export.ts';
import { type DeclaredPlaces, type Guarded, createDeclaredPlaces, guarded } from './declared/guard.ts';
import { createGitlabClient } from './gitlab/client.ts';
import type { Instance } from './model/instance.ts';
import { createHttp } from './net/http.ts';
import type { Parts } from './parts.ts';

/** What a file declares: applied, exported, and guarded against changes from elsewhere. */
export interface Declared extends DeclaredPlaces {
  readonly apply: Apply;
  /** The present set-up as a declaration, without secrets. */
  exported(): string;
}

/** `actions`: all of them, unguarded; gives them guarded, for everybody but the file itself. */
export function createDeclared<A extends Guarded & Pick<DeclaredWorld, 'actions'>['actions']>(
  parts: Parts,
  shared: Pick<DeclaredWorld, 'folders' | 'urls' | 'parseHookUrl'>,
  actions: A,
): { readonly declared: Declared; readonly actions: A } {
  const { store, config, mask, report, tokens, clock } = parts;
  const places = createDeclaredPlaces(() => store.declared.marks());
  const apply = createApply({
    ...{ store, tokens, clock, report, actions, readText },
    ...{ folders: shared.folders, urls: shared.urls, parseHookUrl: shared.parseHookUrl },
    hide: (secret) => mask.hide(secret),
    realFolder: (path) => realpath(path).catch(() => path),
    gitlabOf: (instance) => gitlabOf(parts, instance),
    ownFile: config.declared,
    selector: config.shard,
  });
  return {
    declared: { ...places, apply, exported: () => exportDeclaration({ store }) },
    actions: guarded(actions, { places, store }),
  };
}

/** The client that is there anyway for the configured instance; one of its own, for the time of asking, for another. */
function gitlabOf({ store, client, clock, random }: Parts, instance: Instance): DeclaredGitlab {
  if (instance === store.instance.get()) return { ...client, close: () => {} };
  const http = createHttp({ instance: () => instance, clock, random });
  return { ...createGitlabClient({ http, apiUrl: () => instance.apiUrl }), close: () => http.close() };
}

const mostBytes = 4 * 1024 * 1024;

/** Only of a plain file, and no more than a declaration or a secret may have: a path may name anything. */
export async function readText(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const found = await file.stat();
    if (found.isDirectory()) throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
    if (!found.isFile()) throw Object.assign(new Error(`${path} is no file`), { code: 'EINVAL' });
    if (found.size > mostBytes) throw Object.assign(new Error(`${path} is larger than 4 MiB`), { code: 'EFBIG' });
    return (await file.readFile('utf8')).replace(/^\ufeff/, '');
  } finally {
    await file.close();
  }
}
