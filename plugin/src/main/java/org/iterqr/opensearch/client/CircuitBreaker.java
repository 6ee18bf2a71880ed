package org.iterqr.opensearch.client;

import java.util.function.BiConsumer;
import java.util.function.LongSupplier;
import java.util.function.Supplier;

/**
 * Decides whether a replica is worth asking, from how its calls ended. Closed: all calls pass.
 * Open, after too many failures: none passes, for a time that doubles while it does no good. Half
 * open: a few probes pass; if they succeed it closes, if one fails it opens again. A probe succeeds
 * if the server answers it, with a reply or without: one that is busy would otherwise be asked by
 * the few probes alone for as long as it is busy. Thread-safe.
 */
final class CircuitBreaker {
  /** Whether calls pass. */
  enum State {
    CLOSED,
    OPEN,
    HALF_OPEN
  }

  /**
   * Permission for one call, to be given back with its verdict.
   *
   * @param round in which it was given: a call that outlives a change of state has no say any more
   */
  record Permit(long round) {}

  private static final int MAX_DOUBLINGS = 20;

  private final Supplier<BreakerSettings> settings;
  private final LongSupplier nanoTime;
  private final BiConsumer<State, State> onChange;
  private final CallWindow window = new CallWindow();
  private State state = State.CLOSED;
  private long round;
  private long openUntilNanos;
  private int openedInARow;
  private long openedInAll;
  private int probesInFlight;
  private int probesSucceeded;

  /**
   * @param settings in force; may change between calls
   * @param nanoTime a clock like {@link System#nanoTime}
   * @param onChange told of the state before and the next one; must be quick
   */
  CircuitBreaker(
      Supplier<BreakerSettings> settings,
      LongSupplier nanoTime,
      BiConsumer<State, State> onChange) {
    this.settings = settings;
    this.nanoTime = nanoTime;
    this.onChange = onChange;
  }

  /**
   * @return whether a call would pass now
   */
  synchronized boolean allows() {
    return switch (state) {
      case CLOSED -> true;
      case OPEN -> nanoTime.getAsLong() - openUntilNanos >= 0;
      // One at least, as fewer probes may be wanted by now than have succeeded.
      case HALF_OPEN -> probesInFlight < Math.max(1, settings.get().probes() - probesSucceeded);
    };
  }

  /**
   * @return permission for a call, which must be given to {@link #ended}; null if none passes
   */
  synchronized Permit tryAcquire() {
    if (!allows()) {
      return null;
    }
    if (state == State.OPEN) {
      enter(State.HALF_OPEN);
    }
    if (state == State.HALF_OPEN) {
      probesInFlight++;
    }
    return new Permit(round);
  }

  /**
   * A call has ended. Called once for each permit.
   *
   * @param permit of the call
   * @param verdict what its end says
   */
  synchronized void ended(Permit permit, CallVerdict verdict) {
    if (permit.round() != round) {
      return;
    }
    if (state == State.HALF_OPEN) {
      probeEnded(verdict);
    } else if (verdict == CallVerdict.SUCCESS || verdict == CallVerdict.FAILURE) {
      callEnded(verdict == CallVerdict.FAILURE);
    }
  }

  /** The replica says that it is well: there is no need to wait before probing it. */
  synchronized void probeSoon() {
    if (state == State.OPEN) {
      openUntilNanos = nanoTime.getAsLong();
    }
  }

  /**
   * @return whether calls pass; open until a call has passed as a probe
   */
  synchronized State state() {
    return state;
  }

  /**
   * @return how often it opened
   */
  synchronized long timesOpened() {
    return openedInAll;
  }

  private void callEnded(boolean isFailure) {
    BreakerSettings limits = settings.get();
    window.add(nanoTime.getAsLong(), limits.windowNanos(), isFailure);
    if (isFailure
        && window.calls() >= limits.minimumCalls()
        && window.failures() >= limits.failureShare() * window.calls()) {
      open(limits);
    }
  }

  private void probeEnded(CallVerdict verdict) {
    probesInFlight--;
    switch (verdict) {
      case NEUTRAL -> {}
      case FAILURE -> open(settings.get());
      case SUCCESS, ALIVE -> {
        probesSucceeded++;
        if (probesSucceeded >= settings.get().probes()) {
          openedInARow = 0;
          enter(State.CLOSED);
        }
      }
    }
  }

  private void open(BreakerSettings limits) {
    long wait = limits.openNanos();
    for (int i = 0;
        i < Math.min(openedInARow, MAX_DOUBLINGS) && wait < limits.maxOpenNanos();
        i++) {
      wait *= 2;
    }
    openUntilNanos = nanoTime.getAsLong() + Math.min(wait, limits.maxOpenNanos());
    openedInARow++;
    openedInAll++;
    enter(State.OPEN);
  }

  private void enter(State next) {
    onChange.accept(state, next);
    state = next;
    round++;
    probesInFlight = 0;
    probesSucceeded = 0;
    window.clear();
  }
}
