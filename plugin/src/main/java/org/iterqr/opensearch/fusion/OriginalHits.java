package org.iterqr.opensearch.fusion;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Recognises the plain response's hits in the original's window, so that they need not be fetched
 * again. The plain response carries no sequence numbers (the search is left as the user wrote it),
 * so a hit is recognised by rank, shard and exact score, and only where no neighbour has the same
 * shard and score: copies of a shard may order equal scores differently. A full window's last score
 * may be that of documents beyond it, too.
 */
public final class OriginalHits {
  private OriginalHits() {}

  /**
   * @param window the original's
   * @param windowSize most hits it can have
   * @param from rank of the first hit in the plain response, 0-based
   * @param hits the plain response's, in order
   * @return positions in {@code hits} by document; the others must be fetched
   */
  public static Map<HitKey, Integer> recognise(
      Window window, int windowSize, int from, List<RankedHit> hits) {
    Map<RankedHit, Integer> occurrences = new HashMap<>();
    window.hits().forEach(hit -> occurrences.merge(ranked(hit), 1, Integer::sum));
    boolean full = window.hits().size() >= windowSize;
    float inDoubt = full ? window.hits().getLast().score() : Float.NaN;
    Map<HitKey, Integer> recognised = new HashMap<>();
    for (int i = 0; i < hits.size() && from + i < window.hits().size(); i++) {
      WindowHit entry = window.hits().get(from + i);
      RankedHit ranked = ranked(entry);
      if (ranked.equals(hits.get(i)) && occurrences.get(ranked) == 1 && entry.score() != inDoubt) {
        recognised.put(entry.key(), i);
      }
    }
    return recognised;
  }

  private static RankedHit ranked(WindowHit hit) {
    return new RankedHit(hit.key().index(), hit.key().shard(), hit.score());
  }
}
