import type { BranchName } from './instance.ts';
import type { Oid } from './tree.ts';

/** What a call from GitLab says of a branch. Only the branch itself is believed: this may be late, repeated or untrue. */
export interface BranchNews {
  readonly branch: BranchName;
  readonly tip: Oid;
}

/** One call from GitLab whose body is still on its way. It may have 25 MiB, and at most one of them is held. */
export interface DeliveryVerifier {
  /** It shows the right token: a long body may be read to its end. */
  readonly trusted: boolean;
  /** The next piece of the body. */
  take(chunk: Buffer): void;
  /** After the last piece: whether the call is genuine. If so it is passed on. */
  end(): 'accepted' | 'refused';
}
