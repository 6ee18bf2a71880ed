package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Set;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.ShardKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.junit.jupiter.api.Test;

class FusionDecisionTests {
  private static final Channel ORIGINAL = new Channel.Original();
  private static final Channel CLAUSE = new Channel.Clause("embedding");
  private static final Channel REWRITE =
      new Channel.Rewritten(new Rewrite("00000000000000aa", "soup", 1));

  private static final ShardKey ONE = new ShardKey("dishes", 1);
  private static final ShardKey TWO = new ShardKey("dishes", 2);

  private static Window whole(Channel channel) {
    return without(channel, Set.of());
  }

  private static Window late(Channel channel) {
    return new Window(channel, List.of(), true, Set.of());
  }

  private static Window without(Channel channel, Set<ShardKey> failed) {
    return new Window(channel, List.of(), false, failed);
  }

  private static void assertKnown(boolean known, Set<ShardKey> plainFailed, Window... windows) {
    assertEquals(known, FusionDecision.knowsOriginals(List.of(windows), plainFailed));
  }

  @Test
  void theOriginalsWindowMustBeWhole() {
    assertKnown(true, Set.of(), whole(ORIGINAL), whole(CLAUSE), whole(REWRITE));
    assertKnown(false, Set.of(), late(ORIGINAL), whole(REWRITE));
    assertKnown(false, Set.of(), without(ORIGINAL, Set.of(ONE)), whole(REWRITE));
  }

  @Test
  void soMustItsClauses() {
    assertKnown(false, Set.of(), whole(ORIGINAL), late(CLAUSE));
    assertKnown(false, Set.of(), whole(ORIGINAL), without(CLAUSE, Set.of(ONE)));
  }

  @Test
  void shardsThatFailedThePlainSearchTooAreNotMissed() {
    assertKnown(true, Set.of(ONE), without(ORIGINAL, Set.of(ONE)), whole(REWRITE));
    assertKnown(true, Set.of(ONE, TWO), without(ORIGINAL, Set.of(TWO)), whole(REWRITE));
  }

  @Test
  void asManyShardsAreNotTheSameShards() {
    assertKnown(false, Set.of(ONE), without(ORIGINAL, Set.of(TWO)), whole(REWRITE));
    assertKnown(false, Set.of(ONE), without(ORIGINAL, Set.of(ONE)), without(CLAUSE, Set.of(TWO)));
  }

  @Test
  void aShardThatIsNotNamedMayBeAnother() {
    Set<ShardKey> unknown = Set.of(ShardKey.UNKNOWN);
    assertKnown(false, unknown, without(ORIGINAL, unknown), whole(REWRITE));
  }

  @Test
  void whatOnlyARewriteReachedCannotBeCredited() {
    Window lucky =
        new Window(REWRITE, List.of(new WindowHit(new HitKey("dishes", 1, 7), 3)), false, Set.of());
    assertKnown(false, Set.of(ONE), without(ORIGINAL, Set.of(ONE)), lucky);
    assertKnown(true, Set.of(TWO), without(ORIGINAL, Set.of(TWO)), lucky);
  }

  @Test
  void aRewriteMayLackDocuments() {
    assertKnown(true, Set.of(), whole(ORIGINAL), new Window(REWRITE, List.of(), true, Set.of(ONE)));
  }
}
