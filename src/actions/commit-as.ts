import type { AuditEntry } from '../model/event.ts';
import { Problem } from '../model/problem.ts';
import type { Site, SiteId } from '../model/site.ts';
import { type Oid, type SitePath, displayPath, pathFromText } from '../model/tree.ts';

export interface CommitAsDeps {
  readonly store: {
    readonly sites: { get(id: string): Site | undefined };
    readonly instance: {
      commitDomains(): readonly string[];
      setCommitDomains(domains: readonly string[]): Promise<void>;
    };
  };
  readonly runtimes: {
    worker(id: SiteId): {
      commitAs(edits: SignedRequest, waiting: AbortSignal): Promise<readonly SignedResult[]>;
    };
  };
  readonly report: (entry: Omit<AuditEntry, 'id' | 'at'>) => void;
}

interface SignedRequest {
  readonly paths: ReadonlySet<SitePath>;
  readonly author: CommitAuthor;
  readonly message: string;
}

interface SignedResult {
  readonly commit: Oid;
  readonly paths: readonly SitePath[];
}

interface CommitAuthor {
  readonly name: string;
  readonly email: string;
}

/** What a program asks to be committed in the name of a person. */
export interface CommitAsForm {
  readonly paths: readonly string[];
  readonly author: CommitAuthor;
  readonly message: string;
}

export interface CommitAsActions {
  /** The e-mail domains of people in whose names programs may commit; none: nobody's. */
  domains(): readonly string[];
  /** Throws `form-invalid` (fact `domains`). */
  setDomains(domains: readonly string[], by: string): Promise<void>;
  /**
   * Syncs, and commits what changed at these paths in the author's name, with Mooring as the committer; other edits stay
   * in Mooring's own commit. Waits as a sync does, until `waiting` aborts. `left`: paths that had not changed, were
   * committed before, or whose author GitLab rejected. Throws `not-connected`, and `form-invalid` with sentences by member.
   */
  commit(
    id: SiteId,
    form: CommitAsForm,
    by: string,
    waiting: AbortSignal,
  ): Promise<{ readonly commits: readonly SignedResult[]; readonly left: readonly string[] }>;
}

/** Commits of the site in the names of people who edit it through a program, such as a CMS. */
export function createCommitAs({ store, runtimes, report }: CommitAsDeps): CommitAsActions {
  return {
    domains: () => store.instance.commitDomains(),

    async setDomains(typed, by) {
      const domains = [...new Set(typed.map((domain) => domain.trim().toLowerCase()).filter(Boolean))];
      const bad = domains.find((domain) => !isDomain(domain));
      if (bad !== undefined)
        throw new Problem('form-invalid', { domains: `Enter domains such as example.org. This is none: ${bad}` });
      if (domains.length > mostDomains)
        throw new Problem('form-invalid', { domains: `At most ${mostDomains} domains.` });
      await store.instance.setCommitDomains(domains);
      report({ by, act: 'changed-commit-domains', detail: domains.join(', ') || 'none' });
    },

    async commit(id, form, by, waiting) {
      const site = store.sites.get(id);
      if (!site) throw new Problem('not-found', { what: 'site' });
      if (!site.binding) throw new Problem('not-connected', { site: site.name });
      const author = { name: form.author.name.trim(), email: form.author.email.trim() };
      const faults = faultsOf({ ...form, author }, store.instance.commitDomains());
      if (Object.keys(faults).length > 0) throw new Problem('form-invalid', faults);
      const paths = new Set(form.paths.map(pathFromText));
      report({ by, site: id, act: 'committed-as', detail: `${author.name} <${author.email}>` });
      const message = form.message.replace(/\r\n?/g, '\n').trim();
      const commits = await runtimes.worker(id).commitAs({ paths, author, message }, waiting);
      const done = new Set(commits.flatMap((one) => one.paths));
      return { commits, left: [...paths].filter((path) => !done.has(path)).map(displayPath) };
    },
  };
}

const mostDomains = 100;

function isDomain(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+$/.test(text);
}

function faultsOf({ paths, author, message }: CommitAsForm, domains: readonly string[]): Record<string, string> {
  const faults: Record<string, string> = {};
  // Git drops these from names by itself, and a name that is nothing else would stop every commit.
  if (!/[^\s.,:;<>"'\\]/.test(author.name) || /[\p{Cc}<>]/u.test(author.name) || author.name.length > 200)
    faults['author.name'] = 'Enter a name of 1 to 200 characters, without < and >.';
  const domain = /^[^\s<>@\p{Cc}]+@([^\s<>@\p{Cc}]+)$/u.exec(author.email)?.[1]?.toLowerCase();
  if (domain === undefined || author.email.length > 200)
    faults['author.email'] = 'Enter an e-mail address, such as jane@example.org.';
  else if (!domains.includes(domain))
    faults['author.email'] =
      `Programs cannot commit as people at ${domain}. Ask an admin to allow the domain under Account Settings / API tokens.`;
  if (message.trim() === '' || message.length > 10_000 || /[^\P{Cc}\n\r\t]/u.test(message))
    faults['message'] = 'Enter 1 to 10,000 characters, without control characters.';
  if (paths.some((path) => path === '' || path.startsWith('/') || path.endsWith('/')))
    faults['paths'] = 'Name files by their paths below the site’s folder, such as news/index.html.';
  return faults;
}
