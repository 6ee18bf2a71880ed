package org.iterqr.opensearch.fusion;

/**
 * How windows are fused.
 *
 * @param original weight of the original's window
 * @param rewrite weight of each rewrite's window
 * @param rankConstant added to every rank; the larger, the less the top ranks stand out
 */
public record FusionWeights(double original, double rewrite, int rankConstant) {
  /** Largest weight. */
  public static final double MAX_WEIGHT = 1_000;

  /** Largest rank constant. */
  public static final int MAX_RANK_CONSTANT = 10_000;

  double of(Channel channel) {
    return switch (channel) {
      case Channel.Original ignored -> original;
      case Channel.Rewritten ignored -> rewrite;
    };
  }
}
