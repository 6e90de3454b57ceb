import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The staging folders of a site, whole paths: beside its folder, or in it. Other sites beside it have theirs there too. */
export function stagingFolders(site: string): string[] {
  return [dirname(site), site].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.startsWith('.mooring-'))
      .map((name) => join(folder, name)),
  );
}
