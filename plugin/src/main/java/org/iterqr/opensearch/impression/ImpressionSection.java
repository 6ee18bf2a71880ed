package org.iterqr.opensearch.impression;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.iterqr.opensearch.stats.Stat;
import org.iterqr.opensearch.stats.StatsSection;

/**
 * The logs' part of the statistics.
 *
 * @param stats as they are now
 */
public record ImpressionSection(Supplier<ImpressionStats> stats) implements StatsSection {
  @Override
  public String name() {
    return "impressions";
  }

  @Override
  public Stat.Group read() {
    ImpressionStats now = stats.get();
    Map<String, Stat> members = new LinkedHashMap<>(log(now.impressions()));
    members.put("sampled_out", new Stat.Count(now.sampledOut()));
    members.put("failed", new Stat.Count(now.failed()));
    members.put("client_ids", new Stat.State(now.logsClientIds() ? "hashed" : "not_logged"));
    members.put("ubi_queries", new Stat.Group(log(now.ubiQueries())));
    return new Stat.Group(members);
  }

  private static Map<String, Stat> log(LogStats log) {
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("queued", new Stat.Count(log.queued()));
    members.put("queued_bytes", new Stat.Count(log.queuedBytes()));
    members.put("written", new Stat.Count(log.written()));
    members.put("dropped", new Stat.Count(log.dropped()));
    members.put("refused", new Stat.Count(log.refused()));
    members.put("retries", new Stat.Count(log.retries()));
    members.put("last_error", new Stat.State(log.lastError().isEmpty() ? "none" : log.lastError()));
    return members;
  }
}
