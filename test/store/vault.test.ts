import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Problem } from '../../src/model/problem.ts';
import { Secret } from '../../src/model/secret.ts';
import { createVault, KEY_CHECK, type Sealed } from '../../src/store/vault.ts';
import { problemOf, realRandom } from './fixtures.ts';

const vaultSuite = suite('vault');

const key = (n: number): Buffer => Buffer.alloc(32, n);
const canary = new Secret('canary-8c1e');

vaultSuite('what was sealed opens for its own record, as a Secret', () => {
  const vault = createVault([key(1)], realRandom);
  const opened = vault.open(vault.seal(canary, 'token a'), 'token a');
  assert.is(opened.open(), 'canary-8c1e');
  assert.is(`${JSON.stringify(opened)}`, '"[secret]"');
});

vaultSuite('whatever goes in or comes out is told of before anybody has it, but for the key check', () => {
  const told: string[] = [];
  const vault = createVault([key(1)], realRandom, (secret) => told.push(secret.open()));
  const sealed = vault.seal(canary, 'token a');
  assert.equal(told.splice(0), ['canary-8c1e']);
  vault.open(sealed, 'token a');
  assert.equal(told.splice(0), ['canary-8c1e']);
  vault.open(vault.seal(new Secret(KEY_CHECK), KEY_CHECK), KEY_CHECK);
  assert.equal(told, []);
});

vaultSuite('a sealed value tells nothing and never repeats', () => {
  const vault = createVault([key(1)], realRandom);
  const [one, two] = [vault.seal(canary, 'a'), vault.seal(canary, 'a')];
  assert.not.match(JSON.stringify(one), 'canary');
  assert.is.not(one.nonce, two.nonce);
  assert.is.not(one.data, two.data);
});

vaultSuite('a value moved to another record, or with any part altered, fails closed', async () => {
  const vault = createVault([key(1)], realRandom);
  const sealed = vault.seal(canary, 'token a');
  const other = vault.seal(new Secret('other'), 'token b');
  const flip = (text: string): string => `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`;
  const altered: [Sealed, string][] = [
    [sealed, 'token b'],
    [{ ...sealed, data: other.data }, 'token a'],
    [{ ...sealed, nonce: flip(sealed.nonce) }, 'token a'],
    [{ ...sealed, data: flip(sealed.data) }, 'token a'],
    [{ ...sealed, tag: flip(sealed.tag) }, 'token a'],
    [{ ...sealed, tag: sealed.tag.slice(0, 8) }, 'token a'],
    [{ ...sealed, tag: '' }, 'token a'],
    [{ ...sealed, nonce: '' }, 'token a'],
  ];
  for (const [value, record] of altered) await problemOf('store-damaged', () => vault.open(value, record));
});

vaultSuite('another key is named as the cause', async () => {
  const sealed = createVault([key(1)], realRandom).seal(canary, 'a');
  const problem = await problemOf('key-wrong', () => createVault([key(2)], realRandom).open(sealed, 'a'));
  assert.ok(problem instanceof Problem);
  assert.is(problem.facts['expected'], sealed.keyId);
});

vaultSuite('while keys change, both open and only the new one seals', () => {
  const sealed = createVault([key(1)], realRandom).seal(canary, 'a');
  const vault = createVault([key(2), key(1)], realRandom);
  const renewed = vault.renew(sealed, 'a');
  assert.is(vault.open(sealed, 'a').open(), 'canary-8c1e');
  assert.is(
    createVault([key(2)], realRandom)
      .open(renewed, 'a')
      .open(),
    'canary-8c1e',
  );
  assert.is(vault.renew(renewed, 'a'), renewed);
});

vaultSuite('a derived key is the same for the same purpose and tells nothing of the others', () => {
  const vault = createVault([key(1)], realRandom);
  assert.equal(vault.derive('x'), vault.derive('x'));
  assert.not.equal(vault.derive('x'), vault.derive('y'));
  assert.not.equal(vault.derive('x'), key(1));
});

vaultSuite.run();
