package org.iterqr.opensearch.search;

import java.util.concurrent.TimeUnit;

/**
 * The time one search's channel may take, from the request processor to the fused response.
 *
 * @param startNanos {@link System#nanoTime} at the request processor's start
 * @param budgetMs how long it may take
 */
public record Budget(long startNanos, int budgetMs) {
  private static final int MIN_MARGIN_MS = 5;
  private static final int MAX_MARGIN_MS = 100;

  /**
   * @param budgetMs how long it may take
   * @return a budget that starts now
   */
  public static Budget start(int budgetMs) {
    return new Budget(System.nanoTime(), budgetMs);
  }

  /**
   * @return time since the start
   */
  public long elapsedNanos() {
    return System.nanoTime() - startNanos;
  }

  /**
   * @return whole milliseconds left; zero or less when it is spent
   */
  public long remainingMs() {
    return budgetMs - TimeUnit.NANOSECONDS.toMillis(elapsedNanos());
  }

  /**
   * @return how long the rewrite server may take: what is left, less a tenth of the budget, but 5
   *     ms at least and 100 ms at most, for searching and fetching what it proposes
   */
  public long rewriteDeadlineMs() {
    int margin = Math.clamp(budgetMs / 10, MIN_MARGIN_MS, MAX_MARGIN_MS);
    return Math.max(1, remainingMs() - margin);
  }
}
