package org.iterqr.opensearch.impression;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.opensearch.core.action.ActionListener;

/**
 * Empties the queue into its indices, one batch at a time: when a batch is full, when the oldest
 * entry has waited for the flush interval, and after a failure when the back-off is over. Callers
 * never wait. Thread-safe.
 */
final class LogWriter {
  /** Runs something later, on a thread that may send; a delay of 0 is at once. */
  @FunctionalInterface
  interface Timer {
    /**
     * @param task what to run
     * @param delayMs in how many milliseconds
     */
    void after(Runnable task, long delayMs);
  }

  /**
   * When and how much is sent.
   *
   * @param batchEntries of one request at most
   * @param batchBytes of one request, roughly
   * @param intervalMs longest time an entry waits for others
   */
  record Pace(int batchEntries, long batchBytes, long intervalMs) {}

  private enum State {
    /** Nothing to send. */
    IDLE,
    /** A flush or a retry is scheduled. */
    SCHEDULED,
    /** A batch is on its way. */
    SENDING
  }

  private static final Logger logger = LogManager.getLogger(LogWriter.class);

  /** An outage is told of once in this time, not with every batch. */
  private static final long WARN_INTERVAL_MS = 60_000;

  private final LogQueue queue;
  private final LogSender sender;
  private final Timer timer;
  private final Backoff backoff;
  private final LongSupplier clockMs;
  private final LongAdder written = new LongAdder();
  private final LongAdder dropped = new LongAdder();
  private final LongAdder refused = new LongAdder();
  private final LongAdder retries = new LongAdder();
  private final AtomicLong nextWarningMs = new AtomicLong(Long.MIN_VALUE);
  private volatile String lastError = "";
  private volatile Pace pace;
  private volatile boolean isClosed;
  private final CountDownLatch drained = new CountDownLatch(1);

  private State state = State.IDLE;
  private boolean isBackingOff;
  private boolean isDue;

  /** Of the flush or retry in force; a timer that rings for an older one is ignored. */
  private long schedule;

  LogWriter(
      LogQueue queue,
      LogSender sender,
      Timer timer,
      Backoff backoff,
      LongSupplier clockMs,
      Pace pace) {
    this.queue = queue;
    this.sender = sender;
    this.timer = timer;
    this.backoff = backoff;
    this.clockMs = clockMs;
    this.pace = pace;
  }

  /**
   * @param changed for batches from now on
   */
  void pace(Pace changed) {
    pace = changed;
  }

  /**
   * Takes an entry, or counts it as dropped if there is no room.
   *
   * @param entry to be written
   */
  void write(LogEntry entry) {
    if (isClosed || !queue.offer(entry)) {
      dropped.increment();
      return;
    }
    boolean isFull = queue.waiting() >= pace.batchEntries();
    synchronized (this) {
      if (state == State.IDLE) {
        schedule(isFull || isClosed ? 0 : pace.intervalMs());
      } else if (state == State.SCHEDULED && isFull && !isBackingOff && !isDue) {
        schedule(0);
      }
    }
  }

  /** Takes nothing any more, and sends at once what is left, whatever the back-off. */
  synchronized void close() {
    isClosed = true;
    if (state == State.SCHEDULED) {
      schedule(0);
    }
    tellIfDrained();
  }

  /**
   * Waits until a closed writer has nothing left to send.
   *
   * @param timeoutMs longest wait
   * @return whether all was written or refused
   * @throws InterruptedException if the thread is to stop waiting
   */
  boolean awaitDrained(long timeoutMs) throws InterruptedException {
    return drained.await(timeoutMs, TimeUnit.MILLISECONDS);
  }

  /**
   * @return the numbers as they are now
   */
  LogStats stats() {
    return new LogStats(
        queue.heldEntries(),
        queue.heldBytes(),
        written.sum(),
        dropped.sum(),
        refused.sum(),
        retries.sum(),
        lastError);
  }

  /** Called with the lock held. */
  private void tellIfDrained() {
    if (isClosed && queue.heldEntries() == 0) {
      drained.countDown();
    }
  }

  /** Called with the lock held. */
  private void schedule(long delayMs) {
    state = State.SCHEDULED;
    isDue = delayMs == 0;
    long number = ++schedule;
    timer.after(() -> send(number), delayMs);
  }

  private void send(long number) {
    List<LogEntry> batch;
    synchronized (this) {
      if (number != schedule || state != State.SCHEDULED) {
        return;
      }
      isBackingOff = false;
      batch = queue.take(pace.batchEntries(), pace.batchBytes());
      state = batch.isEmpty() ? State.IDLE : State.SENDING;
    }
    if (batch.isEmpty()) {
      return;
    }
    ActionListener<LogSender.Receipt> once = ActionListener.notifyOnce(settling(batch));
    try {
      sender.send(batch, once);
    } catch (RuntimeException e) {
      once.onFailure(e);
    }
  }

  /**
   * Not {@link ActionListener#wrap}, which would settle the batch again, as not sent, when the
   * timer of a node that stops refuses what comes after it.
   */
  private ActionListener<LogSender.Receipt> settling(List<LogEntry> batch) {
    return new ActionListener<>() {
      @Override
      public void onResponse(LogSender.Receipt receipt) {
        sent(batch, receipt);
      }

      @Override
      public void onFailure(Exception failure) {
        notSent(batch, failure);
      }
    };
  }

  private void sent(List<LogEntry> batch, LogSender.Receipt receipt) {
    List<LogEntry> again = new ArrayList<>();
    for (int i = 0; i < batch.size(); i++) {
      switch (receipt.fates().get(i)) {
        case WRITTEN -> written.increment();
        case REFUSED -> refused.increment();
        case AGAIN -> again.add(batch.get(i));
      }
    }
    if (!receipt.errorClass().isEmpty()) {
      lastError = receipt.errorClass();
    }
    settle(batch, again);
  }

  private void notSent(List<LogEntry> batch, Exception failure) {
    lastError = failure.getClass().getSimpleName();
    settle(batch, batch);
  }

  private void settle(List<LogEntry> batch, List<LogEntry> again) {
    long waitMs;
    synchronized (this) {
      queue.settle(batch, again);
      if (again.isEmpty()) {
        goOn();
        return;
      }
      retries.increment();
      isBackingOff = true;
      if (again.size() < batch.size()) {
        // The index takes documents: those behind must not wait ever longer for a few.
        backoff.reset();
      }
      waitMs = backoff.afterFailure();
      schedule(waitMs);
    }
    // Outside of the lock: searches wait for it.
    warn(again.size(), waitMs);
  }

  /** Called with the lock held, when a batch is written. */
  private void goOn() {
    backoff.reset();
    tellIfDrained();
    if (queue.waiting() == 0) {
      state = State.IDLE;
    } else {
      boolean isUrgent = isClosed || queue.waiting() >= pace.batchEntries();
      schedule(isUrgent ? 0 : pace.intervalMs());
    }
  }

  private void warn(int entries, long waitMs) {
    long now = clockMs.getAsLong();
    long next = nextWarningMs.get();
    if (now >= next && nextWarningMs.compareAndSet(next, now + WARN_INTERVAL_MS)) {
      logger.warn(
          "{} log documents could not be written ({}), next attempt in {} ms; {} are queued",
          entries,
          lastError,
          waitMs,
          queue.heldEntries());
    }
  }
}
