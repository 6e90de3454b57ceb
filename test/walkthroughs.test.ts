import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector/promises';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { filesOf, mooredSite, signedIn } from './support/moored.ts';
import { until } from './support/until.ts';
import { inPlace } from './gitlab-depth/support.ts';

/** The walkthroughs in docs/architecture.md follow what a real daemon does. */
const walkthroughs = suite('walkthroughs');

const text = readFileSync(new URL('../docs/architecture.md', import.meta.url), 'utf8');

/** The files listed under a heading. */
function listed(heading: string): readonly string[] {
  const [, section = ''] = text.split(`### ${heading}\n`);
  return [...(section.split(/\n##/)[0] ?? '').matchAll(/^\d+\. `([^`]+)`/gm)].map(([, file = '']) => file);
}

/** Which of our files had a function called while `act` ran; what runs when a file is loaded does not count. */
async function called(session: Session, act: () => Promise<unknown>): Promise<ReadonlySet<string>> {
  await session.post('Profiler.takePreciseCoverage');
  await act();
  const { result } = await session.post('Profiler.takePreciseCoverage');
  const isCalled = ({ functions }: Profiler.ScriptCoverage): boolean =>
    functions.some(({ functionName, ranges }) => functionName !== '' && (ranges[0]?.count ?? 0) > 0);
  return new Set(result.filter(isCalled).flatMap(({ url }) => /\/src\/(.+)$/.exec(url)?.[1] ?? []));
}

walkthroughs('each file that is listed takes part', () =>
  inPlace({}, async (place) => {
    const session = new Session();
    session.connect();
    await session.post('Profiler.enable');
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    const clicker = await signedIn(place);
    const site = await mooredSite(place, { clicker });
    await site.settled();
    await site.write('warm.md', 'w\n');
    await until('warm', async () => (await site.project.files()).has('warm.md') || undefined);
    await site.settled();

    const edit = await called(session, async () => {
      await site.write('edit.md', 'e\n');
      await until('pushed', async () => (await site.project.files()).has('edit.md') || undefined);
      await site.settled();
    });
    const push = await called(session, async () => {
      await site.project.push('main', { 'push.md': 'p\n' });
      await until('pulled', async () => (await filesOf(site.folder)).has('push.md') || undefined);
      await site.settled();
    });
    const token = await called(session, async () => {
      const ana = place.gitlab.users.get('ana');
      const accessToken = place.gitlab.tokens.add(ana, ['api']);
      await clicker.open(`${site.url}/access-token`);
      await clicker.press('Use this token', { 'Access token': accessToken });
      await site.settled();
    });
    session.disconnect();
    for (const [heading, seen, most] of [
      ['An edit, until it is on GitLab', edit, 18],
      ['A push to GitLab, until its bytes are in the folder', push, 16],
      ['A token, from the form until git uses it', token, 9],
    ] as const) {
      const files = listed(heading);
      assert.ok(files.length > 5 && files.length <= most, `${heading}: ${files.length} files`);
      assert.equal(
        files.filter((file) => !seen.has(file)),
        [],
        heading,
      );
    }
  }),
);

walkthroughs.run();
