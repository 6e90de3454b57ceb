import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cleanOutput, fetchFailure, localFailure, oddAnswer, pushFailure, remoteLines } from '../../src/git/failure.ts';
import type { ProblemCode } from '../../src/model/problem.ts';

const failing = suite('git/failure');

const facts = { project: 'g/p', branch: 'main' };
const url = 'https://gitlab.example/g/p.git/';
/** As git 2.39.5 says it for most statuses, with what the server wrote before it. */
const returned = (status: number, said = ''): string =>
  `${said}fatal: unable to access '${url}': The requested URL returned error: ${status}\n`;
/** As it says it when a push or fetch breaks off after it had begun. */
const broken = (why: string): string =>
  `error: RPC failed; ${why}\nsend-pack: unexpected disconnect while reading sideband packet\nfatal: the remote end hung up unexpectedly\n`;

type Row = readonly [name: string, stderr: string, code: ProblemCode, more?: Readonly<Record<string, string>>];

/** Recognised alike for both directions. */
const network: readonly Row[] = [
  // Who are you?
  [
    'a question for a user name is a lost connection',
    `error: unable to read askpass response from '/bin/false'\nfatal: could not read Username for '${url}': terminal prompts disabled\n`,
    'grant-lost',
  ],
  [
    'a refused password is a lost connection',
    `remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed for '${url}'\n`,
    'grant-lost',
  ],
  ['the words of GitLab alone are a lost connection', 'remote: HTTP Basic: Access denied\n', 'grant-lost'],
  ['a refused password alone is a lost connection', `fatal: Authentication failed for '${url}'\n`, 'grant-lost'],
  ['401 is a lost connection', returned(401), 'grant-lost'],
  ['401 in the middle of a transfer is a lost connection', broken('HTTP 401 curl 22 x'), 'grant-lost'],
  // Over by itself.
  [
    'a repository that moves to another storage is maintenance, though GitLab says 403',
    returned(403, 'remote: The repository is temporarily read-only. Please try again later.\n'),
    'gitlab-maintenance',
    { text: 'The repository is temporarily read-only. Please try again later.' },
  ],
  [
    'a secondary is maintenance',
    returned(403, "remote: You can't push to a read-only GitLab instance.\n"),
    'gitlab-maintenance',
    { text: "You can't push to a read-only GitLab instance." },
  ],
  [
    'maintenance mode is maintenance, though GitLab says 503',
    returned(503, 'remote: GitLab is in a (Read-Only) maintenance mode\n'),
    'gitlab-maintenance',
    { text: 'GitLab is in a (Read-Only) maintenance mode' },
  ],
  // What GitLab answers.
  [
    '403 is a right that lacks, with what GitLab said',
    returned(403, 'remote: You are not allowed to push code to this project.\n'),
    'push-not-allowed',
    { text: 'You are not allowed to push code to this project.' },
  ],
  ['403 without a word is a right that lacks', returned(403), 'push-not-allowed', { text: '' }],
  ['404 in git’s own words is a missing project', `fatal: repository '${url}' not found\n`, 'project-missing'],
  ['404 as a status is a missing project', broken('HTTP 404 curl 22 x'), 'project-missing'],
  ['410 is a missing project', returned(410), 'project-missing'],
  ['407 is a proxy', returned(407), 'gitlab-unreachable', { reason: 'the proxy did not pass it on' }],
  [
    'a tunnel that was not made is a proxy, whatever its status',
    `fatal: unable to access '${url}': CONNECT tunnel failed, response 502\n`,
    'gitlab-unreachable',
    { reason: 'the proxy did not pass it on' },
  ],
  ['500 is a fault of GitLab', returned(500), 'gitlab-error', { status: '500' }],
  ['503 is a fault of GitLab', returned(503), 'gitlab-error', { status: '503' }],
  [
    '502 in the middle of a transfer is a fault of GitLab and no broken line',
    broken('HTTP 502 curl 22 The requested URL returned error: 502'),
    'gitlab-error',
    { status: '502' },
  ],
  // The line.
  [
    'a transfer that is too slow is slow, though it ends like every broken one',
    broken('curl 28 Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds'),
    'gitlab-slow',
  ],
  [
    'a connection that takes too long is slow, though it failed',
    `fatal: unable to access '${url}': Failed to connect to gitlab.example port 443 after 10 ms: Connection timed out\n`,
    'gitlab-slow',
  ],
  ...(
    [
      ['Could not resolve host: gitlab.example', 'its name was not found'],
      ['Could not resolve proxy: proxy.example', 'the proxy’s name was not found'],
      [
        "Failed to connect to gitlab.example port 443 after 0 ms: Couldn't connect to server",
        'nothing answers at its port',
      ],
      ['Connection refused', 'nothing answers at its port'],
      ['Empty reply from server', 'the connection broke off'],
      ['Recv failure: Broken pipe', 'the connection broke off'],
      ['OpenSSL SSL_read: Connection reset by peer, errno 104', 'the connection broke off'],
      ['transfer closed with 12 bytes remaining to read', 'the connection broke off'],
    ] as const
  ).map(([why, reason]): Row => {
    const said = `fatal: unable to access '${url}': ${why}`;
    return [`a line that broke with «${why}» is unreachable`, `${said}\n`, 'gitlab-unreachable', { reason }];
  }),
  ...[
    'fatal: the remote end hung up unexpectedly',
    'fatal: early EOF',
    'fatal: unexpected disconnect while reading',
  ].map((said): Row => [
    `«${said}» is unreachable`,
    `${said}\n`,
    'gitlab-unreachable',
    { reason: 'the connection broke off' },
  ]),
  [
    'the name of a protocol is no status',
    broken('curl 92 HTTP/2 stream 500 was not closed cleanly: CANCEL (err 8)'),
    'gitlab-unreachable',
    { reason: 'the connection broke off' },
  ],
  // Certificates.
  [
    'a certificate that has expired',
    `fatal: unable to access '${url}': SSL certificate problem: certificate has expired\n`,
    'tls-expired',
  ],
  [
    'a certificate nobody vouches for',
    `fatal: unable to access '${url}': SSL certificate problem: self-signed certificate\n`,
    'tls-untrusted',
  ],
  [
    'a certificate nobody vouches for, as GnuTLS says it',
    `fatal: unable to access '${url}': server certificate verification failed. CAfile: none CRLfile: none\n`,
    'tls-untrusted',
  ],
  [
    'a number in OpenSSL’s errors is no status',
    `fatal: unable to access '${url}': error:0A00010B:SSL routines::wrong version number\n`,
    'tls-untrusted',
  ],
  // The rest.
  [
    'a redirect that git follows no further is an odd answer',
    `fatal: unable to update url base from redirection:\n  asked for: ${url}\n   redirect: https://login.example/\n`,
    'gitlab-answer-odd',
    { reason: 'it redirects git elsewhere' },
  ],
  ['302 is an odd answer', returned(302), 'gitlab-answer-odd', { reason: 'it redirects git elsewhere' }],
  ...[
    'fatal: write error: No space left on device',
    'fatal: Out of diskspace',
    'error: unable to write file: Disk quota exceeded',
    'fatal: write error: File too large',
    'fatal: file size limit exceeded',
  ].map((said): Row => [`«${said}» is a full disk`, `${said}\n`, 'disk-full']),
  // Words of a remote are seen without colours.
  [
    'colours hide nothing',
    returned(500).replace('error', '\u001b[31mer\u001b[0mror'),
    'gitlab-error',
    { status: '500' },
  ],
];

for (const [name, stderr, code, more = {}] of network) {
  for (const [way, failure] of [
    ['fetch', fetchFailure],
    ['push', pushFailure],
  ] as const) {
    failing(`${name} (${way})`, () => {
      const problem = failure(stderr, facts);
      assert.equal([problem.code, problem.facts], [code, { ...facts, ...more }]);
    });
  }
}

const fetching: readonly Row[] = [
  [
    'a ref that is not there is a missing branch',
    "fatal: couldn't find remote ref refs/heads/main\n",
    'branch-missing',
  ],
  ['what is no repository has no branch', `fatal: '${url}' does not appear to be a git repository\n`, 'branch-missing'],
  [
    'a missing branch counts before a broken line',
    "fatal: couldn't find remote ref refs/heads/main\nfatal: the remote end hung up unexpectedly\n",
    'branch-missing',
  ],
  ...['hasDotgit: contains .git', 'badTree: cannot be parsed as a tree'].map((what): Row => {
    const said = `error: object 45b983be36b73c0788dc9cbcb76cbb80fc7bb057: ${what}\nfatal: fsck error in packed object`;
    return [`an object that git refuses (${what}) is told`, `${said}\n`, 'fetch-refused', { text: said }];
  }),
  [
    'a limit on the size of files ends a fetch',
    'error: index-pack died of signal 25\nfatal: fetch-pack: invalid index-pack output\n',
    'repository-too-large',
  ],
  [
    'a fetch that was killed before it could say a word',
    'fatal: fetch-pack: invalid index-pack output\n',
    'git-killed',
    { command: 'fetch' },
  ],
  ['a fetch of which git itself was killed', 'fatal: git died of signal 9\n', 'git-killed', { command: 'fetch' }],
  ['429 is a limit of GitLab', returned(429), 'gitlab-busy'],
  ['413 says nothing of a fetch', returned(413), 'git-failed', { command: 'fetch', text: returned(413).trimEnd() }],
];

for (const [name, stderr, code, more = {}] of fetching) {
  failing(name, () => {
    const problem = fetchFailure(stderr, facts);
    assert.equal([problem.code, problem.facts], [code, code === 'git-failed' ? more : { ...facts, ...more }]);
  });
}

failing('what came in was at the limit of a file when the fetch was killed: it was too large', () => {
  for (const counted of ['', 'remote: Enumerating objects: 5, done.\nremote: Total 5\n']) {
    const stderr = `${counted}fatal: fetch-pack: invalid index-pack output\n`;
    assert.is(fetchFailure(stderr, facts, { atLimit: true }).code, 'repository-too-large');
  }
});

failing('429 names the minute of GitLab’s limits, either way', () => {
  for (const failure of [fetchFailure, pushFailure]) {
    const { code, retryAfterMs } = failure(returned(429), facts);
    assert.equal([code, retryAfterMs], ['gitlab-busy', 60_000]);
  }
  assert.is(fetchFailure(returned(503), facts).retryAfterMs, undefined);
});

const atTheDoor = (status: number): string => `GitLab, or something in front of it, answered ${status}.`;
const tooLarge =
  'Something in front of GitLab answered 413: the push is larger than it lets through (in nginx client_max_body_size).';

const pushing: readonly Row[] = [
  ['413 is a push that is too large', returned(413), 'push-refused', { ...facts, text: tooLarge }],
  [
    'what is said along with 413 counts',
    returned(413, 'remote: 10 MiB at most\n'),
    'push-refused',
    { ...facts, text: '10 MiB at most' },
  ],
  ['400 is a refused push', returned(400), 'push-refused', { ...facts, text: atTheDoor(400) }],
  [
    '422 in the middle of a push is a refused push and no broken line',
    broken('HTTP 422 curl 22 The requested URL returned error: 422'),
    'push-refused',
    { ...facts, text: atTheDoor(422) },
  ],
  ['499 is a refused push', returned(499), 'push-refused', { ...facts, text: atTheDoor(499) }],
  ['408 says nothing of this push', returned(408), 'git-failed', { command: 'push', text: returned(408).trimEnd() }],
  [
    'a missing ref is no missing branch when pushing',
    "fatal: couldn't find remote ref main\n",
    'git-failed',
    { command: 'push', text: "fatal: couldn't find remote ref main" },
  ],
  [
    'the words of a killed fetch say nothing of a push',
    'fatal: fetch-pack: invalid index-pack output\n',
    'git-failed',
    { command: 'push', text: 'fatal: fetch-pack: invalid index-pack output' },
  ],
];

for (const [name, stderr, code, expected = {}] of pushing) {
  failing(name, () => {
    const problem = pushFailure(stderr, facts);
    assert.equal([problem.code, problem.facts], [code, expected]);
  });
}

/** Words that only resemble what is recognised. */
const nearMisses: readonly (readonly [name: string, stderr: string])[] = [
  ['no words', ''],
  ['words that nobody knows', 'fatal: something new'],
  ['three digits that are no status', 'fatal: 403 things went wrong'],
  ['a count of errors', 'error: there were 404 of them'],
  ['two digits', 'HTTP 40 was said'],
  ['another spelling of the status', 'http 403'],
  ['a user name in other words', 'fatal: could not read the name of the user'],
  ['a file that is not found', "fatal: pathspec 'x' not found"],
  ['a repository in other words', 'fatal: repository not found'],
  ['read-only without GitLab', 'error: a read-only file'],
  ['an object that is refused without git’s check', 'error: object abc is odd'],
  ['the check without an object', 'warning: fetch.fsck.badTimezone is not set'],
  ['a killed index-pack that had something to say', 'fatal: odd\nfatal: fetch-pack: invalid index-pack output'],
  ['a killed index-pack with more after it', 'fatal: fetch-pack: invalid index-pack output\nodd'],
  ['another signal', 'error: index-pack died of signal 11'],
  ['a line that was not reset', 'fatal: connection was closed'],
  ['a disk that has room', 'warning: space left on device: 3 GB'],
];

for (const [name, stderr] of nearMisses) {
  failing(`${name}: unknown, in git’s own words`, () => {
    const [fetched, pushed] = [fetchFailure(stderr, facts), pushFailure(stderr, facts)];
    assert.equal([fetched.code, fetched.facts], ['git-failed', { command: 'fetch', text: stderr }]);
    assert.equal([pushed.code, pushed.facts], ['git-failed', { command: 'push', text: stderr }]);
  });
}

failing('of many words the last four lines count, without empty ones, up to 500 characters', () => {
  const textOf = (stderr: string): string | undefined => fetchFailure(stderr, facts).facts['text'];
  assert.is(textOf('a\nb\n\nc\nd\n\ne\n'), 'b\nc\nd\ne');
  assert.is(textOf('x'.repeat(501)), 'x'.repeat(500));
  assert.is(textOf('x'.repeat(500)), 'x'.repeat(500));
});

failing('the cause is in git’s own words, without its secrets', () => {
  for (const failure of [fetchFailure, pushFailure]) {
    const { cause } = failure(returned(500).replace('//', '//oauth2:abc123@'), facts).toFacts();
    assert.match(cause, 'returned error: 500');
    assert.match(cause, 'oauth2:[secret]@');
    assert.not.match(cause, 'abc123');
  }
});

// Local commands.

const damage = [
  'error: object file ./objects/45/b9 is empty',
  'fatal: loose object 45b9 (stored in ./objects/45/b9) is corrupt',
  'fatal: bad object HEAD',
  'fatal: unable to read 45b983be36b73c0788dc9cbcb76cbb80fc7bb057',
  'error: missing blob 45b9',
  'broken link: missing tree 45b9',
  'fatal: missing commit 45b9',
  'error: inflate: data stream error (incorrect header check)',
  'fatal: bad tree object 45b9',
  'fatal: not a git repository: /x',
  'error: unable to parse commit 45b9',
  'fatal: Not a valid object name main',
  'fatal: not a tree object',
  'fatal: invalid object name 45b9',
];

for (const said of damage) {
  failing(`«${said}» is damage to our own copy`, () => {
    const problem = localFailure('log', `${said}\n`);
    assert.equal([problem.code, problem.facts], ['git-damaged', { command: 'log', text: said }]);
  });
}

const noDamage = [
  '',
  'fatal: Unable to create index.lock: File exists.',
  'fatal: ambiguous argument',
  'error: missing value for --format',
  'fatal: object was good',
  'fatal: this repository is not empty',
];

for (const said of noDamage) {
  failing(`«${said}» is a failure and no damage`, () => {
    const problem = localFailure('log', said);
    assert.equal([problem.code, problem.facts], ['git-failed', { command: 'log', text: said }]);
  });
}

failing('a full disk counts before the damage that comes of it', () => {
  const said = 'fatal: write error: No space left on device\nfatal: loose object 45b9 is corrupt';
  const problem = localFailure('fast-import', said);
  assert.equal([problem.code, problem.facts, problem.toFacts().cause], ['disk-full', {}, said]);
});

failing('a local command’s words are cut at 500 characters and trimmed', () => {
  assert.is(localFailure('log', ` ${'x'.repeat(600)}\n`).facts['text'], 'x'.repeat(500));
});

failing('output in another form than expected is a failure of that command', () => {
  const { code, facts: said } = oddAnswer('ls-tree');
  assert.equal([code, said['command']], ['git-failed', 'ls-tree']);
});

// What is shown of git's words.

const cleaned: readonly (readonly [name: string, text: string, clean: string])[] = [
  ['ordinary words stay', 'one\ntwo', 'one\ntwo'],
  ['colours go', '\u001b[1;31mred\u001b[0m \u001b[Kend', 'red end'],
  ['carriage returns end lines', 'one\rtwo\r\nthree', 'one\ntwo\nthree'],
  ['tabs become two spaces', 'a\tb', 'a  b'],
  ['spaces at the end of a line go', 'a  \nb\t\n', 'a\nb\n'],
  ['spaces at its beginning stay', '  a', '  a'],
  ['control characters are made visible', 'a\u0007b\u0001c', 'a\\x07b\\x01c'],
  ['zero bytes are dropped', 'a\u0000b\u0000', 'ab'],
  ['marks that turn the direction of text are made visible', 'a\u202eb', 'a\\u{202e}b'],
  ['an escape that begins no sequence is made visible', 'a\u001bb', 'a\\x1bb'],
  ['a password in an address is masked', 'https://oauth2:s3cr~et@host', 'https://oauth2:[secret]@host'],
  ['a basic header is masked', 'Authorization: Basic b2E6eA==', 'Authorization: Basic [secret]'],
  ['a bearer header is masked', 'Bearer abc.def-1_2', 'Bearer [secret]'],
  ['a token of GitLab is masked', 'glpat-aB3_x and glpat-y', 'glpat-[secret] and glpat-[secret]'],
  ['a word that only contains one of these stays', 'Basically oauth2 glpat', 'Basically oauth2 glpat'],
  ['20,000 characters stay', 'x'.repeat(20_000), 'x'.repeat(20_000)],
  ['what is longer is cut', 'x'.repeat(20_001), 'x'.repeat(20_000)],
];

for (const [name, text, clean] of cleaned) failing(name, () => assert.is(cleanOutput(text), clean));

failing('a token at the limit is masked before anything is cut', () => {
  const shown = cleanOutput(`${'x'.repeat(19_990)} glpat-abcdefghij`);
  assert.not.match(shown, 'abc');
});

const words: readonly (readonly [name: string, text: string, said: string])[] = [
  ['GitLab’s words are those after remote:', 'To x\nremote: No.\nremote:  Not you.  \nerror: y', 'No.\nNot you.'],
  ['empty lines of theirs go', 'remote: \nremote:\nremote: a', 'a'],
  ['a line that names a remote further on is not theirs', 'the remote: x\nremote x\n remote: y', ''],
  ['nothing said is nothing', '', ''],
  ['their colours and secrets go too', 'remote: \u001b[33mglpat-abc\u001b[0m', 'glpat-[secret]'],
  ['2,000 characters of theirs stay', `remote: ${'x'.repeat(2_000)}`, 'x'.repeat(2_000)],
  ['what is longer than that is cut', `remote: ${'x'.repeat(2_001)}`, 'x'.repeat(2_000)],
];

for (const [name, text, said] of words) failing(name, () => assert.is(remoteLines(text), said));

failing.run();
