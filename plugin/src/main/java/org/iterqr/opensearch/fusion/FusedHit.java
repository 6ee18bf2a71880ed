package org.iterqr.opensearch.fusion;

import java.util.List;

/**
 * A document of the fused list.
 *
 * @param key the document
 * @param score sum of weight / (rank constant + rank) over its channels
 * @param channels where it was retrieved, the original first, then the rewrites in their order
 */
public record FusedHit(HitKey key, double score, List<ChannelRank> channels) {
  /**
   * @return its best rank in any channel
   */
  int bestRank() {
    return channels.stream().mapToInt(ChannelRank::rank).min().orElseThrow();
  }
}
