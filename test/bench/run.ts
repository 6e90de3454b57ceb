import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Harbour, inHarbour } from '../support/daemon.ts';
import type { Project } from '../support/gitlab/server.ts';
import { type MooredSite, mooredSite } from '../support/moored.ts';
import { costOf, machine, moment, quantile, writeBetween } from './measure.ts';
import { Clone } from './plain.ts';

/**
 * Times the real daemon beside git's own commands, in turns and against the same practice GitLab on this machine:
 *
 *     npm run bench -- [--files 200] [--rounds 15] [--rest-ms 0] [--write]
 *
 * A time ends when the other side has the change: the branch at GitLab, the file in the folder. That of a pull begins when
 * whoever pulls is told: the daemon by GitLab's webhook call, git by being started. The daemon's second of rest after an
 * edit is taken off. Only the ratios mean something on another machine. `--write` puts the table into
 * docs/performance.md; `--rest-ms` lets GitLab's REST API answer so much later.
 */
const { values: options } = parseArgs({
  options: {
    files: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '15' },
    'rest-ms': { type: 'string', default: '0' },
    write: { type: 'boolean', default: false },
  },
});
const [files, rounds, restMs] = [options.files, options.rounds, options['rest-ms']].map(Number) as [
  number,
  number,
  number,
];
const restOfEditMs = 1_000;
const spawns = join(mkdtempSync(join(tmpdir(), 'mooring-bench-')), 'spawns');

interface Row {
  readonly what: string;
  readonly times: number[];
  programs?: number;
}

interface Benched {
  readonly harbour: Harbour;
  readonly site: MooredSite;
  readonly ours: Project;
  readonly theirs: Project;
  readonly clone: Clone;
  readonly spawns: string;
}

const branchFile = (project: Project): string => join(project.repoPath, 'refs', 'heads', 'main');

/** The time from `act`'s beginning until the branch is somewhere else. */
async function untilPushed(project: Project, act: () => Promise<unknown>): Promise<number> {
  const before = await project.head();
  const from = performance.now();
  const moved = moment(branchFile(project), (content) => content !== undefined && content.trim() !== before);
  const [at] = await Promise.all([moved, act()]);
  return at - from;
}

/** The time of `act`, which pulls a push of somebody else, until its file is at `path`. */
async function untilPulled(project: Project, path: string, name: string, text: string, act: () => Promise<unknown>) {
  const before = await project.head();
  const pushed = moment(branchFile(project), (content) => content !== undefined && content.trim() !== before);
  const arrived = moment(path, (content) => content === text);
  const push = project.push('main', { [name]: text });
  const from = await pushed;
  const [at] = await Promise.all([arrived, act(), push]);
  return at - from;
}

/** The time from GitLab's webhook call, which tells of a push of somebody else, until its file is at `path`. */
async function untilTold({ harbour, ours: project }: Benched, path: string, name: string, text: string) {
  const arrived = moment(path, (content) => content === text);
  const [at] = await Promise.all([arrived, project.push('main', { [name]: text })]);
  const call = harbour.gitlab.webhookDeliveries.findLast(({ projectId }) => projectId === project.id);
  if (!call) throw new Error('GitLab called nobody');
  return at + performance.timeOrigin - call.at;
}

const nameOf = (at: number): string => `d${at % 20}/e${at % 7}/f${at}.txt`;

async function round(benched: Benched, at: number, rows: Record<string, Row>): Promise<void> {
  const { site, ours, theirs, clone } = benched;
  const note = (key: string, ms: number): void => void rows[key]?.times.push(ms);
  const name = nameOf(at);
  const edit = async (dir: string, text: string): Promise<void> => writeFile(join(dir, name), text);
  await edit(clone.dir, `porcelain ${at}\n`);
  note('porcelain', await untilPushed(theirs, () => clone.porcelain()));
  await edit(clone.dir, `plumbing ${at}\n`);
  note('plumbing', await untilPushed(theirs, () => clone.plumbing([name])));
  note('edit', (await untilPushed(ours, () => edit(site.folder, `edit ${at}\n`))) - restOfEditMs);
  await site.settled();
  const pull = () => clone.pull();
  note('pull', await untilPulled(theirs, join(clone.dir, name), name, `pushed ${at}\n`, pull));
  note('incoming', await untilTold(benched, join(site.folder, name), name, `pushed ${at}\n`));
  await site.settled();
}

/** A thousand files at once, into one commit. */
async function thousand({ site, ours, theirs, clone }: Benched, at: number, rows: Record<string, Row>): Promise<void> {
  const write = async (dir: string): Promise<void> => {
    await mkdir(join(dir, `many-${at}`), { recursive: true });
    for (let i = 0; i < 1_000; i += 1) await writeFile(join(dir, `many-${at}`, `${i}.txt`), `${at} ${i}\n`);
  };
  await write(clone.dir);
  rows['thousandByGit']?.times.push(await untilPushed(theirs, () => clone.porcelain()));
  let written = 0;
  const begun = performance.now();
  const ms = await untilPushed(ours, async () => {
    await write(site.folder);
    written = performance.now() - begun;
  });
  rows['thousand']?.times.push(ms - written - restOfEditMs);
  await site.settled();
}

async function programsOf(benched: Benched): Promise<Record<string, number>> {
  const { site, ours, theirs, clone, spawns } = benched;
  const started = async (act: () => Promise<unknown>): Promise<number> => {
    await writeFile(spawns, '');
    await act();
    await site.settled();
    const list = (await readFile(spawns, 'utf8')).split('\n').filter(Boolean);
    if (process.env['BENCH_PROGRAMS']) process.stdout.write(`${list.join('\n')}\n--\n`);
    return list.length;
  };
  const name = nameOf(1);
  await writeFile(join(clone.dir, name), 'counted\n');
  const porcelain = await clone.programs((env) => clone.porcelain(env));
  await writeFile(join(clone.dir, name), 'counted again\n');
  const plumbing = await clone.programs((env) => clone.plumbing([name], env));
  await theirs.push('main', { [name]: 'counted by others\n' });
  const pull = await clone.programs((env) => clone.pull(env));
  const edit = await started(() => untilPushed(ours, () => writeFile(join(site.folder, name), 'counted\n')));
  const incoming = await started(() => untilTold(benched, join(site.folder, name), name, 'counted by others\n'));
  return { porcelain, plumbing, pull, edit, incoming };
}

await inHarbour(
  async (harbour) => {
    const { gitlab, world, dir } = harbour;
    const content = Object.fromEntries(
      Array.from({ length: files }, (_, at) => [nameOf(at), `${at}\n`.repeat(50)] as const),
    );
    const [ours, theirs] = [
      await gitlab.projects.create({ path: 'harbour/ours', owner: world.ana, files: content }),
      await gitlab.projects.create({ path: 'harbour/theirs', owner: world.ana, files: content }),
    ];
    const empty = await costOf(harbour.daemon?.pid ?? 0);
    const site = await mooredSite(harbour, { name: 'Bench', project: ours });
    await site.settled();
    const clone = new Clone(join(dir, 'clone'), dir, gitlab.tokens.add(world.ana, ['api']));
    execFileSync('git', ['clone', '-q', theirs.repoPath, clone.dir]);
    await clone.git(['remote', 'set-url', 'origin', theirs.cloneUrl]);
    const benched = { harbour, site, ours, theirs, clone, spawns };
    if (restMs > 0) gitlab.faults.add({ match: ({ path }) => path.startsWith('/api/v4/'), delayMs: restMs });

    const rows: Record<string, Row> = {
      porcelain: { what: 'edit → GitLab: git add, commit, push', times: [] },
      plumbing: { what: 'edit → GitLab: git’s plumbing and push', times: [] },
      edit: { what: '**edit → GitLab: Mooring**', times: [] },
      pull: { what: 'GitLab → folder: git pull', times: [] },
      incoming: { what: '**GitLab → folder: Mooring**', times: [] },
      thousandByGit: { what: '1,000 new files → GitLab: git add, commit, push', times: [] },
      thousand: { what: '**1,000 new files → GitLab: Mooring**', times: [] },
    };
    for (let warm = 0; warm < 2; warm += 1) await round(benched, warm, {});
    const load = loadavg()[0] ?? 0;
    const pid = harbour.daemon?.pid ?? 0;
    const before = await costOf(pid);
    for (let at = 0; at < rounds; at += 1) await round(benched, at % files, rows);
    const after = await costOf(pid);
    for (let at = 0; at < Math.min(3, rounds); at += 1) await thousand(benched, at, rows);
    for (const [key, count] of Object.entries(await programsOf(benched)))
      Object.assign(rows[key] ?? {}, { programs: count });
    await sleep(2_000);
    const quiet = await costOf(pid);
    await sleep(5_000);
    const idle = (await costOf(pid)).cpu - quiet.cpu;
    const text = table(rows, [
      `${files} files, ${rounds} rounds in turns, GitLab’s REST API ${restMs} ms away. ${machine()} Load when it began: ${load.toFixed(1)}.`,
      `Mooring’s processes took ${(((after.cpu - before.cpu) * 1_000) / (2 * rounds)).toFixed(0)} ms of CPU for each change, its pages and checks included, ${(idle * 200).toFixed(0)} ms in a second without any, and ${mib(after.memory)} of memory, ${mib(empty.memory)} of it before there was a site.`,
    ]);
    process.stdout.write(text);
    if (options.write) await writeBetween('performance.md', 'bench', text);
  },
  {
    isBuilt: true,
    env: {
      NODE_OPTIONS: `--import ${new URL('./count-spawns.js', import.meta.url).href}`,
      BENCH_SPAWNS: spawns,
    },
  },
);
rmSync(dirname(spawns), { recursive: true });
process.exit(0);

function mib(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}

function table(rows: Record<string, Row>, notes: readonly string[]): string {
  const base: Readonly<Record<string, string>> = {
    ...{ plumbing: 'porcelain', edit: 'porcelain', incoming: 'pull', thousand: 'thousandByGit' },
  };
  const lines = Object.entries(rows).map(([key, { what, times, programs }]) => {
    const beside = rows[base[key] ?? '']?.times;
    const ratio = beside ? (quantile(times, 0.5) / quantile(beside, 0.5)).toFixed(2) : '1';
    const cells = [what, quantile(times, 0.5).toFixed(0), quantile(times, 0.95).toFixed(0), ratio, programs ?? ''];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}. ${notes.join(' ')}`,
    '',
    '| Work | Median, ms | p95, ms | ÷ git | Programs started |',
    '| --- | --- | --- | --- | --- |',
    ...lines,
    '',
  ].join('\n');
}
