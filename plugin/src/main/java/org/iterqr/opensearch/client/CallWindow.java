package org.iterqr.opensearch.client;

import java.util.Arrays;

/** Counts calls and failures of the last while, in a few slices of time. Not thread-safe. */
final class CallWindow {
  private static final int SLICES = 10;

  private final int[] calls = new int[SLICES];
  private final int[] failures = new int[SLICES];
  private long sliceNanos;
  private long originNanos;
  private long newest;

  /**
   * Counts a call and forgets those that are too old.
   *
   * @param nowNanos not before that of the last call
   * @param windowNanos how far back calls count; all are forgotten when it changes
   * @param isFailure whether it failed
   */
  void add(long nowNanos, long windowNanos, boolean isFailure) {
    long width = Math.max(1, windowNanos / SLICES);
    if (width != sliceNanos) {
      clear();
      sliceNanos = width;
      originNanos = nowNanos;
      newest = 0;
    }
    // Differences, as the clock's own values may overflow.
    long slice = (nowNanos - originNanos) / width;
    for (long passed = Math.max(newest + 1, slice - SLICES + 1); passed <= slice; passed++) {
      calls[place(passed)] = 0;
      failures[place(passed)] = 0;
    }
    newest = slice;
    calls[place(slice)]++;
    if (isFailure) {
      failures[place(slice)]++;
    }
  }

  int calls() {
    return Arrays.stream(calls).sum();
  }

  int failures() {
    return Arrays.stream(failures).sum();
  }

  void clear() {
    Arrays.fill(calls, 0);
    Arrays.fill(failures, 0);
  }

  private static int place(long slice) {
    return (int) (slice % SLICES);
  }
}
