import { type LargeStore, openLargeStore } from '../files/large.ts';
import type { RemoteAddress, Session } from '../git/session.ts';
import type { AtPlace, LfsClient, LfsPlace } from '../gitlab/lfs.ts';
import type { Pointer } from '../model/lfs.ts';
import type { LargeContents } from '../sync/ports.ts';

/** Contents of one site's large files: those that are kept here, and those that GitLab has. */
export interface LargeFiles {
  readonly store: LargeStore;
  /** Resolves with GitLab's words when it refuses one. */
  upload(place: LfsPlace, pointers: readonly Pointer[]): Promise<string | undefined>;
  /** From what was taken here, else from GitLab. */
  contents(session: Session): LargeContents;
}

export function openLargeFiles(dir: string, lfs: LfsClient): LargeFiles {
  const store = openLargeStore(dir);
  return {
    store,
    upload: (place, pointers) =>
      lfs.upload(place, pointers, async (pointer) =>
        (await store.sound(pointer)) ? () => store.read(pointer) : undefined,
      ),
    contents: (session) => ({
      keep: (chunks) => store.keep(chunks),
      copier(pointers, signal) {
        let fetching: ReturnType<LfsClient['downloads']> | undefined;
        return async (pointer, write) => {
          if (!(await store.sound(pointer))) {
            const absent = fetching ? [] : await only(pointers, async (one) => !(await store.has(one)));
            fetching ??= lfs.downloads(atPlace(session, signal), absent);
            return fetching(pointer, write);
          }
          for await (const chunk of store.read(pointer)) await write(chunk);
          return 'done';
        };
      },
    }),
  };
}

export function placeOf({ url, branch, network }: RemoteAddress, signal?: AbortSignal): LfsPlace {
  return { url, branch, authorization: network.authorization, signal };
}

export function atPlace(session: Session, signal?: AbortSignal): AtPlace {
  return (use) => session((where) => use(placeOf(where, signal)), signal);
}

async function only(
  pointers: readonly Pointer[],
  holds: (pointer: Pointer) => Promise<boolean>,
): Promise<readonly Pointer[]> {
  const answers = await Promise.all(pointers.map(holds));
  return pointers.filter((_, at) => answers[at]);
}
