package org.iterqr.opensearch.slowlog;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.apache.logging.log4j.LogManager;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.observe.SearchObserver;
import org.iterqr.opensearch.stats.Stat;
import org.iterqr.opensearch.stats.StatsSection;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;

/**
 * Logs the searches that waited longer for the channel than a threshold, one JSON object a line, to
 * the logger {@value #LOGGER}. Logs nothing until it has settings. Thread-safe.
 */
public final class SlowLog implements SearchObserver, StatsSection {
  /** Name of the logger, by which it gets an appender or a level of its own. */
  public static final String LOGGER = "iterqr.slowlog";

  private final Consumer<String> log;
  private final LineLimit limit;
  private final LongAdder slow = new LongAdder();
  private final LongAdder suppressed = new LongAdder();
  private volatile SlowLogSettings settings = SlowLogSettings.OFF;

  /** Logs to the node's log. */
  public SlowLog() {
    this(LogManager.getLogger(LOGGER)::warn, System::nanoTime);
  }

  SlowLog(Consumer<String> log, LongSupplier nanoTime) {
    this.log = log;
    this.limit = new LineLimit(nanoTime);
  }

  /**
   * @param nodeSettings to begin with
   * @param clusterSettings tell of changes
   */
  public void follow(Settings nodeSettings, ClusterSettings clusterSettings) {
    settings = SlowLogSettings.of(nodeSettings);
    clusterSettings.addSettingsUpdateConsumer(
        changed -> settings = SlowLogSettings.of(changed), SlowLogSettings.ALL);
  }

  void settings(SlowLogSettings changed) {
    settings = changed;
  }

  @Override
  public void answered(AnsweredSearch search) {
    SlowLogSettings current = settings;
    if (current.thresholdNanos() < 0
        || search.summary().timings().addedNanos() <= current.thresholdNanos()) {
      return;
    }
    slow.increment();
    long before = limit.admit(current.linesPerMinute());
    if (before == LineLimit.REFUSED) {
      suppressed.increment();
    } else {
      log.accept(SlowLogLine.of(search, current.queryText(), before));
    }
  }

  @Override
  public String name() {
    return "slowlog";
  }

  @Override
  public Stat.Group read() {
    Map<String, Stat> members = new LinkedHashMap<>();
    members.put("slow", new Stat.Count(slow.sum()));
    members.put("suppressed", new Stat.Count(suppressed.sum()));
    return new Stat.Group(members);
  }
}
