package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.iterqr.opensearch.impression.RetentionPlan.BackingIndex;
import org.junit.jupiter.api.Test;

class RetentionPlanTests {
  private static final long RETENTION_MS = 1000;

  private static RetentionPlan plan(long nowMs, long... createdMs) {
    List<BackingIndex> indices = new ArrayList<>();
    LongStream.of(createdMs).forEach(at -> indices.add(new BackingIndex("i" + at, at)));
    return RetentionPlan.of(indices, nowMs, RETENTION_MS);
  }

  @Test
  void theIndexWrittenToIsNeverDeleted() {
    assertEquals(new RetentionPlan(true, List.of()), plan(1_000_000, 0));
  }

  @Test
  void anIndexExpiresWithItsNewestDocument() {
    assertEquals(List.of(), plan(1099, 0, 100, 1050).expired());
    assertEquals(List.of("i0"), plan(1100, 0, 100, 1050).expired());
    assertEquals(List.of("i0", "i100"), plan(2050, 0, 100, 1050).expired());
  }

  @Test
  void anIndexIsWrittenToForATenthOfTheRetention() {
    assertEquals(false, plan(1149, 1050).rollsOver());
    assertEquals(true, plan(1150, 1050).rollsOver());
  }
}
