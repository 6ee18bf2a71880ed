package org.iterqr.opensearch.outcome;

import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.iterqr.opensearch.stats.Stat;
import org.iterqr.opensearch.stats.StatsSection;

/** Counts searches by outcome since the node started. Thread-safe. */
public final class OutcomeCounters implements StatsSection {
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

  @Override
  public String name() {
    return "outcomes";
  }

  @Override
  public Stat.Group read() {
    Map<String, Stat> members = new LinkedHashMap<>();
    counters.forEach(
        (outcome, count) -> members.put(outcome.wireName(), new Stat.Count(count.sum())));
    return new Stat.Group(members);
  }
}
