package org.iterqr.opensearch.policy;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;

/**
 * What a policy knows of one rewrite.
 *
 * @param position among the rewrites, from 0
 * @param confidence 0 to 1
 * @param overlap share of the original's first {@link OriginalFeatures#TOP} hits that are among as
 *     many of the rewrite's; 0 if the original has none
 */
public record RewriteFeatures(int position, double confidence, double overlap) {
  /**
   * @param position among the rewrites, from 0
   * @param confidence 0 to 1
   * @param original window of the original
   * @param rewrite window of the rewrite
   * @return its features
   */
  public static RewriteFeatures of(
      int position, double confidence, Window original, Window rewrite) {
    Set<HitKey> shared = top(original);
    int originals = shared.size();
    shared.retainAll(top(rewrite));
    return new RewriteFeatures(
        position, confidence, originals == 0 ? 0 : shared.size() / (double) originals);
  }

  private static Set<HitKey> top(Window window) {
    List<WindowHit> hits = window.hits();
    Set<HitKey> keys = new HashSet<>();
    hits.subList(0, Math.min(OriginalFeatures.TOP, hits.size()))
        .forEach(hit -> keys.add(hit.key()));
    return keys;
  }
}
