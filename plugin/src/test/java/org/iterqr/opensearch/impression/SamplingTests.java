package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import java.util.stream.IntStream;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.junit.jupiter.api.Test;

class SamplingTests {
  private static final int SEARCHES = 10_000;

  private static SearchIdentity identity(String queryId, String clientId) {
    UbiParameters ubi = new UbiParameters(queryId, "", clientId, "", "", Map.of());
    return new SearchIdentity(ubi, false, "", Assignment.NONE);
  }

  @Test
  void allOrNoneIsExact() {
    for (int i = 0; i < SEARCHES; i++) {
      assertTrue(Sampling.takes(identity("q", "c" + i), 1));
      assertFalse(Sampling.takes(identity("q", "c" + i), 0));
    }
  }

  @Test
  void aClientIsInOrOutWithAllItsSearchesAndStaysIn() {
    for (int i = 0; i < SEARCHES; i++) {
      boolean isIn = Sampling.takes(identity("q1", "c" + i), 0.3);
      assertEquals(isIn, Sampling.takes(identity("q2", "c" + i), 0.3));
      assertTrue(!isIn || Sampling.takes(identity("q3", "c" + i), 0.5));
    }
  }

  @Test
  void theShareIsAsWanted() {
    long clients =
        IntStream.range(0, SEARCHES)
            .filter(i -> Sampling.takes(identity("q", "c" + i), 0.3))
            .count();
    long withoutClient =
        IntStream.range(0, SEARCHES)
            .filter(i -> Sampling.takes(identity("q" + i, ""), 0.3))
            .count();
    assertEquals(0.3, clients / (double) SEARCHES, 0.02);
    assertEquals(0.3, withoutClient / (double) SEARCHES, 0.02);
  }
}
