package org.iterqr.opensearch.policy;

import java.util.List;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;

/**
 * What a policy knows of the original's own result.
 *
 * @param hits in its window
 * @param flatness score of the last of its first {@link #TOP} hits over that of the first; 0 if
 *     there are none. A good result falls off slowly: many documents serve the query alike
 * @param scoreACharacter score of the first hit over the length of the user's text in code points;
 *     0 without hits. A text that the index does not know scores low for its length
 */
public record OriginalFeatures(int hits, double flatness, double scoreACharacter) {
  /** Of an empty result, or of one of which nothing is known. */
  public static final OriginalFeatures NONE = new OriginalFeatures(0, 0, 0);

  /** How many first hits are looked at. */
  public static final int TOP = 10;

  /**
   * @param window the original's
   * @param queryCharacters length of the user's text in code points, at least 1
   * @return its features
   */
  public static OriginalFeatures of(Window window, int queryCharacters) {
    List<WindowHit> hits = window.hits();
    if (hits.isEmpty()) {
      return NONE;
    }
    float first = hits.getFirst().score();
    float last = hits.get(Math.min(TOP, hits.size()) - 1).score();
    return first > 0
        ? new OriginalFeatures(
            hits.size(), Math.clamp((double) last / first, 0, 1), (double) first / queryCharacters)
        : new OriginalFeatures(hits.size(), 0, 0);
  }

  /**
   * @return how good the result looks, 0 (empty) to 1: flatness, less where the first page is not
   *     full
   */
  public double strength() {
    return flatness * Math.min(1, hits / (double) TOP);
  }
}
