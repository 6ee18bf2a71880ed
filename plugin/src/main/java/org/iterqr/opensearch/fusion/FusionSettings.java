package org.iterqr.opensearch.fusion;

/**
 * How a pipeline fuses windows.
 *
 * @param strategy unless the request says otherwise
 * @param original weight of the original's window in reciprocal rank fusion
 * @param rewrite weight of a rewrite's window, times what the policy makes of the rewrite
 * @param rankConstant added to every rank; the larger, the less the top ranks stand out
 * @param appendBelow {@link FusionStrategy#APPEND} adds the rewrites' documents if the original's
 *     window has fewer hits than this
 */
public record FusionSettings(
    FusionStrategy strategy, double original, double rewrite, int rankConstant, int appendBelow) {}
