import { getCACertificates } from 'node:tls';

/**
 * The authorities that may sign for GitLab, as PEM: those that come with node, those of this machine, and the house's own.
 * Our requests and git's go by the same list: one that reaches GitLab where the other does not helps nobody.
 */
export function trustedAuthorities(own: string): readonly string[] {
  const all = [...getCACertificates('default'), ...getCACertificates('system')];
  return [...new Set(own === '' ? all : [...all, own])];
}
