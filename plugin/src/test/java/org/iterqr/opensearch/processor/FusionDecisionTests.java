package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.Window;
import org.junit.jupiter.api.Test;

class FusionDecisionTests {
  private static final Channel ORIGINAL = new Channel.Original();
  private static final Channel CLAUSE = new Channel.Clause("embedding");
  private static final Channel REWRITE =
      new Channel.Rewritten(new Rewrite("00000000000000aa", "soup", 1));

  private static Window whole(Channel channel) {
    return new Window(channel, List.of(), false, 0);
  }

  private static void assertKnown(boolean known, int plainFailedShards, Window... windows) {
    assertEquals(known, FusionDecision.knowsOriginals(List.of(windows), plainFailedShards));
  }

  @Test
  void theOriginalsWindowMustBeWhole() {
    assertKnown(true, 0, whole(ORIGINAL), whole(CLAUSE), whole(REWRITE));
    assertKnown(false, 0, new Window(ORIGINAL, List.of(), true, 0), whole(REWRITE));
    assertKnown(false, 0, new Window(ORIGINAL, List.of(), false, 1), whole(REWRITE));
  }

  @Test
  void soMustItsClauses() {
    assertKnown(false, 0, whole(ORIGINAL), new Window(CLAUSE, List.of(), true, 0));
    assertKnown(false, 0, whole(ORIGINAL), new Window(CLAUSE, List.of(), false, 1));
  }

  @Test
  void shardsThatFailedThePlainSearchTooAreNotMissed() {
    assertKnown(true, 1, new Window(ORIGINAL, List.of(), false, 1), whole(REWRITE));
  }

  @Test
  void aRewriteMayLackDocuments() {
    assertKnown(true, 0, whole(ORIGINAL), new Window(REWRITE, List.of(), true, 1));
  }
}
