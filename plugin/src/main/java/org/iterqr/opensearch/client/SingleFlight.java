package org.iterqr.opensearch.client;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;

/**
 * Lets equal calls that are made at the same time share one. Thread-safe.
 *
 * @param <K> what makes calls equal
 * @param <W> who waits for a call's end
 */
final class SingleFlight<K, W> {
  /** A call under way, and who waits for it besides its maker. */
  final class Flight {
    private final K key;
    private final long deadlineNanos;
    private final List<W> waiting = new ArrayList<>();

    private Flight(K key, long deadlineNanos) {
      this.key = key;
      this.deadlineNanos = deadlineNanos;
    }

    /**
     * The call has ended: nobody joins any more. Called once.
     *
     * @return who waited, in the order they came
     */
    List<W> land() {
      // Under the map's lock for this key, as is joining.
      flights.computeIfPresent(key, (same, current) -> current == this ? null : current);
      return waiting;
    }
  }

  private final ConcurrentMap<K, Flight> flights = new ConcurrentHashMap<>();

  /**
   * Joins a call under way, if it ends in time: not later than the waiter must have an answer, and
   * not long ago, as one whose end was lost would.
   *
   * @param key of the call
   * @param nowNanos of {@link System#nanoTime}
   * @param deadlineNanos when the waiter must have an answer, of the same clock
   * @param waiter is kept with the call it joins
   * @return null if it joined; otherwise the flight of a call that the waiter must make itself
   */
  Flight joinOrMake(K key, long nowNanos, long deadlineNanos, W waiter) {
    Flight own = new Flight(key, deadlineNanos);
    Flight flight =
        flights.compute(
            key,
            (same, current) -> {
              if (current == null
                  || current.deadlineNanos - deadlineNanos > 0
                  || current.deadlineNanos - nowNanos <= 0) {
                return own;
              }
              current.waiting.add(waiter);
              return current;
            });
    return flight == own ? own : null;
  }
}
