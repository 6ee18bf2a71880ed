package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;

class FusedPageTests {
  private static final RewriteCredit NO_ORIGINALS = new RewriteCredit(List.of(), Map.of());

  /** A hit is its document's id. */
  private static FusedPage<String> page(int from, int size, long... seqNos) {
    List<FusedHit> fused =
        LongStream.of(seqNos)
            .mapToObj(
                seqNo ->
                    new FusedHit(
                        key(seqNo),
                        1.0 / seqNo,
                        List.of(new ChannelRank(new Channel.Original(), 1, 1, 0)),
                        Team.NONE))
            .toList();
    return new FusedPage<>(fused, from, size, hit -> hit, NO_ORIGINALS);
  }

  private static HitKey key(long seqNo) {
    return new HitKey("dishes", 0, seqNo);
  }

  private static Map<HitKey, String> hits(long... seqNos) {
    Map<HitKey, String> hits = new HashMap<>();
    LongStream.of(seqNos).forEach(seqNo -> hits.put(key(seqNo), "doc-" + seqNo));
    return hits;
  }

  private static List<Long> missing(FusedPage<String> page) {
    return page.missing().stream().map(hit -> hit.key().seqNo()).toList();
  }

  private static List<String> shown(FusedPage<String> page) {
    return page.entries().stream().map(FusedPage.Entry::hit).toList();
  }

  @Test
  void asksOnlyForTheSlice() {
    assertEquals(List.of(3L, 4L), missing(page(2, 2, 1, 2, 3, 4, 5)));
  }

  @Test
  void asksOnlyForWhatIsNotAtHand() {
    FusedPage<String> page = page(0, 3, 1, 2, 3);
    page.put(hits(1, 3));
    assertEquals(List.of(2L), missing(page));
    page.put(hits(2));
    assertEquals(List.of(), missing(page));
    assertEquals(List.of("doc-1", "doc-2", "doc-3"), shown(page));
  }

  @Test
  void aVanishedDocumentIsReplacedByTheNext() {
    FusedPage<String> page = page(0, 2, 1, 2, 3);
    page.put(hits(1));
    page.drop(Set.of(key(2)));
    assertEquals(List.of(3L), missing(page));
    page.put(hits(3));
    assertEquals(List.of("doc-1", "doc-3"), shown(page));
  }

  @Test
  void anUpdatedDocumentIsShownOnce() {
    FusedPage<String> page = page(0, 2, 1, 2, 3);
    page.put(Map.of(key(1), "same", key(2), "same", key(3), "other"));
    assertEquals(List.of(), missing(page));
    assertEquals(List.of("same", "other"), shown(page));
  }

  @Test
  void documentsWithoutIdentityAreNotMistakenForOneAnother() {
    FusedPage<String> page =
        new FusedPage<>(
            List.of(
                new FusedHit(key(1), 2, List.of(), Team.NONE),
                new FusedHit(key(2), 1, List.of(), Team.NONE)),
            0,
            2,
            hit -> null,
            NO_ORIGINALS);
    page.put(hits(1, 2));
    assertEquals(List.of(), missing(page));
    assertEquals(List.of("doc-1", "doc-2"), shown(page));
  }

  @Test
  void endsWithTheList() {
    assertEquals(List.of(3L), missing(page(2, 10, 1, 2, 3)));
    assertEquals(List.of(), missing(page(7, 10, 1, 2, 3)));
    assertEquals(List.of(), shown(page(7, 10, 1, 2, 3)));
  }

  @Test
  void leavesOutWhatStayedMissing() {
    FusedPage<String> page = page(0, 3, 1, 2, 3);
    page.put(hits(1, 3));
    assertEquals(List.of("doc-1", "doc-3"), shown(page));
  }
}
