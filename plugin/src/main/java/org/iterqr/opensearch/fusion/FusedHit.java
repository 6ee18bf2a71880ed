package org.iterqr.opensearch.fusion;

import java.util.List;

/**
 * A document of the fused list.
 *
 * @param key the document
 * @param score the sum of its channels' contributions
 * @param channels where it was retrieved, the original first, then the rewrites in their order
 * @param team which side of an interleaving put it there
 */
public record FusedHit(HitKey key, double score, List<ChannelRank> channels, Team team) {
  static FusedHit of(HitKey key, List<ChannelRank> channels, Team team) {
    double score = channels.stream().mapToDouble(ChannelRank::contribution).sum();
    return new FusedHit(key, score, channels, team);
  }

  /**
   * @return its best rank in the original's window or a rewrite's
   */
  int bestRank() {
    return channels.stream()
        .filter(place -> !(place.channel() instanceof Channel.Clause))
        .mapToInt(ChannelRank::rank)
        .min()
        .orElseThrow();
  }
}
