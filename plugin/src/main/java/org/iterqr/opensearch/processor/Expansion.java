package org.iterqr.opensearch.processor;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.lucene.search.IndexSearcher;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.policy.OriginalFeatures;
import org.iterqr.opensearch.policy.Policy;
import org.iterqr.opensearch.policy.RewriteFeatures;
import org.iterqr.opensearch.query.ExpandedQuery;
import org.iterqr.opensearch.query.Rewriting;
import org.iterqr.opensearch.query.SearchSource;
import org.iterqr.opensearch.search.ChannelRun;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.core.xcontent.NamedXContentRegistry;

/**
 * Mode expand: puts the rewrites into the search's own query, so that sorting, facets and deep
 * pages see what they match.
 */
final class Expansion {
  private Expansion() {}

  /**
   * How an expansion ended.
   *
   * @param outcome {@link Outcome#EXPANDED}, or why the query is the user's own
   * @param weights of the rewrites in it, by id
   */
  record Result(Outcome outcome, Map<String, Double> weights) {
    static Result not(Outcome outcome) {
      return new Result(outcome, Map.of());
    }
  }

  private record Decision(Result result, Map<String, Object> query) {
    static Decision not(Outcome outcome) {
      return new Decision(Result.not(outcome), Map.of());
    }
  }

  /**
   * Replaces the query of the request, or leaves it alone.
   *
   * @param search what the request processor found out
   * @param reply at least one rewrite
   * @param request to be expanded
   * @param registry parses the query
   * @return how it ended; the request is changed only if it is expanded
   * @throws IOException if the request has no JSON form
   */
  static Result expand(
      ChannelRun.Plan search,
      RewriteReply reply,
      SearchRequest request,
      NamedXContentRegistry registry)
      throws IOException {
    Decision decision = decide(search, reply, request);
    if (decision.result().outcome() == Outcome.EXPANDED) {
      request
          .source()
          .query(SearchSource.build(Map.of("query", decision.query()), registry).query());
    }
    return decision.result();
  }

  /**
   * Tells what {@link #expand} would do.
   *
   * @param search what the request processor found out
   * @param reply at least one rewrite
   * @param request not changed
   * @return how it would end
   * @throws IOException if the request has no JSON form
   */
  static Result shadow(ChannelRun.Plan search, RewriteReply reply, SearchRequest request)
      throws IOException {
    return decide(search, reply, request).result();
  }

  private static Decision decide(ChannelRun.Plan search, RewriteReply reply, SearchRequest request)
      throws IOException {
    Optional<Map<String, Double>> weights = weights(search, reply);
    if (weights.isEmpty()) {
      return Decision.not(Outcome.BAD_REPLY);
    }
    if (weights.get().isEmpty()) {
      return Decision.not(Outcome.ORIGINAL_SUFFICES);
    }
    SearchSource source = SearchSource.of(request.source());
    Optional<Rewriting> rewriting = search.rewriting(source);
    List<ExpandedQuery.Part> parts = new ArrayList<>();
    for (Rewrite rewrite : reply.rewrites()) {
      Double weight = weights.get().get(rewrite.id());
      if (weight != null) {
        parts.add(new ExpandedQuery.Part(rewrite.id(), rewrite.text(), weight));
      }
    }
    if (rewriting.isEmpty()) {
      return Decision.not(Outcome.NO_REWRITES);
    }
    ExpandedQuery expanded =
        source.expanded(rewriting.get(), parts, IndexSearcher.getMaxClauseCount());
    if (expanded.parts().isEmpty()) {
      return Decision.not(expanded.isCut() ? Outcome.SKIPPED_CLAUSES : Outcome.NO_REWRITES);
    }
    Map<String, Double> added = new LinkedHashMap<>();
    expanded.parts().forEach(part -> added.put(part.rewriteId(), part.weight()));
    return new Decision(new Result(Outcome.EXPANDED, added), expanded.query());
  }

  /** By confidence alone: of the original's result nothing is known yet. */
  private static Optional<Map<String, Double>> weights(ChannelRun.Plan search, RewriteReply reply) {
    if (search.pinned().isPresent()) {
      return Optional.of(search.pinned().get().fusion().rewrites());
    }
    return FusionDecision.policyOf(search.options(), reply)
        .map(
            policy -> {
              Map<String, Double> weights = new LinkedHashMap<>();
              for (int i = 0; i < reply.rewrites().size(); i++) {
                Rewrite rewrite = reply.rewrites().get(i);
                double weight = weight(policy.policy(), i, rewrite);
                if (weight > 0) {
                  weights.put(rewrite.id(), weight);
                }
              }
              return weights;
            });
  }

  private static double weight(Policy policy, int position, Rewrite rewrite) {
    return policy.factor(
        OriginalFeatures.NONE, new RewriteFeatures(position, rewrite.confidence(), 0));
  }
}
