package org.iterqr.opensearch.outcome;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;

/** Counts searches by outcome since the node started. Thread-safe. */
public final class OutcomeCounters {
  private final Map<Outcome, LongAdder> counters = new EnumMap<>(Outcome.class);

  /** Starts with every outcome at zero. */
  public OutcomeCounters() {
    for (Outcome outcome : Outcome.values()) {
      counters.put(outcome, new LongAdder());
    }
  }

  /**
   * Counts one search.
   *
   * @param outcome how its channel ended
   */
  public void count(Outcome outcome) {
    counters.get(outcome).increment();
  }

  /**
   * @param outcome an outcome
   * @return how many searches ended so
   */
  public long get(Outcome outcome) {
    return counters.get(outcome).sum();
  }
}
