package org.iterqr.opensearch.outcome;

import java.util.Locale;

/**
 * How the rewrite channel of one search ended. Every search has exactly one. On all but {@link
 * #FUSED} and {@link #EXPANDED} the hits are those of the plain search, in its order.
 */
public enum Outcome {
  /** The response's hits are the fused windows of the original and the rewrites. */
  FUSED,
  /** Expand: the rewrites are part of the search's own query. */
  EXPANDED,
  /** Shadow: fused or to be expanded, for observers alone; the response is the plain one. */
  SHADOW,
  /** Switched off, by the pipeline or the request. */
  DISABLED,
  /** The policy does not rewrite queries of this length. */
  SKIPPED_POLICY,
  /** The policy weighs no rewrite, or the original has enough hits to append nothing. */
  ORIGINAL_SUFFICES,
  /** The server proposed no rewrite that differs from the query. */
  NO_REWRITES,
  /** The budget ran out before the page was fused. */
  TIMEOUT,
  /** No connection to a rewrite server, or none that serves. */
  UNAVAILABLE,
  /** The server's answer is not a reply of the contract. */
  BAD_REPLY,
  /**
   * The query is over the contract's limits, or the server refused it (its queue is full) or asked
   * not to be called for a while.
   */
  REJECTED,
  /** No server was asked: the circuit breaker of one is open, and there is no other. */
  BREAKER_OPEN,
  /** No server was asked: too many calls of this node are in flight. */
  OVERLOADED,
  /** The windows or the missing hits could not be searched. */
  WINDOWS_FAILED,
  /** Sorted otherwise than by score. */
  SKIPPED_SORT,
  /** Collapsed. */
  SKIPPED_COLLAPSE,
  /** Pages by search_after. */
  SKIPPED_SEARCH_AFTER,
  /** Has a min_score, which rewrites' scores cannot be held to. */
  SKIPPED_MIN_SCORE,
  /** Scrolls. */
  SKIPPED_SCROLL,
  /** Searches a point in time; in mode expand it is served. */
  SKIPPED_PIT,
  /** Names indices of other clusters. */
  SKIPPED_CCS,
  /** Asks for no hits. */
  SKIPPED_SIZE_ZERO,
  /** Asks for suggestions only. */
  SKIPPED_SUGGEST_ONLY,
  /** from + size is past the window. */
  SKIPPED_PAST_WINDOW,
  /** The query has no user's text that could be replaced. */
  SKIPPED_NO_TEXT,
  /** Expand: a script, or its like, could fail the search on what only rewrites match. */
  SKIPPED_SCRIPT,
  /** Expand: no rewrite surely fits under the engine's limit of clauses. */
  SKIPPED_CLAUSES,
  /** A later page without a valid page token. */
  PAGE_UNPINNED,
  /** The control arm of an experiment: searched as if there were no rewriting. */
  CONTROL,
  /** A fault of the plugin itself or of the pipeline's set-up. */
  ERROR;

  private final String wireName = name().toLowerCase(Locale.ROOT);

  /**
   * @return the name in responses and counters, lower snake case
   */
  public String wireName() {
    return wireName;
  }
}
