package org.iterqr.opensearch.options;

import java.util.Optional;
import org.iterqr.opensearch.client.RewriteLimits;

/** A whole number that pipelines set, requests may override, or page tokens pin. */
public enum WholeOption {
  /** Longest time from the request to the fused response, in milliseconds. */
  BUDGET_MS("budget_ms", 300, 10, 60_000),
  /** Hits of each channel that are fused. */
  WINDOW_SIZE("window_size", 50, 1, 1_000),
  /** Most rewrites asked for. */
  MAX_REWRITES("max_rewrites", 3, 1, RewriteLimits.REWRITES),
  /** Added to every rank in reciprocal rank fusion. */
  RANK_CONSTANT("rank_constant", 5, 1, 10_000),
  /** Strategy append adds to fewer hits than this. */
  APPEND_BELOW("append_below", 10, 1, 1_000);

  private final String key;
  private final int byDefault;
  private final int min;
  private final int max;

  WholeOption(String key, int byDefault, int min, int max) {
    this.key = key;
    this.byDefault = byDefault;
    this.min = min;
    this.max = max;
  }

  /**
   * @return its name in pipelines and requests
   */
  public String key() {
    return key;
  }

  /**
   * @return its value where nothing is set
   */
  public int byDefault() {
    return byDefault;
  }

  /**
   * @param value to be checked
   * @return what is wrong with it, or empty if it is within the limits
   */
  public Optional<String> violation(long value) {
    return value >= min && value <= max
        ? Optional.empty()
        : Optional.of("must be between " + min + " and " + max + ", but was " + value);
  }
}
