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
 */
public record OriginalFeatures(int hits, double flatness) {
  /** How many first hits are looked at. */
  public static final int TOP = 10;

  /**
   * @param window the original's
   * @return its features
   */
  public static OriginalFeatures of(Window window) {
    List<WindowHit> hits = window.hits();
    if (hits.isEmpty()) {
      return new OriginalFeatures(0, 0);
    }
    float first = hits.getFirst().score();
    float last = hits.get(Math.min(TOP, hits.size()) - 1).score();
    double flatness = first > 0 ? Math.clamp((double) last / first, 0, 1) : 0;
    return new OriginalFeatures(hits.size(), flatness);
  }

  /**
   * @return how good the result looks, 0 (empty) to 1: flatness, less where the first page is not
   *     full
   */
  public double strength() {
    return flatness * Math.min(1, hits / (double) TOP);
  }
}
