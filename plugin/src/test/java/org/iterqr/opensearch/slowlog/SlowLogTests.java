package org.iterqr.opensearch.slowlog;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.response.Timings;
import org.iterqr.opensearch.stats.Stat;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.settings.ClusterSettings;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;

class SlowLogTests {
  private final List<String> lines = new ArrayList<>();
  private final AtomicLong nanoTime = new AtomicLong();
  private final SlowLog slowLog = new SlowLog(lines::add, nanoTime::get);

  @Test
  void logsOnlyWhatIsOverTheThreshold() {
    slowLog.settings(new SlowLogSettings(millis(100), 10, false));
    slowLog.answered(search(100, "soop"));
    assertEquals(List.of(), lines);
    slowLog.answered(search(101, "soop"));
    assertEquals(1, lines.size());
  }

  @Test
  void logsNothingUntilItHasAThreshold() {
    slowLog.answered(search(10_000, "soop"));
    slowLog.settings(SlowLogSettings.of(Settings.EMPTY));
    slowLog.answered(search(10_000, "soop"));
    assertEquals(List.of(), lines);
  }

  @Test
  void aLineIsJsonWithoutTheQuery() {
    slowLog.settings(new SlowLogSettings(0, 10, false));
    slowLog.answered(search(120, "my address"));
    Map<String, Object> line =
        XContentHelper.convertToMap(JsonXContent.jsonXContent, lines.getFirst(), true);
    assertEquals(
        List.of("outcome", "timings", "rewrites", "request_id", "indices", "suppressed"),
        List.copyOf(line.keySet()));
    assertEquals("timeout", line.get("outcome"));
    assertEquals(Map.of("total_ms", 130.0, "added_ms", 120.0), line.get("timings"));
    assertEquals("request-7", line.get("request_id"));
    assertEquals(List.of("dishes"), line.get("indices"));
    assertFalse(lines.getFirst().contains("address"));
  }

  @Test
  void theQueryIsThereOnRequestAndCannotBreakTheLine() {
    slowLog.settings(new SlowLogSettings(0, 10, true));
    slowLog.answered(search(120, "soop\n{\"outcome\":\"forged\"}"));
    assertFalse(lines.getFirst().contains("\n"));
    Map<String, Object> line =
        XContentHelper.convertToMap(JsonXContent.jsonXContent, lines.getFirst(), true);
    assertEquals("soop\n{\"outcome\":\"forged\"}", line.get("query"));
    assertEquals("timeout", line.get("outcome"));
  }

  @Test
  void linesBeyondTheLimitAreCountedInstead() {
    slowLog.settings(new SlowLogSettings(0, 2, false));
    for (int i = 0; i < 5; i++) {
      slowLog.answered(search(120, "soop"));
    }
    assertEquals(2, lines.size());
    nanoTime.addAndGet(TimeUnit.MINUTES.toNanos(1));
    slowLog.answered(search(120, "soop"));
    assertTrue(lines.getLast().contains("\"suppressed\":3"), lines.getLast());
    assertEquals(
        Map.of("slow", new Stat.Count(6), "suppressed", new Stat.Count(3)),
        slowLog.read().members());
  }

  @Test
  void followsTheClustersSettings() {
    Settings node = Settings.builder().put("plugins.iterqr.slowlog.threshold", "50ms").build();
    ClusterSettings cluster = new ClusterSettings(node, Set.copyOf(SlowLogSettings.ALL));
    slowLog.follow(node, cluster);
    slowLog.answered(search(60, "soop"));
    cluster.applySettings(
        Settings.builder().put("plugins.iterqr.slowlog.threshold", "70ms").build());
    slowLog.answered(search(60, "soop"));
    assertEquals(1, lines.size());
  }

  private static AnsweredSearch search(long addedMs, String query) {
    Timings timings =
        new Timings(
            Timings.NOT_REACHED,
            Timings.NOT_REACHED,
            Timings.NOT_REACHED,
            millis(addedMs + 10),
            millis(addedMs));
    return new AnsweredSearch(
        "request-7",
        SearchIdentity.NONE,
        new SearchSummary(
            SearchIdentity.NONE,
            Outcome.TIMEOUT,
            Mode.FUSE,
            query,
            null,
            Optional.empty(),
            50,
            "",
            timings,
            List.of()),
        new SearchRequest("dishes"),
        null,
        Optional.empty(),
        Map.of());
  }

  private static long millis(long ms) {
    return TimeUnit.MILLISECONDS.toNanos(ms);
  }
}
