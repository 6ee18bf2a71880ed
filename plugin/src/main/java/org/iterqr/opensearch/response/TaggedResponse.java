package org.iterqr.opensearch.response;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.FusedPage;
import org.iterqr.opensearch.query.ExpandedQuery;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.search.SearchResponseSections;
import org.opensearch.common.document.DocumentField;
import org.opensearch.search.SearchExtBuilder;
import org.opensearch.search.SearchHit;
import org.opensearch.search.SearchHits;
import org.opensearch.search.aggregations.InternalAggregations;
import org.opensearch.search.internal.InternalSearchResponse;
import org.opensearch.search.profile.ProfileShardResult;
import org.opensearch.search.profile.SearchProfileShardResults;

/**
 * Makes the response of a channel-enabled search from the plain one: hits tagged, {@code
 * ext.iterqr} appended (unless the UBI plugin writes the response's ext section: a second one
 * beside it would break the JSON), {@code took} updated. Totals, aggregations, suggestions, profile
 * and shard counts are always those of the original search. Whatever is thrown, the plain response
 * and its hits are then as they were.
 */
public final class TaggedResponse {
  private TaggedResponse() {}

  /**
   * @param plain the original search's response
   * @param page the fused page
   * @param maxScore the fused list's best score
   * @param windowTimedOut whether any window's search was cut short
   * @param tookMs of the whole
   * @param summary for the ext section
   * @return a response with the page's hits; their scores are the fused ones
   */
  public static SearchResponse fused(
      SearchResponse plain,
      List<FusedPage.Entry<SearchHit>> page,
      float maxScore,
      boolean windowTimedOut,
      long tookMs,
      SearchSummary summary) {
    SearchHit[] hits = page.stream().map(FusedPage.Entry::hit).toArray(SearchHit[]::new);
    List<DocumentField> tags = page.stream().map(entry -> ChannelTags.of(entry.fused())).toList();
    SearchHits searchHits = new SearchHits(hits, plain.getHits().getTotalHits(), maxScore);
    SearchResponse response =
        rebuild(plain, searchHits, plain.isTimedOut() || windowTimedOut, tookMs, summary);
    // Last, what cannot fail at the very end: many hits are the plain response's own.
    ChannelTags.write(hits, tags);
    for (int i = 0; i < hits.length; i++) {
      hits[i].score((float) page.get(i).fused().score());
    }
    return response;
  }

  /**
   * @param plain the original search's response
   * @param from 0-based rank of its first hit; negative where it is not by rank
   * @param tookMs of the whole
   * @param summary for the ext section
   * @return a response with the plain hits, tagged where their rank is known
   */
  public static SearchResponse plain(
      SearchResponse plain, int from, long tookMs, SearchSummary summary) {
    SearchHit[] hits = plain.getHits().getHits();
    List<DocumentField> tags =
        from < 0 ? List.of() : ChannelTags.ofPlain(hits, from, summary.windowSize());
    SearchResponse response = rebuild(plain, plain.getHits(), plain.isTimedOut(), tookMs, summary);
    ChannelTags.write(hits, tags);
    return response;
  }

  /**
   * @param plain the expanded search's response
   * @param rewrites that may be in its query
   * @param tookMs of the whole
   * @param summary for the ext section
   * @return the response, its hits tagged with what they match; our clauses' names are taken off
   */
  public static SearchResponse expanded(
      SearchResponse plain, List<Rewrite> rewrites, long tookMs, SearchSummary summary) {
    SearchHit[] hits = plain.getHits().getHits();
    List<DocumentField> tags =
        Arrays.stream(hits).map(hit -> ChannelTags.ofMatched(hit, rewrites)).toList();
    SearchResponse response = rebuild(plain, plain.getHits(), plain.isTimedOut(), tookMs, summary);
    ChannelTags.write(hits, tags);
    for (SearchHit hit : hits) {
      Map<String, Float> named = new LinkedHashMap<>(hit.getMatchedQueriesAndScores());
      named.keySet().removeIf(ExpandedQuery::isOurs);
      hit.matchedQueriesWithScores(named);
    }
    return response;
  }

  private static SearchResponse rebuild(
      SearchResponse plain, SearchHits hits, boolean timedOut, long tookMs, SearchSummary summary) {
    SearchResponseSections sections = plain.getInternalResponse();
    List<SearchExtBuilder> exts = new ArrayList<>(sections.getSearchExtBuilders());
    if (!summary.identity().ubiPluginAnswers()) {
      exts.add(summary.toExt());
    }
    Map<String, ProfileShardResult> profile = plain.getProfileResults();
    InternalSearchResponse internal =
        new InternalSearchResponse(
            hits,
            (InternalAggregations) plain.getAggregations(),
            plain.getSuggest(),
            profile.isEmpty() ? null : new SearchProfileShardResults(profile),
            timedOut,
            plain.isTerminatedEarly(),
            plain.getNumReducePhases(),
            exts,
            sections.getProcessorResult());
    return new SearchResponse(
        internal,
        plain.getScrollId(),
        plain.getTotalShards(),
        plain.getSuccessfulShards(),
        plain.getSkippedShards(),
        tookMs,
        plain.getPhaseTook(),
        plain.getShardFailures(),
        plain.getClusters(),
        plain.pointInTimeId());
  }
}
