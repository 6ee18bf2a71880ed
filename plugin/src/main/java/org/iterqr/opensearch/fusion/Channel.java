package org.iterqr.opensearch.fusion;

import org.iterqr.opensearch.client.Rewrite;

/** What retrieved a hit: the user's own query, a named clause of it, or one rewrite of it. */
public sealed interface Channel {
  /** The user's own query. */
  record Original() implements Channel {}

  /**
   * A named vector clause of the user's own query, by itself. It adds no document and no score.
   *
   * @param name as the user named it
   */
  record Clause(String name) implements Channel {}

  /**
   * One rewrite.
   *
   * @param rewrite which
   */
  record Rewritten(Rewrite rewrite) implements Channel {}
}
