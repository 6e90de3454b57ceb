import type { DeclaredFault } from '../model/declared.ts';

/** One fault in one line, as compilers write them, so that editors and terminals lead to the place. */
export function faultLine(file: string, { line, column, path, text, example }: DeclaredFault): string {
  const member = path === '' ? '' : `${path}: `;
  return `${file}:${line}:${column}: ${member}${text}${example === undefined ? '' : ` Example: ${example}`}`;
}
