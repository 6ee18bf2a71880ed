package org.iterqr.opensearch.outcome;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class OutcomeTests {
  @Test
  void namesAreTheContracts() {
    assertEquals(
        List.of(
            "fused",
            "expanded",
            "shadow",
            "disabled",
            "skipped_policy",
            "original_suffices",
            "no_rewrites",
            "timeout",
            "unavailable",
            "bad_reply",
            "rejected",
            "breaker_open",
            "overloaded",
            "windows_failed",
            "skipped_sort",
            "skipped_collapse",
            "skipped_search_after",
            "skipped_min_score",
            "skipped_scroll",
            "skipped_pit",
            "skipped_ccs",
            "skipped_size_zero",
            "skipped_suggest_only",
            "skipped_past_window",
            "skipped_no_text",
            "skipped_script",
            "skipped_clauses",
            "page_unpinned",
            "control",
            "error"),
        Arrays.stream(Outcome.values()).map(Outcome::wireName).toList());
  }

  @Test
  void eachIsCountedByItself() {
    OutcomeCounters counters = new OutcomeCounters();
    counters.count(Outcome.FUSED);
    counters.count(Outcome.FUSED);
    counters.count(Outcome.TIMEOUT);
    assertEquals(2, counters.get(Outcome.FUSED));
    assertEquals(1, counters.get(Outcome.TIMEOUT));
    assertEquals(0, counters.get(Outcome.ERROR));
  }
}
