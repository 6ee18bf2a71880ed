package org.iterqr.opensearch.slowlog;

import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/** Admits so many lines in each minute. Thread-safe. */
final class LineLimit {
  /** The line is one too many. */
  static final long REFUSED = -1;

  private static final long WINDOW_NANOS = TimeUnit.MINUTES.toNanos(1);

  private final LongSupplier nanoTime;
  private long windowStart;
  private int admitted;
  private long refused;

  LineLimit(LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
    this.windowStart = nanoTime.getAsLong();
  }

  /**
   * @param linesPerMinute most lines
   * @return how many lines were refused since the last that was not, or {@link #REFUSED}
   */
  synchronized long admit(int linesPerMinute) {
    long now = nanoTime.getAsLong();
    if (now - windowStart >= WINDOW_NANOS) {
      windowStart = now;
      admitted = 0;
    }
    if (admitted >= linesPerMinute) {
      refused++;
      return REFUSED;
    }
    admitted++;
    long before = refused;
    refused = 0;
    return before;
  }
}
