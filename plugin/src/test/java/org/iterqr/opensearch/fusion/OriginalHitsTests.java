package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class OriginalHitsTests {
  private static WindowHit entry(int shard, long seqNo, float score) {
    return new WindowHit(new HitKey("dishes", shard, seqNo), score);
  }

  private static RankedHit hit(int shard, float score) {
    return new RankedHit("dishes", shard, score);
  }

  private static Window window(WindowHit... hits) {
    return Window.whole(new Channel.Original(), List.of(hits));
  }

  @Test
  void recognisesByRankShardAndScore() {
    Window window = window(entry(0, 11, 3), entry(1, 12, 2), entry(0, 13, 1));
    assertEquals(
        Map.of(key(0, 11), 0, key(1, 12), 1),
        OriginalHits.recognise(window, 50, 0, List.of(hit(0, 3), hit(1, 2))));
  }

  @Test
  void countsRanksFromThePagesStart() {
    Window window = window(entry(0, 11, 3), entry(1, 12, 2), entry(0, 13, 1));
    assertEquals(Map.of(key(1, 12), 0), OriginalHits.recognise(window, 50, 1, List.of(hit(1, 2))));
  }

  @Test
  void equalScoresOnOneShardAreInDoubt() {
    Window window = window(entry(0, 11, 2), entry(0, 12, 2), entry(1, 13, 2));
    assertEquals(
        Map.of(key(1, 13), 2),
        OriginalHits.recognise(window, 50, 0, List.of(hit(0, 2), hit(0, 2), hit(1, 2))));
  }

  @Test
  void aNeighbourOffThePageRaisesDoubtToo() {
    Window window = window(entry(0, 11, 3), entry(0, 12, 2), entry(0, 13, 2));
    assertEquals(
        Map.of(key(0, 11), 0),
        OriginalHits.recognise(window, 50, 0, List.of(hit(0, 3), hit(0, 2))));
  }

  @Test
  void theLastScoreOfAFullWindowIsInDoubt() {
    Window window = window(entry(0, 11, 3), entry(1, 12, 2), entry(0, 13, 2));
    assertEquals(
        Map.of(key(0, 11), 0),
        OriginalHits.recognise(window, 3, 0, List.of(hit(0, 3), hit(1, 2), hit(0, 2))));
  }

  @Test
  void anotherOrderIsNotRecognised() {
    Window window = window(entry(0, 11, 3), entry(1, 12, 2));
    assertEquals(Map.of(), OriginalHits.recognise(window, 50, 0, List.of(hit(1, 2), hit(0, 3))));
  }

  @Test
  void hitsBeyondTheWindowAreNotRecognised() {
    assertEquals(
        Map.of(key(0, 11), 0),
        OriginalHits.recognise(window(entry(0, 11, 3)), 50, 0, List.of(hit(0, 3), hit(0, 2))));
  }

  private static HitKey key(int shard, long seqNo) {
    return new HitKey("dishes", shard, seqNo);
  }
}
