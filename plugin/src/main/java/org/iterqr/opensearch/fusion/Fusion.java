package org.iterqr.opensearch.fusion;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Weighted reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009). Pure: the same
 * windows and weights give the same list, ties included, so that pages cut from it fit together.
 */
public final class Fusion {
  private static final Comparator<FusedHit> ORDER =
      Comparator.comparingDouble(FusedHit::score)
          .reversed()
          .thenComparingInt(FusedHit::bestRank)
          .thenComparing(FusedHit::key);

  private Fusion() {}

  /**
   * @param windows the original's first, then the rewrites' in their order
   * @param weights how much each counts
   * @return every document of any window, best first
   */
  public static List<FusedHit> fuse(List<Window> windows, FusionWeights weights) {
    Map<HitKey, List<ChannelRank>> ranks = new LinkedHashMap<>();
    for (Window window : windows) {
      int rank = 0;
      for (WindowHit hit : window.hits()) {
        rank++;
        ranks
            .computeIfAbsent(hit.key(), key -> new ArrayList<>(windows.size()))
            .add(new ChannelRank(window.channel(), rank, hit.score()));
      }
    }
    List<FusedHit> fused = new ArrayList<>(ranks.size());
    ranks.forEach(
        (key, channels) -> fused.add(new FusedHit(key, score(channels, weights), channels)));
    fused.sort(ORDER);
    return fused;
  }

  private static double score(List<ChannelRank> channels, FusionWeights weights) {
    double score = 0;
    for (ChannelRank channel : channels) {
      score += weights.of(channel.channel()) / (weights.rankConstant() + channel.rank());
    }
    return score;
  }
}
