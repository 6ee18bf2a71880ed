package org.iterqr.opensearch.fusion;

import org.iterqr.opensearch.client.Rewrite;

/** What retrieved a hit: the user's own query, or one rewrite of it. */
public sealed interface Channel {
  /** The user's own query. */
  record Original() implements Channel {}

  /**
   * One rewrite.
   *
   * @param rewrite which
   */
  record Rewritten(Rewrite rewrite) implements Channel {}
}
