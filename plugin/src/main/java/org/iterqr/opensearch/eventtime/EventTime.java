package org.iterqr.opensearch.eventtime;

import java.time.DateTimeException;
import java.time.Instant;
import java.time.temporal.ChronoUnit;

/**
 * The time at which a search says that it happened. It is written down and decides nothing: budgets
 * and breakers count on a clock of their own.
 */
public final class EventTime {
  /** What is wrong with a value that is not one. */
  public static final String EXPECTED =
      "must be an instant of ISO-8601, or milliseconds since 1970, from the year 1970 to 9999";

  private static final Instant FIRST = Instant.EPOCH;
  private static final Instant LAST = Instant.parse("9999-12-31T23:59:59.999Z");

  private EventTime() {}

  /**
   * @param text ISO-8601 with an offset, as in {@code 2026-01-02T03:04:05.678Z}; what is finer than
   *     a millisecond is cut off
   * @return the time
   * @throws IllegalArgumentException if it is none, or out of bounds
   */
  public static Instant parse(String text) {
    try {
      return bounded(Instant.parse(text).truncatedTo(ChronoUnit.MILLIS));
    } catch (DateTimeException e) {
      throw new IllegalArgumentException(EXPECTED, e);
    }
  }

  /**
   * @param millis since 1970
   * @return the time
   * @throws IllegalArgumentException if it is out of bounds
   */
  public static Instant ofMillis(long millis) {
    return bounded(Instant.ofEpochMilli(millis));
  }

  private static Instant bounded(Instant time) {
    if (time.isBefore(FIRST) || time.isAfter(LAST)) {
      throw new IllegalArgumentException(EXPECTED);
    }
    return time;
  }
}
