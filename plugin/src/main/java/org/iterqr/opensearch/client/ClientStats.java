package org.iterqr.opensearch.client;

import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.stats.HistogramSnapshot;

/**
 * The client's state at one moment; counts are since the node started, or since the replica was
 * named.
 *
 * @param inFlight calls that wait for a server
 * @param coalesced searches that shared the call of another
 * @param notAsked calls that went to no server, by outcome; zero counts are left out
 * @param cache the replies kept on the node
 * @param replicas the servers, in the order of the setting
 */
public record ClientStats(
    int inFlight,
    long coalesced,
    Map<Outcome, Long> notAsked,
    CacheStats cache,
    List<ReplicaStats> replicas) {

  /**
   * The replies kept on the node.
   *
   * @param hits searches that got rewrites from them
   * @param negativeHits searches that got a reply without rewrites
   * @param misses searches that found nothing
   * @param entries kept, expired ones among them
   * @param bytes they take, by estimate
   */
  public record CacheStats(long hits, long negativeHits, long misses, long entries, long bytes) {}

  /**
   * One server.
   *
   * @param endpoint as in the setting
   * @param standing whether it would be asked now: ready, connecting, unreachable, paused,
   *     not_serving, breaker_open
   * @param breaker closed, open or half_open
   * @param timesOpened how often its breaker opened
   * @param inFlight calls it has not answered yet
   * @param succeeded calls with a reply of the contract
   * @param failed calls without, by outcome; zero counts are left out
   * @param latency of the calls with a reply
   */
  public record ReplicaStats(
      String endpoint,
      String standing,
      String breaker,
      long timesOpened,
      int inFlight,
      long succeeded,
      Map<Outcome, Long> failed,
      HistogramSnapshot latency) {}
}
