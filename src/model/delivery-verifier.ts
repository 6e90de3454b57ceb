/** One call from GitLab whose body is still on its way. The body is never held: it may have 25 MiB. */
export interface DeliveryVerifier {
  /** It shows the right token: a long body may be read to its end. */
  readonly trusted: boolean;
  /** The next piece of the body. */
  take(chunk: Buffer): void;
  /** After the last piece: whether the call is genuine. If so it is passed on. */
  end(): 'accepted' | 'refused';
}
