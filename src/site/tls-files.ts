import { createPrivateKey } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GitNetwork } from '../git/environment.ts';
import type { Instance } from '../model/instance.ts';
import type { Random } from '../model/world.ts';
import { trustedAuthorities } from '../net/trust.ts';

/** Git reads certificates and keys from files only. They lie in the state directory, which nobody else may enter. */
export interface TlsFiles {
  /** Writes them as the instance's settings are now. */
  save(): Promise<void>;
  /** Where they are. */
  network(): Pick<GitNetwork, 'caFile' | 'client'>;
}

export function createTlsFiles(deps: {
  readonly stateDir: string;
  readonly instance: () => Instance | undefined;
  readonly random: Random;
}): TlsFiles {
  const at = (name: string): string => join(deps.stateDir, name);
  const caFile = at('instance-ca.pem');
  const certificateFile = at('instance-client.pem');
  const keyFile = at('instance-client.key');
  // Only in memory, and another one each time the daemon starts: the file with the key is of no use without it.
  const passphrase = deps.random.bytes(32).toString('hex');
  return {
    async save() {
      const { ca = '', client } = deps.instance()?.advanced ?? {};
      await writePrivately(caFile, `${trustedAuthorities(ca).join('\n')}\n`);
      if (!client) {
        await Promise.all([certificateFile, keyFile].map((file) => rm(file, { force: true })));
        return;
      }
      const key = createPrivateKey(client.key.open());
      await writePrivately(certificateFile, client.certificate);
      await writePrivately(
        keyFile,
        key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString(),
      );
    },
    network: () => ({
      caFile,
      ...(deps.instance()?.advanced.client ? { client: { certificateFile, keyFile, passphrase } } : {}),
    }),
  };
}

const writePrivately = (file: string, text: string): Promise<void> => writeFile(file, text, { mode: 0o600 });
