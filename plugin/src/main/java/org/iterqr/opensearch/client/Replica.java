package org.iterqr.opensearch.client;

import io.grpc.ConnectivityState;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.iterqr.opensearch.client.CircuitBreaker.Permit;
import org.iterqr.opensearch.client.ReplicaPick.Candidate;
import org.iterqr.opensearch.client.ReplicaPick.Standing;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.stats.Histogram;
import org.iterqr.rewrite.v1.QueryRewriteServiceGrpc.QueryRewriteServiceStub;

/** One server, with what is known of it: its connection, its breaker, its calls. Thread-safe. */
final class Replica {
  private final Endpoint endpoint;
  private final ServerChannel channel;
  private final CircuitBreaker breaker;
  private final LongSupplier nanoTime;
  private final AtomicInteger inFlight = new AtomicInteger();
  private final LongAdder succeeded = new LongAdder();
  private final Map<Outcome, LongAdder> failed = new EnumMap<>(Outcome.class);
  private final Histogram latency = new Histogram();
  private volatile long pausedUntilNanos;

  /**
   * @param endpoint where it listens
   * @param channel to it
   * @param breaker of its own
   * @param nanoTime a clock like {@link System#nanoTime}
   */
  Replica(Endpoint endpoint, ServerChannel channel, CircuitBreaker breaker, LongSupplier nanoTime) {
    this.endpoint = endpoint;
    this.channel = channel;
    this.breaker = breaker;
    this.nanoTime = nanoTime;
    this.pausedUntilNanos = nanoTime.getAsLong();
    for (Outcome outcome : Outcome.values()) {
      failed.put(outcome, new LongAdder());
    }
  }

  Endpoint endpoint() {
    return endpoint;
  }

  ServerChannel channel() {
    return channel;
  }

  QueryRewriteServiceStub stub() {
    return channel.stub();
  }

  Candidate candidate() {
    return new Candidate(standing(), inFlight.get());
  }

  /**
   * @return permission for a call, to be given to {@link #ended}; null if the breaker opened
   */
  Permit begin() {
    Permit permit = breaker.tryAcquire();
    if (permit != null) {
      inFlight.incrementAndGet();
    }
    return permit;
  }

  /**
   * A call has ended.
   *
   * @param permit of the call
   * @param verdict what its end says of this replica
   * @param outcome why there is no reply, or null if there is one
   * @param tookNanos how long it took
   */
  void ended(Permit permit, CallVerdict verdict, Outcome outcome, long tookNanos) {
    inFlight.decrementAndGet();
    breaker.ended(permit, verdict);
    if (outcome == null) {
      succeeded.increment();
      latency.record(tookNanos);
    } else {
      failed.get(outcome).increment();
    }
  }

  /**
   * Keeps calls away for a while, as the server asked.
   *
   * @param nanos from now
   */
  void pause(long nanos) {
    pausedUntilNanos = nanoTime.getAsLong() + nanos;
  }

  ClientStats.ReplicaStats stats() {
    Map<Outcome, Long> failures = new EnumMap<>(Outcome.class);
    failed.forEach(
        (outcome, count) -> {
          if (count.sum() > 0) {
            failures.put(outcome, count.sum());
          }
        });
    return new ClientStats.ReplicaStats(
        endpoint.toString(),
        standing().name().toLowerCase(Locale.ROOT),
        breaker.state().name().toLowerCase(Locale.ROOT),
        breaker.timesOpened(),
        inFlight.get(),
        succeeded.sum(),
        Map.copyOf(failures),
        latency.snapshot());
  }

  private Standing standing() {
    // First, because it hurries a lost connection, which also an open breaker waits for.
    ConnectivityState connectivity = channel.connectivity();
    if (!breaker.allows()) {
      return Standing.BREAKER_OPEN;
    }
    if (channel.health() == HealthWatch.Health.NOT_SERVING) {
      return Standing.NOT_SERVING;
    }
    if (nanoTime.getAsLong() - pausedUntilNanos < 0) {
      return Standing.PAUSED;
    }
    return switch (connectivity) {
      case READY -> Standing.READY;
      case IDLE, CONNECTING -> Standing.CONNECTING;
      case TRANSIENT_FAILURE, SHUTDOWN -> Standing.UNREACHABLE;
    };
  }
}
