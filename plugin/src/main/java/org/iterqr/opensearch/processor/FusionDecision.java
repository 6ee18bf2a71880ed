package org.iterqr.opensearch.processor;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.ShardKey;
import org.iterqr.opensearch.fusion.TeamDraft;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.policy.Policy;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.PolicyInForce;
import org.iterqr.opensearch.policy.PolicyReader;
import org.iterqr.opensearch.response.FusionFacts;
import org.iterqr.opensearch.search.ChannelRun;

/**
 * Decides how one search's windows are fused: by its page token or by policy and settings. Pure.
 */
final class FusionDecision {
  private FusionDecision() {}

  /**
   * @param search what the request processor found out
   * @param reply the rewrites
   * @param windows the original's first
   * @param settings of the pipeline
   * @return how they are fused; empty if the reply's policy is none
   */
  static Optional<FusionFacts> decide(
      ChannelRun.Plan search, RewriteReply reply, List<Window> windows, FusionSettings settings) {
    if (search.pinned().isPresent()) {
      FusionPlan pinned = search.pinned().get().fusion();
      return Optional.of(new FusionFacts(pinned, windows, Optional.empty()));
    }
    Optional<PolicyInForce> inForce = policyOf(search.options(), reply);
    if (inForce.isEmpty()) {
      return Optional.empty();
    }
    int characters = RewriteLimits.length(search.query());
    PolicyDecision decision =
        PolicyDecision.decide(
            inForce.get().policy(), inForce.get().source(), characters, reply.rewrites(), windows);
    Map<String, Double> weights = new HashMap<>();
    decision
        .factors()
        .forEach(
            (id, factor) ->
                weights.put(id, Math.min(factor * settings.rewrite(), FusionPlan.MAX_WEIGHT)));
    return Optional.of(
        new FusionFacts(plan(search, settings, weights), windows, Optional.of(decision)));
  }

  /**
   * @param windows the original's first
   * @param plainFailed shards that gave the original search itself no answer
   * @return whether the original's and its clauses' windows are whole, but for shards that nobody
   *     reached: a document that one of them lacks for want of time or of a shard would be credited
   *     to rewrites alone
   */
  static boolean knowsOriginals(List<Window> windows, Set<ShardKey> plainFailed) {
    Set<ShardKey> missed = new HashSet<>();
    for (Window window : windows) {
      if (window.isOriginals()) {
        if (window.timedOut()) {
          return false;
        }
        missed.addAll(window.failedShards());
      }
    }
    if (missed.isEmpty()) {
      return true;
    }
    return !missed.contains(ShardKey.UNKNOWN)
        && plainFailed.containsAll(missed)
        && windows.stream()
            .flatMap(window -> window.hits().stream())
            .noneMatch(hit -> missed.contains(hit.key().shardKey()));
  }

  /**
   * @param options of the search
   * @param reply the rewrites
   * @return the request's policy, else the pipeline's, the checkpoint's, the plugin's own; empty if
   *     the checkpoint's is none
   */
  static Optional<PolicyInForce> policyOf(SearchOptions options, RewriteReply reply) {
    if (options.policy().isPresent()) {
      return options.policy();
    }
    if (reply.policyJson().isEmpty()) {
      return Optional.of(
          new PolicyInForce(PolicyReader.byDefault(), PolicyDecision.Source.DEFAULT));
    }
    try {
      Policy checkpoints = PolicyReader.parse(reply.policyJson());
      return Optional.of(new PolicyInForce(checkpoints, PolicyDecision.Source.CHECKPOINT));
    } catch (IllegalArgumentException e) {
      return Optional.empty();
    }
  }

  /**
   * @param search what the request processor found out
   * @param settings of the pipeline
   * @return a plan in which no rewrite takes part: later pages are the original's
   */
  static FusionPlan originalAlone(ChannelRun.Plan search, FusionSettings settings) {
    return search.pinned().map(PageToken::fusion).orElseGet(() -> plan(search, settings, Map.of()));
  }

  /**
   * @param search what the request processor found out
   * @param settings of the pipeline
   * @param weights of the rewrites in the expanded query
   * @return a plan that pins them for later pages
   */
  static FusionPlan expanded(
      ChannelRun.Plan search, FusionSettings settings, Map<String, Double> weights) {
    return plan(search, settings, weights);
  }

  private static FusionPlan plan(
      ChannelRun.Plan search, FusionSettings settings, Map<String, Double> weights) {
    String seedText =
        search.identity().queryId().isEmpty() ? search.digest() : search.identity().queryId();
    return new FusionPlan(
        search.options().fusion().orElse(settings.strategy()),
        settings.original(),
        Map.copyOf(weights),
        settings.rankConstant(),
        settings.appendBelow(),
        TeamDraft.seed(seedText));
  }
}
