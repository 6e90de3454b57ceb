import { readConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/daemon.ts';
import { createLog, createMask } from '../../src/log.ts';
import { systemClock } from '../../src/world.ts';

/** The real daemon; each SIGUSR2 lets eleven minutes pass at once: what was replaced may then be looked at again. */
let ahead = 0;
process.on('SIGUSR2', () => (ahead += 660_000));
const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
const config = readConfig();
const mask = createMask();
await startDaemon(config, { log: createLog({ ...config.log, mask }), mask }, { clock });
