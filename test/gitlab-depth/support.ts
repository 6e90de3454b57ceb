import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Overrides } from '../../src/site/runtime.ts';
import { admin, freePort, type Harbour, inProcess, practice } from '../support/daemon.ts';
import type { GitLabOptions } from '../support/gitlab/server.ts';

/** What a test in one process has to do with. */
export type Place = Pick<Harbour, 'url' | 'sites' | 'gitlab' | 'world' | 'application' | 'admin'>;

/** The whole daemon in this process, with what a test owns of it, and a practice GitLab that knows it. */
export async function inPlace(
  { overrides = {}, gitlab: options = {} }: { overrides?: Overrides; gitlab?: GitLabOptions },
  use: (place: Place) => Promise<void>,
): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'mooring-place-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const { gitlab, world, application } = await practice(`${url}/oauth/callback`, { gitlab: options });
  await mkdir(join(dir, 'sites'));
  const daemon = await inProcess({ dir, port, gitlab: { server: gitlab, world, application } }, overrides);
  try {
    await use({ url, sites: daemon.sites, gitlab, world, application, admin });
  } finally {
    await daemon.stop();
    await gitlab.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
