package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.RejectedExecutionException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.iterqr.opensearch.impression.LogSender.Fate;
import org.iterqr.opensearch.impression.LogSender.Receipt;
import org.iterqr.opensearch.impression.LogWriter.Timer;
import org.junit.jupiter.api.Test;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.rest.RestStatus;

class LogWriterTests {
  private static final long INTERVAL_MS = 1000;
  private static final int BATCH = 3;
  private static final int ROOM = 8;

  private record Timed(Runnable task, long delayMs) {}

  private record Sent(List<String> ids, ActionListener<Receipt> listener) {
    void end(Fate... fates) {
      boolean isDone = List.of(fates).stream().allMatch(fate -> fate == Fate.WRITTEN);
      listener.onResponse(new Receipt(List.of(fates), isDone ? "" : "ClusterBlockException"));
    }

    void endAll(Fate fate) {
      end(Collections.nCopies(ids.size(), fate).toArray(Fate[]::new));
    }
  }

  private final Deque<Timed> timers = new ArrayDeque<>();
  private final List<Sent> sent = new ArrayList<>();
  private final LogQueue queue = new LogQueue(new LogQueue.Limits(ROOM, 1 << 20));
  private final LogWriter writer = writer((task, delayMs) -> timers.add(new Timed(task, delayMs)));

  private LogWriter writer(Timer timer) {
    return new LogWriter(
        queue,
        (batch, listener) ->
            sent.add(new Sent(batch.stream().map(LogEntry::id).toList(), listener)),
        timer,
        new Backoff(() -> 0),
        () -> 0,
        new LogWriter.Pace(BATCH, 1 << 20, INTERVAL_MS));
  }

  private void write(int... numbers) {
    IntStream.of(numbers).forEach(n -> writer.write(new LogEntry("d" + n, new BytesArray("{}"))));
  }

  /** Lets the newest timer ring, after those it has taken the place of. */
  private long ring() {
    List<Timed> due = List.copyOf(timers);
    timers.clear();
    due.forEach(timer -> timer.task().run());
    return due.getLast().delayMs();
  }

  private Sent last() {
    return sent.getLast();
  }

  @Test
  void waitsForOthersAsLongAsTheInterval() {
    write(1, 2);
    assertEquals(List.of(), sent);
    assertEquals(INTERVAL_MS, ring());
    assertEquals(List.of("d1", "d2"), last().ids());
    last().endAll(Fate.WRITTEN);
    assertEquals(2, writer.stats().written());
    assertEquals(0, writer.stats().queued());
    assertTrue(timers.isEmpty(), "nothing is left to do");
  }

  @Test
  void aFullBatchDoesNotWait() {
    write(1, 2, 3);
    assertEquals(0, ring());
    assertEquals(1, sent.size(), "the interval's timer sends nothing of its own");
    assertEquals(List.of("d1", "d2", "d3"), last().ids());
  }

  @Test
  void oneBatchIsOnItsWayAtATime() {
    write(1, 2, 3);
    ring();
    write(4, 5, 6, 7);
    assertTrue(timers.isEmpty());
    last().endAll(Fate.WRITTEN);
    assertEquals(0, ring());
    assertEquals(List.of("d4", "d5", "d6"), last().ids());
    last().endAll(Fate.WRITTEN);
    assertEquals(INTERVAL_MS, ring(), "the rest waits for others");
    assertEquals(List.of("d7"), last().ids());
  }

  @Test
  void anOutageLosesNothingUpToTheBoundAndCountsTheRest() {
    write(1, 2, 3);
    ring();
    List<Long> waits = new ArrayList<>();
    for (int failure = 0; failure < 10; failure++) {
      write(10 + failure);
      last().listener().onFailure(new IllegalStateException("no index"));
      waits.add(ring());
    }
    assertEquals(
        List.of(200L, 400L, 800L, 1600L, 3200L, 6400L, 12800L, 25600L, 30000L, 30000L), waits);
    assertEquals(
        new LogStats(8, queue.heldBytes(), 0, 5, 0, 10, "IllegalStateException"), writer.stats());
    assertEquals(
        queue.heldEntries(),
        sent.stream().flatMap(each -> each.ids().stream()).collect(Collectors.toSet()).size(),
        "all have their turn");
    while (queue.heldEntries() > 0) {
      last().endAll(Fate.WRITTEN);
      if (!timers.isEmpty()) {
        ring();
      }
    }
    assertEquals(8, writer.stats().written());
    assertEquals(0, queue.heldBytes());
    write(99);
    ring();
    last().listener().onFailure(new IllegalStateException());
    assertEquals(200, ring(), "after a success the back-off begins anew");
  }

  @Test
  void aFullQueueDoesNotEndTheBackOff() {
    write(1, 2, 3);
    ring();
    last().listener().onFailure(new IllegalStateException());
    write(4, 5, 6, 7);
    assertEquals(1, timers.size());
    assertEquals(200, timers.getLast().delayMs());
  }

  @Test
  void whatAnIndexDoesNotTakeIsSentAgainOrGivenUp() {
    write(1, 2, 3);
    ring();
    last().end(Fate.WRITTEN, Fate.AGAIN, Fate.REFUSED);
    assertEquals(200, ring());
    assertEquals(List.of("d2"), last().ids());
    last().endAll(Fate.WRITTEN);
    assertEquals(new LogStats(0, 0, 2, 0, 1, 1, "ClusterBlockException"), writer.stats());
  }

  @Test
  void aDocumentThatIsNeverTakenDoesNotSlowTheOthersDown() {
    write(1, 2, 3);
    ring();
    for (int i = 4; i < 10; i++) {
      write(i);
      last()
          .end(
              last().ids().stream()
                  .map(id -> id.equals("d1") ? Fate.AGAIN : Fate.WRITTEN)
                  .toArray(Fate[]::new));
      assertEquals(200, ring());
      assertEquals(List.of("d" + i, "d1"), last().ids());
    }
  }

  @Test
  void aBatchOfDocumentsThatAreNotTakenLetsOthersPass() {
    write(1, 2, 3);
    ring();
    write(4, 5);
    last().endAll(Fate.AGAIN);
    ring();
    assertEquals(List.of("d4", "d5", "d1"), last().ids());
    last().end(Fate.WRITTEN, Fate.WRITTEN, Fate.AGAIN);
    ring();
    assertEquals(List.of("d2", "d3", "d1"), last().ids());
  }

  @Test
  void aBatchIsSettledOnceEvenIfTheTimerRefuses() {
    Timer stopping =
        (task, delayMs) -> {
          if (!sent.isEmpty()) {
            throw new RejectedExecutionException();
          }
          timers.add(new Timed(task, delayMs));
        };
    LogWriter stopped = writer(stopping);
    IntStream.rangeClosed(1, BATCH + 1)
        .forEach(n -> stopped.write(new LogEntry("d" + n, new BytesArray("{}"))));
    ring();
    assertThrows(RejectedExecutionException.class, () -> last().endAll(Fate.WRITTEN));
    last().listener().onFailure(new RejectedExecutionException());
    assertEquals(1, queue.waiting());
    assertEquals(1, queue.heldEntries());
    assertEquals(BATCH, stopped.stats().written());
    assertEquals(0, stopped.stats().retries());
  }

  @Test
  void whatASenderThrowsIsAFailure() {
    LogWriter throwing =
        new LogWriter(
            queue,
            (batch, listener) -> {
              throw new IllegalStateException();
            },
            (task, delayMs) -> timers.add(new Timed(task, delayMs)),
            new Backoff(() -> 0.999),
            () -> 0,
            new LogWriter.Pace(BATCH, 1 << 20, INTERVAL_MS));
    throwing.write(new LogEntry("d", new BytesArray("{}")));
    ring();
    assertEquals(1, throwing.stats().retries());
    assertEquals(151, timers.getLast().delayMs(), "a quarter of the wait is random");
  }

  @Test
  void closingSendsWhatIsLeftAtOnce() throws InterruptedException {
    write(1, 2);
    writer.close();
    write(3);
    assertEquals(1, writer.stats().dropped());
    assertEquals(0, ring());
    assertEquals(List.of("d1", "d2"), last().ids());
    assertFalse(writer.awaitDrained(0));
    last().endAll(Fate.WRITTEN);
    assertTrue(writer.awaitDrained(0));
  }

  @Test
  void anEmptyWriterIsClosedAtOnce() throws InterruptedException {
    writer.close();
    assertTrue(writer.awaitDrained(0));
  }

  @Test
  void theQueueIsBoundedBySizeToo() {
    LogEntry entry = new LogEntry("d", new BytesArray(new byte[1000]));
    LogQueue small = new LogQueue(new LogQueue.Limits(100, 3 * entry.bytes()));
    for (int i = 0; i < 3; i++) {
      assertTrue(small.offer(entry));
    }
    assertFalse(small.offer(entry));
    List<LogEntry> taken = small.take(100, entry.bytes() + 1);
    assertEquals(1, taken.size(), "one batch is as large as it may be");
    assertFalse(small.offer(entry), "what is on its way still has its place");
    small.settle(taken, List.of());
    assertTrue(small.offer(entry));
    assertEquals(3 * entry.bytes(), small.heldBytes());
    assertEquals(1, small.take(100, 1).size(), "one larger than a batch goes alone");
  }

  @Test
  void whatMayPassIsTriedAgain() {
    assertEquals(Fate.WRITTEN, BulkSender.fate(RestStatus.CONFLICT));
    for (RestStatus passing :
        List.of(
            RestStatus.FORBIDDEN,
            RestStatus.NOT_FOUND,
            RestStatus.TOO_MANY_REQUESTS,
            RestStatus.SERVICE_UNAVAILABLE,
            RestStatus.GATEWAY_TIMEOUT,
            RestStatus.INTERNAL_SERVER_ERROR)) {
      assertEquals(Fate.AGAIN, BulkSender.fate(passing));
    }
    assertEquals(Fate.REFUSED, BulkSender.fate(RestStatus.BAD_REQUEST));
  }
}
