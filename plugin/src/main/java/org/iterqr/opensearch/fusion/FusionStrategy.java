package org.iterqr.opensearch.fusion;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** How the windows of the original and the rewrites become one list. */
public enum FusionStrategy {
  /** Weighted reciprocal rank fusion of all windows. */
  RRF,
  /** The original's documents in its order; the rewrites' after them, if it has too few. */
  APPEND,
  /** Team-draft interleaving of the original's list with the rewrites', for experiments. */
  INTERLEAVE;

  private final String wireName = name().toLowerCase(Locale.ROOT);

  /**
   * @return the name in settings, requests and responses
   */
  public String wireName() {
    return wireName;
  }

  /**
   * @param name as written by {@link #wireName}
   * @return the strategy, or empty if there is none of that name
   */
  public static Optional<FusionStrategy> of(String name) {
    return Arrays.stream(values()).filter(value -> value.wireName.equals(name)).findFirst();
  }

  /**
   * @return every name
   */
  public static List<String> names() {
    return Arrays.stream(values()).map(FusionStrategy::wireName).toList();
  }
}
