import { writeFile } from 'node:fs/promises';
import { arch, platform, release } from 'node:os';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { createMask } from '../log.ts';
import { version } from '../version.ts';
import { bytes } from '../web/times.ts';
import { confirmed } from './ask.ts';
import type { Cli } from './cli.ts';
import { CliError, type ExitCode, exit } from './exit.ts';
import { pairs } from './output.ts';
import { allSites, sitePath } from './sites.ts';

interface Part {
  readonly name: string;
  readonly about: string;
  readonly text: string;
}

export interface DoctorOptions {
  readonly output: string | undefined;
  readonly yes: boolean;
}

/** Collects what somebody who helps needs to see, lists it, and writes it after a yes. Nothing is sent anywhere. */
export async function doctor(cli: Cli, { output, yes }: DoctorOptions): Promise<ExitCode> {
  const mask = createMask();
  const parts = (await collect(cli)).map((part) => ({ ...part, text: mask.mask(part.text) }));
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '');
  const path = output ?? `mooring-support-${time}Z.tar.gz`;
  if (!cli.json) {
    cli.out.note(`${path} would hold, without tokens, passwords, keys and contents of files:`);
    const rows = parts.map(({ name, about, text }) => [name, `${about} (${bytes(Buffer.byteLength(text))})`] as const);
    for (const line of pairs(cli.out, rows)) cli.out.note(`  ${line}`);
    cli.out.note('It does name sites, folders, repositories, paths and GitLab users. Read it before you pass it on.');
  }
  if (!yes && !(await confirmed('Write it?', 'Give --yes.'))) {
    cli.out.note('Nothing was written.');
    return exit.failed;
  }
  const tar = pack();
  for (const { name, text } of parts) tar.entry({ name: `mooring-support/${name}`, mode: 0o600 }, text);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar as AsyncIterable<Buffer>) chunks.push(chunk);
  const bundle = gzipSync(Buffer.concat(chunks));
  await writeFile(path, bundle, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(
      exit.failed,
      `${path} could not be written (${error.code ?? error.message}).`,
      'Name another file with --output.',
    );
  });
  if (cli.json) cli.out.json({ file: path, parts: parts.map(({ name, about }) => ({ name, about })) });
  else cli.out.line(path);
  return exit.ok;
}

async function collect(cli: Cli): Promise<Part[]> {
  const { client } = cli;
  const about = {
    mooring: version,
    node: process.versions.node,
    platform: platform(),
    kernel: release(),
    arch: arch(),
  };
  const parts: Part[] = [part('about.json', 'versions of Mooring, Node and the system', about)];
  const { examine } = await import('./check.ts');
  const { running, checks } = await examine(cli);
  parts.push(part('check.json', 'the result of “mooring check”', { daemon: running ? 'running' : 'stopped', checks }));
  if (!running) return parts;
  const read = async (
    name: string,
    what: string,
    path: string,
    clean: (value: never) => unknown = (value) => value,
  ) => {
    const value: unknown = await client.get(path);
    parts.push(part(name, what, clean(value as never)));
  };
  await read('settings.json', 'settings of the daemon’s environment', '/operator/v1/settings');
  await read('sites.json', 'sites and their state', '/api/v1/sites');
  await read('system.json', 'the machine, as the System page shows it', '/api/v1/system');
  await read('problems.json', 'what is wrong now', '/api/v1/problems');
  await read('instance.json', 'settings of the GitLab instance', '/api/v1/instance', withoutCertificates);
  await read('connections.json', 'connections to GitLab', '/api/v1/connections', withoutPeople);
  await read('audit.json', 'what people did last', '/api/v1/audit?limit=100');
  for (const site of (await allSites(cli)).slice(0, 100)) {
    const of = sitePath(site);
    await read(`runs-${site.id}.json`, `the last runs of ${site.name}`, `${of}/activity?limit=100`);
    if (site.repository) await read(`settings-${site.id}.json`, `settings of ${site.name}`, `${of}/settings`);
  }
  return parts;
}

function part(name: string, about: string, value: unknown): Part {
  return { name, about, text: `${JSON.stringify(value, undefined, 2)}\n` };
}

/** Names and mail addresses of people help nobody. */
function withoutPeople({ connections }: { connections: readonly Record<string, unknown>[] }): unknown {
  return { connections: connections.map(({ name: _name, email: _email, ...rest }) => rest) };
}

function withoutCertificates({ instance, ...rest }: { instance: Record<string, unknown> | null }): unknown {
  if (instance === null) return { instance, ...rest };
  const { ca, clientCertificate, ...others } = instance;
  return { instance: { ...others, hasCa: Boolean(ca), hasClientCertificate: Boolean(clientCertificate) }, ...rest };
}
