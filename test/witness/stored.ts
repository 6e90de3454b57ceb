import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { SiteId } from '../../src/model/site.ts';
import type { StoreNote } from '../../src/store/store-file.ts';
import { openStore } from '../../src/store/store.ts';
import { realRandom } from '../store/fixtures.ts';
import { filesBelow } from './contents.ts';

/** Every value in something, whatever the members are called. */
export function leavesOf(value: unknown, into = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) into.add(JSON.stringify(value));
  else for (const one of Object.values(value)) leavesOf(one, into);
  return into;
}

/**
 * All values that a state directory holds in the open, each with where it is. Only values are compared with what the
 * store of the day gives: a member may get a new name by a migration, but what it says must not get lost on the way.
 */
export function storedLeaves(state: string): { file: string; at: string; leaf: string }[] {
  const found: { file: string; at: string; leaf: string }[] = [];
  const visit = (file: string, at: string, value: unknown): void => {
    if (typeof value !== 'object' || value === null) found.push({ file, at, leaf: JSON.stringify(value) });
    else if (!isSealed(value))
      for (const [name, one] of Object.entries(value)) if (!isDigest(name)) visit(file, `${at}.${name}`, one);
  };
  for (const path of filesBelow(state)) {
    const file = basename(path);
    const text = (): string => readFileSync(path, 'utf8');
    if (/\/repositories\/|\/large\/|\/manifests\//.test(path)) continue;
    // Sessions are only ever asked for by their cookie, and the store's own file tells nothing but its key.
    if (file.endsWith('.json') && !['sessions.json', 'state.json'].includes(file))
      visit(file, '', (JSON.parse(text()) as { data: unknown }).data);
    if (/\.jsonl(\.1)?$/.test(file))
      for (const line of text().split('\n').filter(Boolean)) visit(file, '', JSON.parse(line));
  }
  return found;
}

const isSealed = (value: object): boolean => 'nonce' in value && 'tag' in value;
/** What a password or a token was turned into; nobody gets it out again. */
const isDigest = (name: string): boolean => ['hash', 'password'].includes(name);

export interface Opened {
  readonly notes: readonly StoreNote[];
  /** All that the store gives. */
  readonly present: unknown;
  readonly secrets: Readonly<Record<string, string>>;
  /** Of each history: how many lines it has, and how many of them can be read. */
  readonly lines: Readonly<Record<string, number>>;
  readonly rows: Readonly<Record<string, number>>;
}

/** Opens a state directory with the store of the day, and asks it for everything. */
export async function openedAsItIs(state: string, now: number): Promise<Opened> {
  const notes: StoreNote[] = [];
  const store = await openStore({
    ...{ path: state, random: realRandom, now: () => now },
    onFault: (error) => {
      throw error;
    },
    onNotes: (more) => notes.push(...more),
  });
  try {
    const secrets: Record<string, string> = {};
    const note = (what: string, text: string | undefined): void => void (secrets[what] = text ?? '');
    note('instance secret', store.instance.get()?.secret.open());
    note('system hook', store.instance.systemHookSecret()?.open());
    note('notification address', store.notify.webhook()?.address.open());
    note('notification header', store.notify.webhook()?.header?.value.open());
    const tokens = store.instance.connections().map(({ id }) => {
      const { accessToken, refreshToken, ...times } = store.instance.tokens(id);
      note(`access token ${id}`, accessToken.open());
      note(`refresh token ${id}`, refreshToken.open());
      return times;
    });
    const all = { limit: 10_000, offset: 0 };
    const acts = await store.history.acts(all);
    const lines: Record<string, number> = { acts: acts.total };
    const rows: Record<string, number> = { acts: acts.rows.length };
    const ofSites: unknown[] = [];
    for (const site of store.sites.all()) {
      const id = site.id as SiteId;
      const hook = store.sites.hookSecrets(id);
      if (hook) note(`hook token ${id}`, hook.token.open());
      if (hook?.signing) note(`hook signing key ${id}`, hook.signing.open());
      const runs = await store.history.runs(id, all);
      lines[id] = runs.total;
      rows[id] = runs.rows.length;
      ofSites.push(site, (await store.siteFacts.of(id)).data, runs.rows);
    }
    const present = {
      ...{ accounts: store.accounts.all(), apiTokens: store.apiTokens.all(), ledger: store.notify.ledger() },
      ...{ instance: store.instance.get(), connections: store.instance.connections(), tokens },
      ...{ webhook: store.notify.webhook(), acts: acts.rows, ofSites },
    };
    return { notes: [...store.notes, ...notes], present, secrets, lines, rows };
  } finally {
    await store.close();
  }
}
