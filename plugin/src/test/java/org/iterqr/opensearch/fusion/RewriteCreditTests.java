package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.iterqr.opensearch.client.Rewrite;
import org.junit.jupiter.api.Test;

/** A document that is updated between two windows' searches has a version in each. */
class RewriteCreditTests {
  private static final Channel ORIGINAL = new Channel.Original();
  private static final Channel CLAUSE = new Channel.Clause("embedding");
  private static final Channel REWRITE =
      new Channel.Rewritten(new Rewrite("0000000000000001", "soup", 1));

  /** Rewrites first, so that their version leads. */
  private static final FusionPlan PLAN =
      new FusionPlan(FusionStrategy.RRF, 1, Map.of("0000000000000001", 3.0), 60, 10, 0);

  private static HitKey key(long seqNo) {
    return new HitKey("dishes", 0, seqNo);
  }

  private static Window window(Channel channel, long... seqNos) {
    return Window.whole(
        channel,
        LongStream.of(seqNos).mapToObj(seqNo -> new WindowHit(key(seqNo), 1f / seqNo)).toList());
  }

  /** A hit is its document's id; the page has all the room there is. */
  private static FusedPage<String> page(Map<String, ChannelRank> plain, Window... windows) {
    return page(10, plain, windows);
  }

  private static FusedPage<String> page(
      int size, Map<String, ChannelRank> plain, Window... windows) {
    List<Window> all = List.of(windows);
    return new FusedPage<>(
        Fusion.fuse(all, PLAN), 0, size, hit -> hit, new RewriteCredit(all, plain));
  }

  private static Map<String, ChannelRank> plain(String document, int rank) {
    return Map.of(document, new ChannelRank(ORIGINAL, rank, 7, 0));
  }

  private static Set<HitKey> suspects(FusedPage<String> page) {
    return page.suspects(page.missing());
  }

  /** The channels of each document shown. */
  private static Map<String, List<Channel>> tags(FusedPage<String> page) {
    assertEquals(List.of(), page.missing());
    Map<String, List<Channel>> tags = new HashMap<>();
    for (FusedPage.Entry<String> entry : page.entries()) {
      tags.put(entry.hit(), entry.fused().channels().stream().map(ChannelRank::channel).toList());
    }
    return tags;
  }

  @Test
  void aDocumentOfThePlainResponseIsTheOriginalsInEveryVersion() {
    FusedPage<String> page = page(plain("x", 4), window(ORIGINAL, 5), window(REWRITE, 9));
    page.put(Map.of(key(5), "x"));
    assertEquals(Set.of(), suspects(page), "what became of x can be seen");
    page.put(Map.of(key(9), "x"));
    assertEquals(Map.of("x", List.of(ORIGINAL, REWRITE)), tags(page));
    FusedHit shown = page.entries().getFirst().fused();
    assertEquals(new ChannelRank(ORIGINAL, 4, 7, 0), shown.channels().getFirst());
    assertEquals(3.0 / 61, shown.score(), "the list was fused without that place");
  }

  @Test
  void whatMayBeAnOriginalsNewVersionIsNotShown() {
    FusedPage<String> page = page(Map.of(), window(ORIGINAL, 5), window(REWRITE, 3, 9));
    page.put(Map.of(key(3), "other", key(9), "x"));
    page.drop(Set.of(key(5)));
    assertEquals(
        Map.of("other", List.of(REWRITE)), tags(page), "an update has a higher number: 3 is none");
  }

  @Test
  void anOriginalsVersionBeyondThePageIsLookedForTogetherWithTheHits() {
    FusedPage<String> page = page(1, Map.of(), window(ORIGINAL, 1, 5), window(REWRITE, 9));
    assertEquals(List.of(9L), page.missing().stream().map(hit -> hit.key().seqNo()).toList());
    assertEquals(Set.of(key(1), key(5)), suspects(page));
    assertEquals(Set.of(), suspects(page), "once is enough: all windows were searched before");
    page.put(Map.of(key(9), "x"));
    page.drop(Set.of(key(5)));
    assertEquals(List.of(1L), page.missing().stream().map(hit -> hit.key().seqNo()).toList());
  }

  @Test
  void soIsOneOfANamedClause() {
    FusedPage<String> page =
        page(Map.of(), window(ORIGINAL), window(CLAUSE, 5), window(REWRITE, 9));
    assertEquals(Set.of(key(5)), suspects(page));
    page.put(Map.of(key(9), "x"));
    page.drop(Set.of(key(5)));
    assertEquals(Map.of(), tags(page));
  }

  @Test
  void nothingIsSuspectedOfBecomingAnOlderHitOrOneOfAnotherShard() {
    Window rewrite =
        Window.whole(
            REWRITE,
            List.of(
                new WindowHit(key(4), 3),
                new WindowHit(new HitKey("dishes", 1, 9), 2),
                new WindowHit(new HitKey("soups", 0, 9), 1)));
    assertEquals(Set.of(), suspects(page(Map.of(), window(ORIGINAL, 5), rewrite)));
  }

  @Test
  void hitsThatTheOriginalHasTooNeedNoSuspects() {
    assertEquals(Set.of(), suspects(page(Map.of(), window(ORIGINAL, 5, 9), window(REWRITE, 9))));
  }

  @Test
  void whereNothingIsGoneRewritesHaveTheirCredit() {
    FusedPage<String> page = page(Map.of(), window(ORIGINAL, 5), window(REWRITE, 9));
    assertEquals(Set.of(), suspects(page), "5 is fetched for the page");
    page.put(Map.of(key(5), "y", key(9), "x"));
    assertEquals(Map.of("y", List.of(ORIGINAL), "x", List.of(REWRITE)), tags(page));
  }

  @Test
  void aRecognisedHitWithoutAnIdIsAsSuspectAsAnyOther() {
    List<Window> windows = List.of(window(ORIGINAL, 5), window(REWRITE, 9));
    FusedPage<String> page =
        new FusedPage<>(
            Fusion.fuse(windows, PLAN), 0, 10, hit -> null, new RewriteCredit(windows, Map.of()));
    page.put(Map.of(key(5), "nameless"));
    assertEquals(Set.of(key(5)), suspects(page));
    page.put(Map.of(key(9), "nameless too"));
    page.drop(Set.of(key(5)));
    assertEquals(Map.of("nameless", List.of(ORIGINAL)), tags(page));
  }
}
