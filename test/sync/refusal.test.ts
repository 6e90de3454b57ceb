import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RefusalKind, isAboutCommits, readRefusal } from '../../src/model/refusal.ts';
import { pathFromText } from '../../src/model/tree.ts';

/** GitLab's own sentences about a refused push, of several versions, and what is read from them. */
const refusal = suite('sync/refusal');

const oid = '9f5f0b9feb7626a0f53112f1b3fe7c603101616d';

const sentences: readonly (readonly [text: string, kind: RefusalKind, paths?: readonly string[], blobs?: string[]])[] =
  [
    ['GitLab: File name id_rsa was prohibited by the pattern "(^|/)id_rsa$".', 'content', ['id_rsa']],
    ['GitLab: File name "keys/id_rsa" is prohibited by the pattern \'id_rsa\'', 'content', ['keys/id_rsa']],
    ['GitLab: File name a b/schlüssel.pem was prohibited by the pattern "pem".', 'content', ['a b/schlüssel.pem']],
    ['GitLab: File "film.mp4" is larger than the allowed size of 5 MB. Use Git LFS.', 'content', ['film.mp4']],
    ['GitLab: File "a \\"b\\".bin" is larger than the allowed size of 1 MB', 'content', ['a "b".bin']],
    [
      `GitLab: You are attempting to check in one or more blobs which exceed the 100.0MiB limit:\n- ${oid} (223 MiB)\nTo resolve this error, you must either reduce the size of the above blobs, or utilize LFS.`,
      'content',
      [],
      [oid],
    ],
    [
      'GitLab:\nPUSH BLOCKED: Secrets detected in code changes\nSecret push protection found the following secrets in commit: 37e54de5\n-- config/app.yml:12 | GitLab personal access token\n-- test.txt:2 GitLab Personal Access Token\nTo push your changes you must remove the identified secrets.',
      'content',
      ['config/app.yml', 'test.txt'],
    ],
    [
      `PUSH BLOCKED: Secrets detected in code changes\nSecret leaked in blob: ${oid}\n-- line:3 | AWS access token`,
      'content',
      [],
      [oid],
    ],
    ["GitLab: The path 'docs/plan.odt' is locked by Ben", 'content', ['docs/plan.odt']],
    ['Something in front of GitLab answered 413: the push is larger than it lets through.', 'content'],
    ['GitLab: LFS objects are missing. Ensure LFS is properly set up.', 'content'],
    ["GitLab: Author's email 'cms@localhost' does not follow the pattern '@harbour.example$'", 'author'],
    ['GitLab: You cannot push commits for cms@localhost. You can only push commits if it is verified.', 'author'],
    ["GitLab: Commit message does not follow the pattern '^PROJ-'", 'message'],
    ['GitLab: You are not allowed to push code to protected branches on this project.', 'protected'],
    ['GitLab: You are not allowed to push code to this project.', 'role'],
    ['You are not allowed to upload code.', 'role'],
    ['GitLab answered 403.', 'role'],
    ['no binaries here', 'rule'],
    ['', 'rule'],
  ];

for (const [text, kind, paths = [], blobs = []] of sentences) {
  refusal(`${kind}: ${text.split('\n')[0]}`, () => {
    assert.equal(readRefusal(text), { kind, paths: paths.map(pathFromText), blobs });
  });
}

refusal('other commits help against a rule about commits, and against nothing else', () => {
  const kinds: RefusalKind[] = ['content', 'author', 'message', 'rule', 'protected', 'role'];
  assert.equal(kinds.filter(isAboutCommits), ['content', 'author', 'message', 'rule']);
});

refusal.run();
