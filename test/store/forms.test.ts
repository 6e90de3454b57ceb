import { createHash } from 'node:crypto';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { storeForms, storeVersion } from '../../src/store/store.ts';

/**
 * A form of a store file that changes without a step in the store's migrations would be taken for damage by the release
 * before it, which would then restore an older generation in its place.
 */
const test = suite('forms of store files');

/** The forms of each version of the store, as digests. Only that of a version that no release has written may change. */
const recorded: Readonly<Record<number, string>> = {
  2: '4c5031bb6155ef4c',
};

test('a form that changes comes with a new version of the store', () => {
  const forms = Object.entries(storeForms).map(([kind, schema]) => [
    kind,
    z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' }),
  ]);
  const digest = createHash('sha256').update(JSON.stringify(forms)).digest('hex').slice(0, 16);
  assert.is(
    digest,
    recorded[storeVersion],
    `the forms are ${digest}. If a release has written version ${storeVersion}, add a step to storeMigrations and a line here`,
  );
});

test.run();
