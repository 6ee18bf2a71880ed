package org.iterqr.opensearch.options;

import java.util.Optional;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.policy.PolicyInForce;
import org.iterqr.opensearch.query.RewriteTemplate;

/**
 * The options in force for one search: the pipeline's, with the request's in their place.
 *
 * @param mode what rewrites do
 * @param budgetMs longest time from the request to the fused response
 * @param windowSize hits of each channel that are fused
 * @param maxRewrites most rewrites asked for
 * @param region market of the user; may be empty
 * @param tenant owner of the traffic; may be empty
 * @param fusion how windows are fused; empty: as the response processor says
 * @param policy the request's or the pipeline's; empty: the reply's or the default
 * @param rewriteQuery template of the rewrites' queries; empty: they have the user's own shape
 */
public record SearchOptions(
    Mode mode,
    int budgetMs,
    int windowSize,
    int maxRewrites,
    String region,
    String tenant,
    Optional<FusionStrategy> fusion,
    Optional<PolicyInForce> policy,
    Optional<RewriteTemplate> rewriteQuery) {
  /**
   * @return the same in the mode's shadow
   */
  public SearchOptions shadowed() {
    return new SearchOptions(
        mode.shadowed(),
        budgetMs,
        windowSize,
        maxRewrites,
        region,
        tenant,
        fusion,
        policy,
        rewriteQuery);
  }

  /**
   * @param pinned by a page token
   * @return the same with another window
   */
  public SearchOptions withWindowSize(int pinned) {
    return new SearchOptions(
        mode, budgetMs, pinned, maxRewrites, region, tenant, fusion, policy, rewriteQuery);
  }
}
