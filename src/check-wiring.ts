import { accessSync, constants } from 'node:fs';
import { mkdtemp, readFile, readdir, rmdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type CheckDeps, checkInstance } from './actions/instance-checks.ts';
import { type SystemDeps, createSystemActions } from './actions/system.ts';
import type { SetUpDeps, SetUpMachine } from './check/set-up.ts';
import type { Config } from './config.ts';
import { readDeclaration } from './declared/read.ts';
import { faultLine } from './declared/words.ts';
import { readText } from './declared-wiring.ts';
import { realFs } from './files/disk.ts';
import { createSiteFolders } from './files/folders.ts';
import { diskSpaceOf, ownerOf } from './files/machine.ts';
import { readPrivileges } from './files/privileges.ts';
import { refusedBelow } from './files/refused.ts';
import { tryDisk } from './files/try-disk.ts';
import { systemUsers } from './files/users.ts';
import { type Site, type SiteId, firstStatus } from './model/site.ts';
import type { SetUpCheck } from './model/system.ts';
import type { Parts } from './parts.ts';
import { variables } from './settings.ts';
import { socketPath, socketPathFault } from './socket.ts';
import { keyExposure } from './store/key-file.ts';

/** What the check of the set-up asks, answered by the daemon's parts. A site that was not opened has no status yet. */
export function setUpDeps(parts: Parts, shared: CheckDeps & Omit<SystemDeps, 'runtimes'>): SetUpDeps {
  const { config, clock, runtimes, store } = parts;
  const statusOf = (id: SiteId) => ({
    status: () => runtimes.find(id)?.status() ?? firstStatus(clock.now(), 'unknown'),
  });
  const system = createSystemActions({ ...shared, runtimes: { worker: statusOf, load: () => runtimes.load() } });
  return {
    config,
    sites: () => store.sites.all(),
    hasAccount: () => store.accounts.exist(),
    system: async () => (await system.report()).checks,
    attention: () => system.attention(),
    instance: () => checkInstance(store.instance.get(), shared),
    privileges: () => ({ ...readPrivileges(), userName: systemUsers(clock).userName(readPrivileges().uid) }),
    machine: {
      ...setUpMachine(config, () => store.sites.all()),
      disk: async ({ id, folder }) => (statusOf(id).status().disks?.length ? undefined : tryDisk(realFs(), folder)),
    },
  };
}

/** The settings of this process's environment, for somebody who helps: a secret only says that it is set. */
export function givenSettings(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    variables().flatMap(({ name, secret }) => {
      const value = process.env[name];
      return value === undefined || value === '' ? [] : [[name, secret ? '[secret]' : value]];
    }),
  );
}

export function setUpMachine(config: Config, sites: () => readonly Site[]): SetUpMachine {
  const { stateDir, roots, keyFile } = config;
  const folders = createSiteFolders({ roots, stateDir, sites });
  return {
    checkFolder: ({ id, folder }) => folders.checkFolder(folder, id),
    lookInto: async (folder) => void (await readdir(folder)),
    writeInto: async (folder) => rmdir(await mkdtemp(join(folder, '.mooring-'))),
    async refused(folder) {
      const { uid, capabilities } = readPrivileges();
      // access(2) does not know that capability of a process that is not root.
      if (uid !== 0 && capabilities.has('CAP_DAC_OVERRIDE')) return { unreadable: [], unwritable: [] };
      return refusedBelow(folder);
    },
    ownerOf,
    disk: async () => undefined,
    diskSpace: diskSpaceOf,
    keyExposure: () => keyExposure(keyFile).catch(() => undefined),
    missingPrograms: (names) => names.filter((name) => !isOnPath(name)),
    socketFault: () => socketPathFault(socketPath(stateDir)),
    declaration: () => declarationLines(config.declared),
    unit: readUnit,
  };
}

/** As far as its text tells; what it is compared with takes a running daemon. */
async function declarationLines(file: string | undefined): Promise<readonly SetUpCheck[]> {
  if (file === undefined) return [];
  const area = 'Declaration';
  const text = await readText(file).catch((error: unknown) => error);
  if (typeof text !== 'string') {
    const finding = `${file} cannot be read (${text instanceof Error ? text.message : String(text)}).`;
    return [{ area, result: 'fail', finding, fix: 'Correct MOORING_DECLARED, or let Mooring’s user read the file.' }];
  }
  const found = readDeclaration(text);
  if (found.kind === 'good') {
    const next = `“mooring apply ${file} --dry-run” compares it with the installation.`;
    return [{ area, result: 'ok', finding: `${file} is well-formed. ${next}` }];
  }
  return found.faults.map((fault) => {
    const { example, ...rest } = fault;
    const fix = example === undefined ? 'Correct it.' : `For example: ${example}`;
    return { area, result: 'fail', finding: faultLine(file, rest), fix };
  });
}

function isOnPath(name: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const unitFile = '/etc/systemd/system/mooring.service';

async function readUnit(): Promise<string | undefined> {
  const read = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
  const unit = await read(unitFile);
  if (unit === undefined) return undefined;
  const names = (await readdir(`${unitFile}.d`).catch(() => [])).filter((name) => name.endsWith('.conf')).sort();
  const more = await Promise.all(names.map((name) => read(join(`${unitFile}.d`, name))));
  return [unit, ...more].join('\n');
}
