package org.iterqr.opensearch.impression;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/**
 * Entries that are not yet written, bounded by number and size. What was taken counts until it is
 * settled, so that entries which must be sent again always find their place. Thread-safe; every
 * operation is short.
 */
final class LogQueue {
  /**
   * How much a queue may hold.
   *
   * @param entries at most
   * @param bytes of all entries at most
   */
  record Limits(int entries, long bytes) {}

  private final ArrayDeque<LogEntry> waiting = new ArrayDeque<>();
  private Limits limits;
  private int heldEntries;
  private long heldBytes;

  LogQueue(Limits limits) {
    this.limits = limits;
  }

  /**
   * @param changed limits for entries that come from now on
   */
  synchronized void limits(Limits changed) {
    limits = changed;
  }

  /**
   * @param entry to be written
   * @return whether there was room for it
   */
  synchronized boolean offer(LogEntry entry) {
    if (heldEntries >= limits.entries() || heldBytes + entry.bytes() > limits.bytes()) {
      return false;
    }
    waiting.addLast(entry);
    heldEntries++;
    heldBytes += entry.bytes();
    return true;
  }

  /**
   * Takes the entries that have waited longest: at least one if there is any.
   *
   * @param maxEntries at most
   * @param maxBytes of all together, unless the first alone is larger
   * @return the entries, in their order
   */
  synchronized List<LogEntry> take(int maxEntries, long maxBytes) {
    List<LogEntry> batch = new ArrayList<>(Math.min(maxEntries, waiting.size()));
    long bytes = 0;
    while (batch.size() < maxEntries && !waiting.isEmpty()) {
      bytes += waiting.peekFirst().bytes();
      if (bytes > maxBytes && !batch.isEmpty()) {
        break;
      }
      batch.add(waiting.pollFirst());
    }
    return batch;
  }

  /**
   * Settles a batch. What must be sent once more goes behind all that waits: a shard that is down
   * must not hold up what the others would take, and each entry has its own id and time, so their
   * order means nothing.
   *
   * @param taken as {@link #take} gave it
   * @param again those of it that must be sent once more, in their order
   */
  synchronized void settle(List<LogEntry> taken, List<LogEntry> again) {
    for (LogEntry entry : taken) {
      heldEntries--;
      heldBytes -= entry.bytes();
    }
    for (LogEntry entry : again) {
      waiting.addLast(entry);
      heldEntries++;
      heldBytes += entry.bytes();
    }
  }

  /**
   * @return entries that wait to be taken
   */
  synchronized int waiting() {
    return waiting.size();
  }

  /**
   * @return entries that are not settled
   */
  synchronized int heldEntries() {
    return heldEntries;
  }

  /**
   * @return their size
   */
  synchronized long heldBytes() {
    return heldBytes;
  }
}
