package org.iterqr.opensearch.impression;

import java.util.function.DoubleSupplier;

/**
 * How long to wait before entries are sent again: twice as long after every failure in a row, less
 * a random part, so that nodes do not all come back at once. Not thread-safe.
 */
final class Backoff {
  static final long FIRST_MS = 200;
  static final long LONGEST_MS = 30_000;

  /** The random part is at most this share of the wait. */
  private static final double JITTER = 0.25;

  private final DoubleSupplier random;
  private long nextMs = FIRST_MS;

  /**
   * @param random 0 to below 1
   */
  Backoff(DoubleSupplier random) {
    this.random = random;
  }

  /**
   * @return milliseconds to wait after one more failure
   */
  long afterFailure() {
    long wait = nextMs;
    nextMs = Math.min(LONGEST_MS, nextMs * 2);
    return wait - (long) (wait * JITTER * random.getAsDouble());
  }

  /** Something was written. */
  void reset() {
    nextMs = FIRST_MS;
  }
}
