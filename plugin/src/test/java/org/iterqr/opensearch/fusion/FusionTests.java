package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.iterqr.opensearch.client.Rewrite;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class FusionTests {
  private static final FusionPlan WEIGHTS = rrf(1.0, 0.5);
  private static final Channel ORIGINAL = new Channel.Original();
  private static final Channel FIRST =
      new Channel.Rewritten(new Rewrite("0000000000000001", "soup", 0.9));
  private static final Channel SECOND =
      new Channel.Rewritten(new Rewrite("0000000000000002", "broth", 0.8));

  private static FusionPlan rrf(double original, double rewrite) {
    return plan(FusionStrategy.RRF, original, rewrite, 10, 7);
  }

  private static FusionPlan plan(
      FusionStrategy strategy, double original, double rewrite, int appendBelow, long seed) {
    return new FusionPlan(
        strategy,
        original,
        Map.of("0000000000000001", rewrite, "0000000000000002", rewrite),
        60,
        appendBelow,
        seed);
  }

  private static HitKey key(long seqNo) {
    return new HitKey("dishes", 0, seqNo);
  }

  private static Window window(Channel channel, long... seqNos) {
    List<WindowHit> hits =
        IntStream.range(0, seqNos.length)
            .mapToObj(i -> new WindowHit(key(seqNos[i]), 10 - i))
            .toList();
    return Window.whole(channel, hits);
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
            new ChannelRank(ORIGINAL, 2, 9, 1.0 / 62),
            new ChannelRank(FIRST, 2, 9, 0.5 / 62),
            new ChannelRank(SECOND, 1, 10, 0.5 / 61)),
        fused.getFirst().channels());
  }

  @Test
  void aloneTheOriginalKeepsItsOrder() {
    assertEquals(
        List.of(5L, 3L, 9L), order(Fusion.fuse(List.of(window(ORIGINAL, 5, 3, 9)), WEIGHTS)));
  }

  @Test
  void tiesAreBrokenTheSameWayInAnyOrderOfDiscovery() {
    FusionPlan equal = rrf(1, 1);
    List<FusedHit> fused = Fusion.fuse(List.of(window(ORIGINAL, 8, 7), window(FIRST, 7, 8)), equal);
    assertEquals(List.of(7L, 8L), order(fused));
    List<FusedHit> swapped =
        Fusion.fuse(List.of(window(ORIGINAL, 7, 8), window(FIRST, 8, 7)), equal);
    assertEquals(List.of(7L, 8L), order(swapped));
  }

  @Test
  void weightZeroRetrievesButNeverLifts() {
    List<FusedHit> fused =
        Fusion.fuse(List.of(window(ORIGINAL, 1, 2), window(FIRST, 3)), rrf(1, 0));
    assertEquals(List.of(1L, 2L, 3L), order(fused));
    assertEquals(0, fused.getLast().score());
  }

  @Test
  void sameSequenceNumberOnAnotherShardOrIndexIsAnotherDocument() {
    Window original =
        Window.whole(
            ORIGINAL,
            List.of(
                new WindowHit(new HitKey("a", 0, 1), 3),
                new WindowHit(new HitKey("a", 1, 1), 2),
                new WindowHit(new HitKey("b", 0, 1), 1)));
    List<FusedHit> fused = Fusion.fuse(List.of(original), WEIGHTS);
    assertEquals(3, fused.size());
    assertTrue(fused.stream().allMatch(hit -> hit.channels().size() == 1));
  }

  @Test
  void nothingRetrievedIsAnEmptyList() {
    assertEquals(List.of(), Fusion.fuse(List.of(window(ORIGINAL), window(FIRST)), WEIGHTS));
  }

  @Test
  void aRewriteWithoutWeightTakesNoPart() {
    FusionPlan firstOnly =
        new FusionPlan(FusionStrategy.RRF, 1, Map.of("0000000000000001", 0.5), 60, 10, 0);
    List<Window> windows = List.of(window(ORIGINAL, 1), window(FIRST, 2), window(SECOND, 1, 3));
    List<FusedHit> fused = Fusion.fuse(windows, firstOnly);
    assertEquals(List.of(1L, 2L), order(fused));
    assertEquals(1, fused.getFirst().channels().size());
    assertFalse(Fusion.originalSuffices(windows, firstOnly));
    assertTrue(
        Fusion.originalSuffices(
            windows, new FusionPlan(FusionStrategy.RRF, 1, Map.of(), 60, 10, 0)));
  }

  @ParameterizedTest
  @EnumSource
  void contributionsAddUpToScoresThatNeverRise(FusionStrategy strategy) {
    List<Window> windows =
        List.of(
            window(ORIGINAL, 1, 2, 3, 4),
            window(FIRST, 9, 3, 8, 1),
            window(SECOND, 3, 7, 9, 6, 5, 10));
    List<FusedHit> fused = Fusion.fuse(windows, plan(strategy, 1, 0.5, 10, 42));
    assertEquals(10, fused.size());
    double before = Double.MAX_VALUE;
    for (FusedHit hit : fused) {
      double sum = hit.channels().stream().mapToDouble(ChannelRank::contribution).sum();
      assertEquals(hit.score(), sum, 1e-15);
      assertTrue(hit.score() <= before);
      before = hit.score();
    }
  }

  @Test
  void appendKeepsTheOriginalsOrderAndAddsTheRewritesBelowIt() {
    List<Window> windows =
        List.of(window(ORIGINAL, 5, 3), window(FIRST, 9, 3), window(SECOND, 8, 9));
    FusionPlan append = plan(FusionStrategy.APPEND, 1, 1000, 3, 0);
    assertEquals(List.of(5L, 3L, 9L, 8L), order(Fusion.fuse(windows, append)));
    assertFalse(Fusion.originalSuffices(windows, append));
    assertTrue(Fusion.originalSuffices(windows, plan(FusionStrategy.APPEND, 1, 1, 2, 0)));
    assertFalse(Fusion.originalSuffices(windows, plan(FusionStrategy.RRF, 1, 1, 2, 0)));
  }

  @Test
  void interleavingPicksInTurnsAndRemembersTheTeam() {
    List<Window> windows = List.of(window(ORIGINAL, 1, 2, 3), window(FIRST, 2, 4, 5, 6));
    for (long seed = 0; seed < 50; seed++) {
      List<FusedHit> list = Fusion.fuse(windows, plan(FusionStrategy.INTERLEAVE, 1, 0.5, 10, seed));
      assertEquals(list, Fusion.fuse(windows, plan(FusionStrategy.INTERLEAVE, 1, 0.5, 10, seed)));
      assertEquals(6, list.stream().map(FusedHit::key).distinct().count());
      int lead = 0;
      for (FusedHit hit : list.subList(0, 5)) {
        lead += hit.team() == Team.ORIGINAL ? 1 : -1;
        assertTrue(Math.abs(lead) <= 1, "picks in turns");
      }
      for (FusedHit hit : list) {
        for (ChannelRank place : hit.channels()) {
          boolean ofTeam =
              (place.channel() instanceof Channel.Original) == (hit.team() == Team.ORIGINAL);
          assertEquals(ofTeam ? hit.score() : 0, place.contribution(), 1e-15);
        }
      }
    }
  }

  @Test
  void theCoinIsFairAndKnown() {
    long heads = LongStream.range(0, 10_000).filter(seed -> TeamDraft.coin(seed, 0)).count();
    assertTrue(heads > 4_800 && heads < 5_200, "heads: " + heads);
    assertEquals("ba7816bf8f01cfea", Long.toHexString(TeamDraft.seed("abc")));
  }

  @ParameterizedTest
  @EnumSource
  void aNamedClauseTagsButAddsNeitherDocumentNorScore(FusionStrategy strategy) {
    Channel clause = new Channel.Clause("embedding");
    FusionPlan plan = plan(strategy, 1, 0.5, 10, 7);
    Window original = window(ORIGINAL, 1, 2);
    Window rewrite = window(FIRST, 3, 2);
    List<FusedHit> without = Fusion.fuse(List.of(original, rewrite), plan);
    List<FusedHit> with = Fusion.fuse(List.of(original, window(clause, 9, 3, 1), rewrite), plan);
    assertEquals(order(without), order(with));
    assertEquals(
        without.stream().map(FusedHit::score).toList(),
        with.stream().map(FusedHit::score).toList());
    assertEquals(
        List.of(1L, 3L),
        with.stream()
            .filter(hit -> hit.channels().stream().anyMatch(p -> p.channel().equals(clause)))
            .map(hit -> hit.key().seqNo())
            .sorted()
            .toList());
    assertTrue(Fusion.originalSuffices(List.of(original, window(clause, 9)), plan));
  }
}
