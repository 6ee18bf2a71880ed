package org.iterqr.opensearch.policy;

import java.util.Optional;

/**
 * Whether to rewrite and how much each rewrite weighs: version 1 of the policy document ({@code
 * policy_v1.schema.json} of the contracts). Golden vectors keep this reading and the Python one
 * equal.
 *
 * @param id names it in facts
 * @param minQueryCharacters shorter queries are not rewritten
 * @param maxQueryCharacters longer queries are not rewritten
 * @param maxRewrites only the first rewrites are used
 * @param minConfidence a rewrite below it is not used
 * @param confidence factor of a rewrite's weight by its confidence; rises
 * @param strength factor of all rewrites' weights by the original's strength; falls
 * @param overlap factor of a rewrite's weight by its overlap with the original
 * @param weakOriginal beside which results rewrites lead
 */
public record Policy(
    String id,
    int minQueryCharacters,
    int maxQueryCharacters,
    int maxRewrites,
    double minConfidence,
    Curve confidence,
    Curve strength,
    Curve overlap,
    Optional<WeakOriginal> weakOriginal) {
  /**
   * A result that matches badly: rewrites lead beside it.
   *
   * @param scoreACharacter below it a result that has hits is weak
   * @param factor of rewrites' weights beside one, 0 to 10, in place of those by strength and
   *     overlap
   */
  public record WeakOriginal(double scoreACharacter, double factor) {
    boolean is(OriginalFeatures original) {
      return original.hits() > 0 && original.scoreACharacter() < scoreACharacter;
    }
  }

  /**
   * @param characters length of the user's text in code points
   * @return whether it is to be rewritten at all
   */
  public boolean rewrites(int characters) {
    return characters >= minQueryCharacters && characters <= maxQueryCharacters;
  }

  /**
   * @param original what is known of the original's result
   * @param rewrite what is known of the rewrite
   * @return the rewrite's weight as a share of the pipeline's; 0: it takes no part
   */
  public double factor(OriginalFeatures original, RewriteFeatures rewrite) {
    if (rewrite.position() >= maxRewrites || rewrite.confidence() < minConfidence) {
      return 0;
    }
    double sure = confidence.at(rewrite.confidence());
    if (weakOriginal.isPresent() && weakOriginal.get().is(original)) {
      return sure * weakOriginal.get().factor();
    }
    double factor = sure * strength.at(original.strength());
    // An empty result has nothing to agree with.
    return original.hits() == 0 ? factor : factor * overlap.at(rewrite.overlap());
  }
}
