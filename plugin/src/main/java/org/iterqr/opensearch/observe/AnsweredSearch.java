package org.iterqr.opensearch.observe;

import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.response.SearchSummary;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;

/**
 * A channel-enabled search whose response is about to be sent.
 *
 * @param identity who searched
 * @param summary the query-level facts
 * @param request as it was searched
 * @param response as it is sent; its hits carry their channels in {@code ChannelTags.FIELD}
 */
public record AnsweredSearch(
    SearchIdentity identity,
    SearchSummary summary,
    SearchRequest request,
    SearchResponse response) {}
