package org.iterqr.opensearch.client;

import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioEventLoopGroup;
import java.io.Closeable;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.client.CircuitBreaker.Permit;
import org.iterqr.opensearch.client.CircuitBreaker.State;
import org.iterqr.opensearch.client.ReplicaPick.Candidate;
import org.iterqr.opensearch.client.ReplicaPick.Standing;
import org.iterqr.opensearch.outcome.Outcome;

/** The servers that may be asked. Thread-safe. */
final class ReplicaPool implements Closeable {
  /** Which replica a call goes to. */
  sealed interface Pick {
    /**
     * @param replica to ask
     * @param permit to be given back when the call has ended
     */
    record Chosen(Replica replica, Permit permit) implements Pick {}

    /**
     * @param outcome of a search whose call goes to no replica
     */
    record None(Outcome outcome) implements Pick {}
  }

  private static final Logger logger = LogManager.getLogger(ReplicaPool.class);

  private final ExecutorService executor;
  private final Supplier<BreakerSettings> breakerSettings;
  private final EventLoopGroup eventLoops;
  private final AtomicInteger turn = new AtomicInteger();
  private ConnectionSecurity security = new ConnectionSecurity.Plaintext();
  private volatile List<Replica> replicas = List.of();

  /**
   * @param executor of the node's thread pool; runs what is called back
   * @param breakerSettings in force; may change between calls
   */
  ReplicaPool(ExecutorService executor, Supplier<BreakerSettings> breakerSettings) {
    this.executor = executor;
    this.breakerSettings = breakerSettings;
    this.eventLoops =
        new NioEventLoopGroup(
            1,
            task -> {
              Thread thread = new Thread(task, "iterqr-grpc");
              thread.setDaemon(true);
              return thread;
            });
  }

  /**
   * Later calls go to these servers; calls in flight end where they are. A server that stays keeps
   * its connection and what is known of it, unless the security is another.
   *
   * @param endpoints where the servers listen
   * @param connections how they are secured; if that is broken, no server can be asked
   */
  synchronized void use(List<Endpoint> endpoints, ConnectionSecurity connections) {
    List<Replica> old = replicas;
    List<Replica> reusable = connections.equals(security) ? old : List.of();
    List<Replica> next = new ArrayList<>(endpoints.size());
    security = connections;
    for (Endpoint endpoint :
        connections instanceof ConnectionSecurity.Broken ? List.<Endpoint>of() : endpoints) {
      try {
        next.add(
            reusable.stream()
                .filter(replica -> replica.endpoint().equals(endpoint))
                .findFirst()
                .orElseGet(() -> connect(endpoint)));
      } catch (RuntimeException e) {
        // Thrown on, it would keep the node from starting, or from applying cluster states.
        logger.error("rewrite server [{}] cannot be asked", endpoint, e);
      }
    }
    replicas = List.copyOf(next);
    old.stream()
        .filter(replica -> !next.contains(replica))
        .forEach(replica -> replica.channel().retire());
  }

  /**
   * @param excluded a replica that is not to be asked, or null
   * @return where the next call goes
   */
  Pick pick(Replica excluded) {
    List<Replica> all = replicas;
    int first = turn.getAndIncrement();
    while (true) {
      List<Candidate> candidates = new ArrayList<>(all.size());
      for (Replica replica : all) {
        candidates.add(
            replica == excluded ? new Candidate(Standing.EXCLUDED, 0) : replica.candidate());
      }
      int place = ReplicaPick.choose(candidates, first);
      if (place < 0) {
        return new Pick.None(ReplicaPick.refusal(candidates));
      }
      Replica replica = all.get(place);
      Permit permit = replica.begin();
      if (permit != null) {
        return new Pick.Chosen(replica, permit);
      }
      // Another call took its last probe in between, so it is no candidate any more.
    }
  }

  List<ClientStats.ReplicaStats> stats() {
    return replicas.stream().map(Replica::stats).toList();
  }

  @Override
  public synchronized void close() {
    replicas.forEach(replica -> replica.channel().close());
    replicas = List.of();
    eventLoops.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private Replica connect(Endpoint endpoint) {
    CircuitBreaker breaker =
        new CircuitBreaker(
            breakerSettings, System::nanoTime, (from, to) -> breakerChanged(endpoint, from, to));
    ServerChannel channel =
        new ServerChannel(endpoint, security, eventLoops, executor, breaker::probeSoon);
    executor.execute(channel::warmUp);
    return new Replica(endpoint, channel, breaker, System::nanoTime);
  }

  private static void breakerChanged(Endpoint endpoint, State from, State to) {
    if (from == State.CLOSED && to == State.OPEN) {
      logger.warn("rewrite server [{}] fails too often: it is not asked for a while", endpoint);
    } else if (to == State.CLOSED) {
      logger.info("rewrite server [{}] is asked again", endpoint);
    }
  }
}
