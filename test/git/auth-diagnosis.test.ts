import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { RemoteAddress } from '../../src/git/session.ts';
import { withAuthDiagnosis } from '../../src/git/wire.ts';
import type { WirePost } from '../../src/git/wire-request.ts';
import { Problem } from '../../src/model/problem.ts';
import { problemOf } from '../net/support.ts';

const judging = suite('git/judged');

const where: RemoteAddress = {
  ...{ url: 'https://gitlab.example/g/p.git', project: 'g/p', branch: 'main' },
  network: { baseUrl: 'https://gitlab.example', authorization: 'Basic x', headers: {}, caFile: '', proxy: '' },
} as RemoteAddress;

/** What a command of git’s comes to that ended like this, when our own question is answered with `status`. */
async function endOf(ended: Problem, status: number): Promise<[string, number]> {
  let asked = 0;
  const post: WirePost = () => {
    asked += 1;
    const contentType = 'application/x-git-upload-pack-result';
    return Promise.resolve({ status, contentType, body: Buffer.from('0000') });
  };
  const address = withAuthDiagnosis(post, (use) => use(where));
  const problem = await problemOf(address(() => Promise.reject(ended)));
  return [problem.code, asked];
}

judging('git was asked for a password: lost if GitLab says so to us too, otherwise tried again', async () => {
  assert.equal(await endOf(new Problem('grant-lost'), 401), ['grant-lost', 1]);
  assert.equal(await endOf(new Problem('grant-lost'), 200), ['gitlab-answer-odd', 1]);
  assert.equal(await endOf(new Problem('grant-lost'), 404), ['project-missing', 1]);
});

judging('whatever else git says needs no second question', async () => {
  assert.equal(await endOf(new Problem('gitlab-unreachable'), 200), ['gitlab-unreachable', 0]);
});

judging.run();
