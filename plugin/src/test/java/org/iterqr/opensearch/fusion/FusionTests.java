package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.IntStream;
import org.iterqr.opensearch.client.Rewrite;
import org.junit.jupiter.api.Test;

class FusionTests {
  private static final FusionWeights WEIGHTS = new FusionWeights(1.0, 0.5, 60);
  private static final Channel ORIGINAL = new Channel.Original();
  private static final Channel FIRST =
      new Channel.Rewritten(new Rewrite("0000000000000001", "soup", 0.9));
  private static final Channel SECOND =
      new Channel.Rewritten(new Rewrite("0000000000000002", "broth", 0.8));

  private static HitKey key(long seqNo) {
    return new HitKey("dishes", 0, seqNo);
  }

  private static Window window(Channel channel, long... seqNos) {
    List<WindowHit> hits =
        IntStream.range(0, seqNos.length)
            .mapToObj(i -> new WindowHit(key(seqNos[i]), 10 - i))
            .toList();
    return new Window(channel, hits, false, 0);
  }

  private static List<Long> order(List<FusedHit> fused) {
    return fused.stream().map(hit -> hit.key().seqNo()).toList();
  }

  @Test
  void sumsWeightedReciprocalRanks() {
    List<FusedHit> fused =
        Fusion.fuse(List.of(window(ORIGINAL, 1, 2), window(FIRST, 2, 3)), WEIGHTS);
    assertEquals(List.of(2L, 1L, 3L), order(fused));
    assertEquals(1.0 / 62 + 0.5 / 61, fused.get(0).score(), 1e-12);
    assertEquals(1.0 / 61, fused.get(1).score(), 1e-12);
    assertEquals(0.5 / 62, fused.get(2).score(), 1e-12);
  }

  @Test
  void tellsEveryChannelWithItsOwnRankAndScore() {
    List<FusedHit> fused =
        Fusion.fuse(
            List.of(window(ORIGINAL, 1, 2), window(FIRST, 3, 2), window(SECOND, 2)), WEIGHTS);
    assertEquals(2L, fused.getFirst().key().seqNo());
    assertEquals(
        List.of(
            new ChannelRank(ORIGINAL, 2, 9),
            new ChannelRank(FIRST, 2, 9),
            new ChannelRank(SECOND, 1, 10)),
        fused.getFirst().channels());
  }

  @Test
  void aloneTheOriginalKeepsItsOrder() {
    assertEquals(
        List.of(5L, 3L, 9L), order(Fusion.fuse(List.of(window(ORIGINAL, 5, 3, 9)), WEIGHTS)));
  }

  @Test
  void tiesAreBrokenTheSameWayInAnyOrderOfDiscovery() {
    FusionWeights equal = new FusionWeights(1, 1, 60);
    List<FusedHit> fused = Fusion.fuse(List.of(window(ORIGINAL, 8, 7), window(FIRST, 7, 8)), equal);
    assertEquals(List.of(7L, 8L), order(fused));
    List<FusedHit> swapped =
        Fusion.fuse(List.of(window(ORIGINAL, 7, 8), window(FIRST, 8, 7)), equal);
    assertEquals(List.of(7L, 8L), order(swapped));
  }

  @Test
  void weightZeroRetrievesButNeverLifts() {
    List<FusedHit> fused =
        Fusion.fuse(List.of(window(ORIGINAL, 1, 2), window(FIRST, 3)), new FusionWeights(1, 0, 60));
    assertEquals(List.of(1L, 2L, 3L), order(fused));
    assertEquals(0, fused.getLast().score());
  }

  @Test
  void sameSequenceNumberOnAnotherShardOrIndexIsAnotherDocument() {
    Window original =
        new Window(
            ORIGINAL,
            List.of(
                new WindowHit(new HitKey("a", 0, 1), 3),
                new WindowHit(new HitKey("a", 1, 1), 2),
                new WindowHit(new HitKey("b", 0, 1), 1)),
            false,
            0);
    List<FusedHit> fused = Fusion.fuse(List.of(original), WEIGHTS);
    assertEquals(3, fused.size());
    assertTrue(fused.stream().allMatch(hit -> hit.channels().size() == 1));
  }

  @Test
  void nothingRetrievedIsAnEmptyList() {
    assertEquals(List.of(), Fusion.fuse(List.of(window(ORIGINAL), window(FIRST)), WEIGHTS));
  }
}
