import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { socketPath } from '../../src/socket.ts';
import { run } from '../support/command.ts';
import { inHarbour } from '../support/daemon.ts';
import { overSocket } from '../support/over-socket.ts';
import { until } from '../support/until.ts';

const test = suite('logs');

test('off a terminal every line is JSON, and those of a request carry the id that it was answered with', () =>
  inHarbour(
    async (made) => {
      const lines = () =>
        made
          .output()
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as { msg: string; request?: string; path?: string });
      const answer = await overSocket(socketPath(made.stateDir), 'GET', '/api/v1/sites');
      const id = String(answer.headers['x-request-id']);
      await until('the request is logged', () => lines().some(({ request }) => request === id));
      assert.is(lines().find(({ request }) => request === id)?.path, '/api/v1/sites');
      const page = await fetch(`${made.url}/oauth/callback?code=verysecret&state=alsosecret`, { redirect: 'manual' });
      await until('that one too', () => lines().some(({ request }) => request === page.headers.get('x-request-id')));
      assert.not.match(made.output(), 'verysecret');
      assert.is(lines().find(({ msg }) => msg === 'Ready.')?.request, undefined);
      assert.is(await made.stop(), 0);
      assert.match(lines().at(-1)?.msg ?? '', 'Stopping on SIGTERM');
    },
    { begin: 'account', env: { MOORING_LOG_LEVEL: 'debug' } },
  ));

test('a daemon that cannot start says so in the same form', async () => {
  const json = await run(['serve'], { env: { MOORING_PORT: 'x', MOORING_ALLOW_ROOT: 'yes' } });
  assert.is(json.code, 78);
  const [line = '', ...more] = json.stderr.trim().split('\n');
  assert.equal(more, []);
  const told = JSON.parse(line) as { level: number; code: string; text: string };
  assert.is(told.code, 'config-invalid');
  assert.match(told.text, 'MOORING_PORT');
  const pretty = await run(['serve'], { env: { MOORING_PORT: 'x', MOORING_LOG: 'pretty', MOORING_ALLOW_ROOT: 'yes' } });
  assert.match(pretty.stderr, /^The configuration is invalid\nMOORING_PORT: /);
});

test('--state names the state directory for serve as for every other command', () =>
  inHarbour(
    async (made) => {
      await made.stop();
      const env = { MOORING_SITES: made.sites, MOORING_PORT: String(made.port), MOORING_ALLOW_ROOT: 'yes' };
      const ran = run(['serve', '--state', made.stateDir], { env, until: (stdout) => stdout.includes('"Ready."') });
      const { code, stdout } = await ran;
      assert.is(code, 0);
      assert.match(stdout, made.stateDir);
    },
    { begin: 'account' },
  ));

test.run();
