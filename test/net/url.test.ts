import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { likelyInstead, parseInstanceUrl } from '../../src/net/url.ts';

const url = suite('net/url');

const refusal = (text: string): Readonly<Record<string, string>> => {
  try {
    parseInstanceUrl(text);
  } catch (error) {
    if (error instanceof Problem && error.code === 'instance-url-invalid') return error.facts;
    throw error;
  }
  throw new Error(`${text} was accepted`);
};

url('takes http and https, keeps a sub-path, drops final slashes', () => {
  const cases = [
    ['https://gitlab.example', 'https://gitlab.example'],
    ['  https://GitLab.example:8443/ ', 'https://gitlab.example:8443'],
    ['http://192.168.1.20/gitlab/', 'http://192.168.1.20/gitlab'],
    ['https://example.org/tools/gitlab', 'https://example.org/tools/gitlab'],
    ['https://intranet.example/dev/scm', 'https://intranet.example/dev/scm'],
    ['https://example.org/apps/GitLab-CE/', 'https://example.org/apps/GitLab-CE'],
    ['https://example.org/projects/gitlab', 'https://example.org/projects/gitlab'],
    ['https://example.org/gitlab/production', 'https://example.org/gitlab/production'],
    ['https://example.org/api', 'https://example.org/api'],
    ['https://example.org/admin', 'https://example.org/admin'],
    ['http://localhost:8080', 'http://localhost:8080'],
    ['https://[fd00::5]/', 'https://[fd00::5]'],
    ['https://gitlab.example:443', 'https://gitlab.example'],
  ] as const;
  for (const [typed, expected] of cases) assert.is(parseInstanceUrl(typed).url, expected);
  assert.equal(parseInstanceUrl('https://gitlab.example/gitlab'), {
    url: 'https://gitlab.example/gitlab',
    authorizeUrl: 'https://gitlab.example/gitlab/oauth/authorize',
    tokenUrl: 'https://gitlab.example/gitlab/oauth/token',
    apiUrl: 'https://gitlab.example/gitlab/api/v4',
  });
});

url('recognises pages and repositories, and hints at the instance', () => {
  const cases = [
    ['https://gitlab.example/users/sign_in', 'https://gitlab.example'],
    ['https://gitlab.example/gitlab/users/sign_in', 'https://gitlab.example/gitlab'],
    ['https://example.org/code/users/sign_in', 'https://example.org/code'],
    ['https://example.org/dev/scm/users/sign_in', 'https://example.org/dev/scm'],
    ['https://example.org/dev/scm/-/user_settings/applications', 'https://example.org/dev/scm'],
    ['https://gitlab.example/group/project.git', 'https://gitlab.example'],
    ['https://gitlab.example/group/sub/project/-/tree/main', 'https://gitlab.example'],
    ['https://example.org/gitlab/group/project/-/settings', 'https://example.org/gitlab'],
    ['https://gitlab.example/-/user_settings/applications', 'https://gitlab.example'],
    ['https://gitlab.example/api/v4', 'https://gitlab.example'],
    ['https://gitlab.example/oauth/authorize', 'https://gitlab.example'],
    ['https://example.org/dev/scm/api/v4/projects', 'https://example.org/dev/scm'],
    ['https://gitlab.example/dashboard/projects', 'https://gitlab.example'],
    ['https://gitlab.example/explore/projects', 'https://gitlab.example'],
    ['https://gitlab.example/admin/applications', 'https://gitlab.example'],
  ] as const;
  for (const [typed, hint] of cases) assert.is(refusal(typed)['likely'] ?? '', hint, typed);
});

url('a path of several names that tell nothing of git may be a repository’s', () => {
  for (const name of ['group/project', 'dev/scm', 'tools/code'])
    assert.is(likelyInstead(`https://gitlab.example/${name}`), 'https://gitlab.example', name);
  for (const name of ['', 'scm', 'dev/gitlab', 'it/git-server', 'apps/GitLab-CE'])
    assert.is(likelyInstead(`https://example.org/${name}`), undefined, name);
});

url('refuses what is no plain http address, with a hint where one is known', () => {
  const cases = [
    ['', ''],
    ['gitlab.example', 'https://gitlab.example'],
    ['gitlab.example:8443/x', 'https://gitlab.example:8443/x'],
    ['file:///etc/passwd', ''],
    ['javascript:alert(1)', ''],
    ['ftp://gitlab.example', ''],
    ['https://', ''],
    ['https://a b.example', ''],
    ['https:\\\\evil', ''],
    ['https://u:p@gitlab.example/x', 'https://gitlab.example/x'],
    ['https://@gitlab.example', 'https://gitlab.example'],
    ['https://gitlab.example/?a=1', 'https://gitlab.example'],
    ['https://gitlab.example/#x', 'https://gitlab.example'],
    ['http://2130706433', 'http://127.0.0.1'],
    ['http://0x7f.1', 'http://127.0.0.1'],
    ['http://0177.0.0.1', 'http://127.0.0.1'],
    ['http://127.1', 'http://127.0.0.1'],
    ['http://169.254.169.254', ''],
    ['http://[fe80::1]', ''],
    ['http://[::ffff:a9fe:a9fe]', ''],
  ] as const;
  for (const [typed, hint] of cases) assert.is(refusal(typed)['likely'] ?? '', hint, typed);
  assert.not.match(JSON.stringify(refusal('https://u:hunter2@gitlab.example')), 'hunter2');
});

url.run();
