package org.iterqr.opensearch.response;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.policy.OriginalFeatures;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.RewriteFeatures;

/**
 * How the windows of one search were fused.
 *
 * @param plan weights in force, by which pages can be made again
 * @param windows what was fused, the original's first
 * @param policy what the policy decided on which features; empty where a page token pinned the plan
 */
public record FusionFacts(FusionPlan plan, List<Window> windows, Optional<PolicyDecision> policy) {

  /** Member {@code fusion} of the response's section. */
  Map<String, Object> fusion() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("strategy", plan.strategy().wireName());
    map.put("original_weight", plan.original());
    map.put("rank_constant", plan.rankConstant());
    map.put("append_below", plan.appendBelow());
    map.put("seed", Long.toHexString(plan.seed()));
    Map<String, Object> clauses = new LinkedHashMap<>();
    for (Window window : windows) {
      if (window.channel() instanceof Channel.Clause(String name)) {
        clauses.put("original/" + name, window.hits().size());
      }
    }
    if (!clauses.isEmpty()) {
      map.put("sub_channels", clauses);
    }
    return map;
  }

  /** Member {@code policy} of the response's section: what it went by. */
  Optional<Map<String, Object>> policyMember() {
    return policy.map(
        decision -> {
          OriginalFeatures original = decision.original();
          Map<String, Object> map = new LinkedHashMap<>();
          map.put("policy_id", decision.policyId());
          map.put("source", decision.source().wireName());
          map.put("hits", original.hits());
          map.put("flatness", original.flatness());
          map.put("strength", original.strength());
          map.put("score_a_character", original.scoreACharacter());
          return map;
        });
  }

  /** What is known of one rewrite besides its text: hits in its window, weight, overlap. */
  Map<String, Object> of(Rewrite rewrite) {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("retrieved", retrieved(rewrite));
    map.put("weight", plan.rewrites().getOrDefault(rewrite.id(), 0.0));
    policy
        .map(decision -> decision.rewrites().get(rewrite.id()))
        .map(RewriteFeatures::overlap)
        .ifPresent(overlap -> map.put("overlap", overlap));
    return map;
  }

  private int retrieved(Rewrite rewrite) {
    return windows.stream()
        .filter(
            window ->
                window.channel() instanceof Channel.Rewritten(Rewrite of)
                    && of.id().equals(rewrite.id()))
        .mapToInt(window -> window.hits().size())
        .sum();
  }
}
