import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import options from '../../config/prettier.json' with { type: 'json' };
import { declarationSchema } from '../../src/declared/shape.ts';

export const declaredSchemaPath = join(import.meta.dirname, '../../config/declared.schema.json');

// Run this file to write `config/declared.schema.json` as the shape of declarations has it.
if (import.meta.main) {
  const text = await format(JSON.stringify(declarationSchema()), { ...(options as object), parser: 'json' });
  writeFileSync(declaredSchemaPath, text);
}
