package org.iterqr.opensearch.processor;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.TeamDraft;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.page.PageToken;
import org.iterqr.opensearch.policy.Policy;
import org.iterqr.opensearch.policy.PolicyDecision;
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
    Policy policy;
    PolicyDecision.Source source;
    if (search.options().policy().isPresent()) {
      policy = search.options().policy().get();
      source = PolicyDecision.Source.PIPELINE;
    } else if (reply.policyJson().isEmpty()) {
      policy = PolicyReader.byDefault();
      source = PolicyDecision.Source.DEFAULT;
    } else {
      try {
        policy = PolicyReader.parse(reply.policyJson());
      } catch (IllegalArgumentException e) {
        return Optional.empty();
      }
      source = PolicyDecision.Source.CHECKPOINT;
    }
    int characters = RewriteLimits.length(search.query());
    PolicyDecision decision =
        PolicyDecision.decide(policy, source, characters, reply.rewrites(), windows);
    Map<String, Double> weights = new HashMap<>();
    decision.factors().forEach((id, factor) -> weights.put(id, factor * settings.rewrite()));
    return Optional.of(
        new FusionFacts(plan(search, settings, weights), windows, Optional.of(decision)));
  }

  /**
   * @param search what the request processor found out
   * @param settings of the pipeline
   * @return a plan in which no rewrite takes part: later pages are the original's
   */
  static FusionPlan originalAlone(ChannelRun.Plan search, FusionSettings settings) {
    return search.pinned().map(PageToken::fusion).orElseGet(() -> plan(search, settings, Map.of()));
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
