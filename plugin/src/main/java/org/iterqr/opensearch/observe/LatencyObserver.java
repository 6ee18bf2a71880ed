package org.iterqr.opensearch.observe;

import java.util.LinkedHashMap;
import java.util.Map;
import org.iterqr.opensearch.response.Timings;
import org.iterqr.opensearch.stats.Histogram;
import org.iterqr.opensearch.stats.Stat;
import org.iterqr.opensearch.stats.StatsSection;

/** Keeps histograms of where searches spent their time. Stages not reached are not counted. */
public final class LatencyObserver implements SearchObserver, StatsSection {
  private final Histogram rewrite = new Histogram();
  private final Histogram windows = new Histogram();
  private final Histogram fetch = new Histogram();
  private final Histogram total = new Histogram();
  private final Histogram added = new Histogram();

  @Override
  public void answered(AnsweredSearch search) {
    Timings timings = search.summary().timings();
    rewrite.record(timings.rewriteNanos());
    windows.record(timings.windowsNanos());
    fetch.record(timings.fetchNanos());
    total.record(timings.totalNanos());
    added.record(timings.addedNanos());
  }

  @Override
  public String name() {
    return "latency";
  }

  @Override
  public Stat.Group read() {
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("rewrite", new Stat.Latency(rewrite.snapshot()));
    members.put("windows", new Stat.Latency(windows.snapshot()));
    members.put("fetch", new Stat.Latency(fetch.snapshot()));
    members.put("total", new Stat.Latency(total.snapshot()));
    members.put("added", new Stat.Latency(added.snapshot()));
    return new Stat.Group(members);
  }
}
