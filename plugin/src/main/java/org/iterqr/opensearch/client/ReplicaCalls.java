package org.iterqr.opensearch.client;

import java.util.EnumMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;
import org.iterqr.opensearch.client.CircuitBreaker.Permit;
import org.iterqr.opensearch.client.ReplicaCall.End;
import org.iterqr.opensearch.outcome.Outcome;
import org.opensearch.core.action.ActionListener;

/**
 * Makes calls, within the limit of calls in flight, to the replica that the pool picks. A call that
 * found its replica gone is made once more, to another. Thread-safe.
 */
final class ReplicaCalls {
  /** With less time left, a call is not worth making again. */
  private static final long LEAST_NANOS = TimeUnit.MILLISECONDS.toNanos(10);

  /** A server that asks for a longer pause is asked again after this. */
  private static final long LONGEST_PAUSE_NANOS = TimeUnit.SECONDS.toNanos(5);

  private final ReplicaPool pool;
  private final Supplier<ClientConfig> config;
  private final AtomicInteger inFlight = new AtomicInteger();
  private final Map<Outcome, LongAdder> notAsked = new EnumMap<>(Outcome.class);

  /**
   * @param pool picks
   * @param config in force; may change between calls
   */
  ReplicaCalls(ReplicaPool pool, Supplier<ClientConfig> config) {
    this.pool = pool;
    this.config = config;
    for (Outcome outcome : Outcome.values()) {
      notAsked.put(outcome, new LongAdder());
    }
  }

  /**
   * Starts a call.
   *
   * @param call what to rewrite
   * @param deadlineNanos when it must have ended, of {@link System#nanoTime}
   * @param listener gets the checked reply, or a {@link RewriteCallException}
   */
  void start(RewriteCall call, long deadlineNanos, ActionListener<RewriteReply> listener) {
    if (inFlight.incrementAndGet() > config.get().maxInFlight()) {
      inFlight.decrementAndGet();
      refuse(Outcome.OVERLOADED, listener);
      return;
    }
    ActionListener<RewriteReply> counted =
        ActionListener.runBefore(listener, inFlight::decrementAndGet);
    switch (pool.pick(null)) {
      case ReplicaPool.Pick.None(Outcome outcome) -> refuse(outcome, counted);
      case ReplicaPool.Pick.Chosen chosen -> ask(chosen, call, deadlineNanos, true, counted);
    }
  }

  int inFlight() {
    return inFlight.get();
  }

  /**
   * @return calls that went to no server, by outcome, without those that have none
   */
  Map<Outcome, Long> notAsked() {
    Map<Outcome, Long> counts = new EnumMap<>(Outcome.class);
    notAsked.forEach(
        (outcome, count) -> {
          if (count.sum() > 0) {
            counts.put(outcome, count.sum());
          }
        });
    return Map.copyOf(counts);
  }

  private void refuse(Outcome outcome, ActionListener<RewriteReply> listener) {
    notAsked.get(outcome).increment();
    listener.onFailure(new RewriteCallException(outcome));
  }

  private void ask(
      ReplicaPool.Pick.Chosen chosen,
      RewriteCall call,
      long deadlineNanos,
      boolean mayAskAnother,
      ActionListener<RewriteReply> listener) {
    Replica replica = chosen.replica();
    Permit permit = chosen.permit();
    long startNanos = System.nanoTime();
    long allowedNanos = deadlineNanos - startNanos;
    ReplicaCall.EndListener onEnd =
        end -> {
          switch (end) {
            case End.Replied(RewriteReply reply) -> {
              replica.ended(permit, CallVerdict.SUCCESS, null, System.nanoTime() - startNanos);
              listener.onResponse(reply);
            }
            case End.Failed failed -> {
              note(replica, permit, failed, startNanos, allowedNanos);
              if (failed.outcome() != Outcome.UNAVAILABLE
                  || !mayAskAnother
                  || deadlineNanos - System.nanoTime() < LEAST_NANOS
                  || !(pool.pick(replica) instanceof ReplicaPool.Pick.Chosen another)) {
                listener.onFailure(new RewriteCallException(failed.outcome(), failed.cause()));
              } else {
                ask(another, call, deadlineNanos, false, listener);
              }
            }
          }
        };
    ReplicaCall.start(replica.stub(), call, allowedNanos, onEnd);
  }

  private void note(
      Replica replica, Permit permit, End.Failed failed, long startNanos, long allowedNanos) {
    CallVerdict verdict =
        CallOutcome.verdict(
            failed.outcome(),
            failed.isAnswered(),
            TimeUnit.NANOSECONDS.toMillis(allowedNanos),
            config.get().breaker().minimumTimeoutMs());
    replica.ended(permit, verdict, failed.outcome(), System.nanoTime() - startNanos);
    if (failed.outcome() == Outcome.REJECTED && failed.retryAfterNanos() > 0) {
      replica.pause(Math.min(failed.retryAfterNanos(), LONGEST_PAUSE_NANOS));
    }
  }
}
