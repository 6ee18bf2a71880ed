package org.iterqr.opensearch.observe;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.search.ChannelResult;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;

/**
 * A channel-enabled search whose response is about to be sent or, if it is shadowed, was sent.
 *
 * @param requestId ties the server's logs to this search; empty if the server was not asked
 * @param identity who searched
 * @param summary the query-level facts
 * @param request as it was searched
 * @param response as it is sent; its hits carry their channels in {@code ChannelTags.FIELD}
 * @param fused how the page came about, or the one that mode shadow kept back, if it was fused
 * @param expanded weights of the rewrites in the search's query, by id; empty if it has none
 */
public record AnsweredSearch(
    String requestId,
    SearchIdentity identity,
    SearchSummary summary,
    SearchRequest request,
    SearchResponse response,
    Optional<Fused> fused,
    Map<String, Double> expanded) {
  /**
   * What a fused page was cut from.
   *
   * @param retrieved the windows
   * @param plan they were fused with
   * @param list the whole fused list, best first
   */
  public record Fused(ChannelResult.Retrieved retrieved, FusionPlan plan, List<FusedHit> list) {}
}
