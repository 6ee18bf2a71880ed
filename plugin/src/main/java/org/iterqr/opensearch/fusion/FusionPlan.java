package org.iterqr.opensearch.fusion;

import java.util.Map;

/**
 * Everything that, with the windows, decides the fused list; what a page token pins.
 *
 * @param strategy how
 * @param original weight of the original's window
 * @param rewrites weight of each rewrite's window, by rewrite id; a rewrite without one takes no
 *     part
 * @param rankConstant added to every rank
 * @param appendBelow see {@link FusionSettings#appendBelow}
 * @param seed of the interleaving's coin
 */
public record FusionPlan(
    FusionStrategy strategy,
    double original,
    Map<String, Double> rewrites,
    int rankConstant,
    int appendBelow,
    long seed) {
  /** Largest weight. */
  public static final double MAX_WEIGHT = 1_000;

  boolean takesPart(Channel channel) {
    return !(channel instanceof Channel.Rewritten(var rewrite))
        || rewrites.containsKey(rewrite.id());
  }

  /** Reciprocal rank contribution of a channel. */
  double contribution(ChannelRank place) {
    return weight(place.channel()) / (rankConstant + place.rank());
  }

  private double weight(Channel channel) {
    return switch (channel) {
      case Channel.Original ignored -> original;
      case Channel.Clause ignored -> 0;
      case Channel.Rewritten(var rewrite) -> rewrites.get(rewrite.id());
    };
  }
}
