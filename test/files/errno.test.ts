import { readdirSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PathErrors, errnoOf, isAbsent, pathErrno, unlessErrno } from '../../src/files/errno.ts';
import { inState, readIfThere } from '../../src/files/state.ts';
import { errnoWords } from '../../src/model/errno.ts';
import { Problem } from '../../src/model/problem.ts';

/** How far an error of the file system reaches. */
const errno = suite('errno');

const withCode = (code: string): Error => Object.assign(new Error(code), { code });

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

errno('a real error is known by its errno, also where Node has no name for it', () => {
  const error = thrownBy(() => readdirSync('/nowhere'));
  assert.is(errnoOf(error), 'ENOENT');
  assert.ok(isAbsent(error));
  assert.is(errnoOf(withCode('Unknown system error -117')), 'EUCLEAN');
  assert.is(errnoOf(withCode('E117')), 'EUCLEAN');
  assert.is(errnoOf(withCode('Unknown system error -4000')), 'E4000');
});

for (const [name, error] of [
  ['a problem', new Problem('folder-missing', {})],
  ['a plain error', new Error('a fault of ours')],
  ['an error of Node', withCode('ERR_INVALID_ARG_TYPE')],
  ['an abort', withCode('ABORT_ERR')],
  ['a descriptor that is not open', withCode('EBADF')],
  ['a text', 'EIO'],
] as const) {
  errno(`${name} is no matter of a path and rises as it is`, () => {
    assert.is(
      thrownBy(() => pathErrno(error)),
      error,
    );
  });
}

errno('what concerns the disk or the process is its problem, at whatever path', () => {
  for (const [code, problem] of [
    ['ENOSPC', 'disk-full'],
    ['EDQUOT', 'disk-full'],
    ['EMFILE', 'out-of-resources'],
    ['ENFILE', 'out-of-resources'],
    ['ENOMEM', 'out-of-resources'],
  ] as const) {
    const thrown = thrownBy(() => pathErrno(withCode(code)));
    assert.ok(thrown instanceof Problem);
    assert.is(thrown.code, problem);
    const fails = (): never => {
      throw withCode(code);
    };
    assert.ok(thrownBy(() => unlessErrno(fails)) instanceof Problem);
  }
});

errno('the same errno is counted by paths; not one that is about rights, a name or a single file', () => {
  const errors = new PathErrors((code) => new Problem('folder-unreadable', { errno: code }));
  const meet = (code: string): unknown => errors.reason('unreadable', withCode(code));
  for (let i = 0; i < 19; i += 1) {
    assert.equal(meet('EIO'), { kind: 'unreadable', errno: 'EIO' });
    assert.equal(meet('EBUSY'), { kind: 'unreadable', errno: 'EBUSY' });
  }
  for (let i = 0; i < 50; i += 1) for (const code of ['EACCES', 'EPERM', 'ENAMETOOLONG']) meet(code);
  const thrown = thrownBy(() => meet('EIO'));
  assert.ok(thrown instanceof Problem);
  assert.equal(thrown.facts, { errno: 'EIO' });
});

errno('in the state directory every error has its name', () => {
  for (const [code, problem] of [
    ['EIO', 'state-failed'],
    ['EACCES', 'state-failed'],
    ['ENOSPC', 'disk-full'],
    ['EMFILE', 'out-of-resources'],
  ] as const) {
    const thrown = thrownBy(() =>
      inState('/state/journal', () => {
        throw withCode(code);
      }),
    );
    assert.ok(thrown instanceof Problem);
    assert.is(thrown.code, problem);
  }
  assert.is(readIfThere('/nowhere/at-all'), '');
  assert.is(errnoOf(thrownBy(() => readIfThere('/tmp'))), 'EISDIR');
});

errno('is told in words with its code; one without words by its code alone', () => {
  assert.is(errnoWords('EIO'), 'input/output error (EIO)');
  assert.is(errnoWords('E4000'), 'E4000');
  assert.is(errnoWords('toString'), 'toString');
});

errno.run();
