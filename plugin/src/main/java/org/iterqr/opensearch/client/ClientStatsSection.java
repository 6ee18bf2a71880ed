package org.iterqr.opensearch.client;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.stats.Stat;
import org.iterqr.opensearch.stats.StatsSection;

/**
 * Shows {@link ClientStats} among the plugin's statistics.
 *
 * @param stats reads them
 */
public record ClientStatsSection(Supplier<ClientStats> stats) implements StatsSection {
  @Override
  public String name() {
    return "client";
  }

  @Override
  public Stat.Group read() {
    ClientStats now = stats.get();
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("in_flight", new Stat.Count(now.inFlight()));
    members.put("coalesced", new Stat.Count(now.coalesced()));
    members.put("not_asked", byOutcome(now.notAsked()));
    members.put("cache", cache(now.cache()));
    Map<String, Stat> replicas = new LinkedHashMap<>();
    now.replicas().forEach(replica -> replicas.put(replica.endpoint(), replica(replica)));
    members.put("servers", new Stat.Group(replicas));
    return new Stat.Group(members);
  }

  private static Stat.Group cache(ClientStats.CacheStats cache) {
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("hits", new Stat.Count(cache.hits()));
    members.put("negative_hits", new Stat.Count(cache.negativeHits()));
    members.put("misses", new Stat.Count(cache.misses()));
    members.put("entries", new Stat.Count(cache.entries()));
    members.put("bytes", new Stat.Count(cache.bytes()));
    return new Stat.Group(members);
  }

  private static Stat.Group replica(ClientStats.ReplicaStats replica) {
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("standing", new Stat.State(replica.standing()));
    members.put("breaker", new Stat.State(replica.breaker()));
    members.put("breaker_opened", new Stat.Count(replica.timesOpened()));
    members.put("in_flight", new Stat.Count(replica.inFlight()));
    members.put("succeeded", new Stat.Count(replica.succeeded()));
    members.put("failed", byOutcome(replica.failed()));
    members.put("latency", new Stat.Latency(replica.latency()));
    return new Stat.Group(members);
  }

  private static Stat.Group byOutcome(Map<Outcome, Long> counts) {
    Map<String, Stat> members = new LinkedHashMap<>();
    counts.forEach((outcome, count) -> members.put(outcome.wireName(), new Stat.Count(count)));
    return new Stat.Group(members);
  }
}
