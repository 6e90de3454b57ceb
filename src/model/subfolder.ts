import { Problem } from './problem.ts';
import { unsafePath } from './path-safety.ts';
import { type SitePath, pathFromText } from './tree.ts';

/** The folder of a repository that is the site: empty for the whole of it. */
export type Subfolder = SitePath | '';

/**
 * A subfolder as typed, without slashes at its ends. It becomes part of every path that is pushed, so what git could
 * read as anything but plain folder names is refused. Throws `subfolder-invalid`.
 */
export function subfolder(text: string): Subfolder {
  const name = text.trim().replace(/^\/+|\/+$/g, '');
  if (name === '') return '';
  const path = pathFromText(name);
  if (name.length > 500 || /[\p{Cc}\\]/u.test(name) || unsafePath(path) !== undefined) {
    throw new Problem('subfolder-invalid', { subfolder: text.slice(0, 200) });
  }
  return path;
}

/** Whether one of them lies in the other: two sites would then fight over the same files. */
export function overlap(a: Subfolder, b: Subfolder): boolean {
  const within = (inner: Subfolder, outer: Subfolder): boolean => outer === '' || `${inner}/`.startsWith(`${outer}/`);
  return within(a, b) || within(b, a);
}
