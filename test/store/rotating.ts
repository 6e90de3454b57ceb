import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { readConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon.ts';
import { createLog, createMask } from '../../src/log.ts';
import { socketPath } from '../../src/socket.ts';
import { rotateKey } from '../../src/store/rotation.ts';
import { openStore } from '../../src/store/store.ts';
import { overSocket } from '../support/over-socket.ts';
import { storeOptions } from './fixtures.ts';

/**
 * Changes the key, or upgrades the store, and SIGKILLs itself at the n-th step: each step is the moment before or after a
 * name in the file system changes. `node rotating.ts stopped|running|upgrade FOLDER N`; prints `done` where there are
 * fewer steps.
 */
const [, , kind = '', path = '', nth = '0'] = process.argv;
let left = Infinity;

function step(): void {
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
}

const real = { rename: fs.rename, rm: fs.rm, link: fs.link };
for (const name of ['rename', 'rm', 'link'] as const) {
  const call = real[name] as (...args: unknown[]) => Promise<void>;
  Object.assign(fs, {
    async [name](...args: unknown[]) {
      step();
      await call(...args);
      step();
    },
  });
}
syncBuiltinESMExports();

if (kind === 'running') {
  const env = { MOORING_STATE: path, MOORING_SITES: `${path}-sites`, MOORING_PORT: '0', MOORING_ALLOW_ROOT: 'yes' };
  const config = readConfig({ PATH: process.env['PATH'], ...env }, { terminal: false, uid: process.getuid?.() });
  const mask = createMask();
  const log = createLog({ ...config.log, mask, level: 'error' });
  const daemon = await startDaemon(config, { log, mask });
  left = Number(nth);
  const { status, body } = await overSocket(socketPath(path), 'POST', '/operator/v1/rotate-key');
  left = Infinity;
  if (status !== 200) throw new Error(body);
  await daemon.stop();
} else {
  left = Number(nth);
  if (kind === 'stopped') await rotateKey(storeOptions(path));
  else await (await openStore(storeOptions(path))).close();
}
process.stdout.write('done\n');
process.exit(0);
