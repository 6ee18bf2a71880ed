package org.iterqr.opensearch.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class BudgetTests {
  private static Budget begun(int budgetMs, long agoMs) {
    return new Budget(System.nanoTime() - TimeUnit.MILLISECONDS.toNanos(agoMs), budgetMs);
  }

  @Test
  void leavesTheServerAllButATenthOrAtMost100Ms() {
    assertEquals(450, begun(500, 0).rewriteDeadlineMs(), 40);
    assertEquals(1_800, begun(2_000, 100).rewriteDeadlineMs(), 50);
    assertEquals(90_000 - 100, begun(90_000, 0).rewriteDeadlineMs(), 50);
  }

  @Test
  void aSpentBudgetHasNothingLeft() {
    Budget spent = begun(100, 5_000);
    assertTrue(spent.remainingMs() <= 0);
    assertEquals(1, spent.rewriteDeadlineMs());
    assertTrue(spent.elapsedNanos() >= TimeUnit.SECONDS.toNanos(5));
  }
}
