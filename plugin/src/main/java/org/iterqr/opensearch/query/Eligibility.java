package org.iterqr.opensearch.query;

import java.util.Arrays;
import java.util.Optional;
import org.iterqr.opensearch.outcome.Outcome;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.search.sort.ScoreSortBuilder;
import org.opensearch.search.sort.SortBuilder;
import org.opensearch.search.sort.SortOrder;
import org.opensearch.transport.RemoteClusterAware;

/** Decides which searches the channel serves, by their features other than the text. */
public final class Eligibility {
  private static final int DEFAULT_SIZE = 10;

  private Eligibility() {}

  /**
   * @param request any search
   * @param windowSize how many hits of each channel are fused
   * @return why it is passed through, or empty if it is served
   */
  public static Optional<Outcome> skipReason(SearchRequest request, int windowSize) {
    return Optional.ofNullable(reason(request, windowSize));
  }

  /**
   * Looks at the request alone, at no cost; {@link #expandHarmReason} must be asked too.
   *
   * @param request any search
   * @return why its query is not expanded, or empty if it is: sorted, collapsed and deep pages are
   */
  public static Optional<Outcome> expandSkipReason(SearchRequest request) {
    SearchSourceBuilder source = request.source();
    if (request.scroll() != null) {
      return Optional.of(Outcome.SKIPPED_SCROLL);
    }
    if (reachesOtherClusters(request)) {
      // Their limits, which rewrites could fail it by, are not known here.
      return Optional.of(Outcome.SKIPPED_CCS);
    }
    if (request.isSuggestOnly()) {
      return Optional.of(Outcome.SKIPPED_SUGGEST_ONLY);
    }
    if (source == null || source.query() == null) {
      return Optional.of(Outcome.SKIPPED_NO_TEXT);
    }
    if (source.minScore() != null) {
      return Optional.of(Outcome.SKIPPED_MIN_SCORE);
    }
    return Optional.empty();
  }

  /**
   * @param source of a search, in map form
   * @param maxClauses that the engine allows a query
   * @return why rewrites in its query could make it fail, or empty if they could not
   */
  public static Optional<Outcome> expandHarmReason(SearchSource source, int maxClauses) {
    if (source.hasScript()) {
      return Optional.of(Outcome.SKIPPED_SCRIPT);
    }
    return ExpandedQuery.hasRoom(source.query(), maxClauses)
        ? Optional.empty()
        : Optional.of(Outcome.SKIPPED_CLAUSES);
  }

  /**
   * @param source of a search
   * @return whether it asks for a page after the first
   */
  public static boolean isLaterPage(SearchSourceBuilder source) {
    return from(source) > 0 || source.searchAfter() != null;
  }

  private static Outcome reason(SearchRequest request, int windowSize) {
    SearchSourceBuilder source = request.source();
    if (request.scroll() != null) {
      return Outcome.SKIPPED_SCROLL;
    }
    if (reachesOtherClusters(request)) {
      return Outcome.SKIPPED_CCS;
    }
    if (source == null) {
      return Outcome.SKIPPED_NO_TEXT;
    }
    if (source.pointInTimeBuilder() != null) {
      return Outcome.SKIPPED_PIT;
    }
    if (request.isSuggestOnly()) {
      return Outcome.SKIPPED_SUGGEST_ONLY;
    }
    if (source.size() == 0) {
      return Outcome.SKIPPED_SIZE_ZERO;
    }
    if (source.collapse() != null) {
      return Outcome.SKIPPED_COLLAPSE;
    }
    if (source.searchAfter() != null) {
      return Outcome.SKIPPED_SEARCH_AFTER;
    }
    if (source.sorts() != null && !source.sorts().stream().allMatch(Eligibility::isByScore)) {
      return Outcome.SKIPPED_SORT;
    }
    if (source.minScore() != null) {
      return Outcome.SKIPPED_MIN_SCORE;
    }
    if (source.query() == null) {
      return Outcome.SKIPPED_NO_TEXT;
    }
    return (long) from(source) + size(source) > windowSize ? Outcome.SKIPPED_PAST_WINDOW : null;
  }

  /**
   * @param request any search
   * @return whether its page is a slice of its query's ranking by score
   */
  public static boolean isByRank(SearchRequest request) {
    SearchSourceBuilder source = request.source();
    return source != null
        && request.scroll() == null
        && !request.isSuggestOnly()
        && source.size() != 0
        && source.collapse() == null
        && source.searchAfter() == null
        && (source.sorts() == null || source.sorts().stream().allMatch(Eligibility::isByScore));
  }

  /**
   * @param source of a search
   * @return 0-based rank of its first hit
   */
  public static int from(SearchSourceBuilder source) {
    return Math.max(0, source.from());
  }

  /**
   * @param source of a search
   * @return most hits of its page
   */
  public static int size(SearchSourceBuilder source) {
    return source.size() < 0 ? DEFAULT_SIZE : source.size();
  }

  private static boolean reachesOtherClusters(SearchRequest request) {
    return Arrays.stream(request.indices()).anyMatch(Eligibility::isOfOtherCluster);
  }

  /**
   * No index's name has the separator, but a time zone in date math has: {@code <dishes-{now/d{yyyy
   * |+01:00}}>}. A minus excludes.
   */
  private static boolean isOfOtherCluster(String expression) {
    String name = expression.startsWith("-") ? expression.substring(1) : expression;
    return name.indexOf(RemoteClusterAware.REMOTE_CLUSTER_INDEX_SEPARATOR) >= 0
        && !name.startsWith("<");
  }

  private static boolean isByScore(SortBuilder<?> sort) {
    return sort instanceof ScoreSortBuilder && sort.order() == SortOrder.DESC;
  }
}
