package org.iterqr.opensearch.query;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.iterqr.opensearch.fusion.HitKey;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.core.xcontent.XContentParser;
import org.opensearch.search.builder.SearchSourceBuilder;

/**
 * A search's source in map form, from which the sources of the channel's own searches are made.
 * Immutable: each search gets a copy.
 */
public final class SearchSource {
  /** What decides how a page is shown, not what is retrieved. */
  private static final Set<String> PRESENTATION =
      Set.of(
          "version",
          "seq_no_primary_term",
          "explain",
          "_source",
          "stored_fields",
          "docvalue_fields",
          "fields",
          "script_fields",
          "highlight",
          "include_named_queries_score");

  /** What of a hit depends on the query that retrieved it, besides its score. */
  private static final Set<String> SHOWS_QUERY =
      Set.of("explain", "highlight", "script_fields", "include_named_queries_score");

  /** The same, where it stands in the query itself. */
  private static final Set<String> SHOWN_BY_CLAUSE = Set.of("_name", "inner_hits");

  /** What the channel's own searches never repeat. */
  private static final Set<String> ONCE =
      Set.of(
          "from",
          "size",
          "sort",
          "track_scores",
          "track_total_hits",
          "aggregations",
          "suggest",
          "profile",
          "ext",
          "search_pipeline",
          "verbose_pipeline",
          "search_after");

  private static final Set<String> PARENT_QUERIES = Set.of("nested", "has_child", "has_parent");

  private final Map<String, Object> source;

  private SearchSource(Map<String, Object> source) {
    this.source = source;
  }

  /**
   * @param source of a search; not changed, and not kept
   * @return its map form
   * @throws IOException if the source has no JSON form
   */
  public static SearchSource of(SearchSourceBuilder source) throws IOException {
    try (XContentBuilder json = JsonXContent.contentBuilder()) {
      source.toXContent(json, ToXContent.EMPTY_PARAMS);
      return new SearchSource(
          XContentHelper.convertToMap(BytesReference.bytes(json), true, MediaTypeRegistry.JSON)
              .v2());
    }
  }

  /**
   * @return the query, empty if there is none
   */
  public Map<String, Object> query() {
    return source.get("query") instanceof Map<?, ?> query ? Json.object(query) : Map.of();
  }

  /**
   * What decides which documents are retrieved in which order; equal for the pages of one search.
   *
   * @return a copy without paging and presentation
   */
  public Map<String, Object> retrieval() {
    Map<String, Object> copy = new LinkedHashMap<>(source);
    copy.keySet().removeAll(PRESENTATION);
    copy.keySet().removeAll(ONCE);
    return copy;
  }

  /**
   * The source of a bare-window search: which documents, in which order, nothing else. Stored
   * fields are not touched, so 100 hits cost little more than one.
   *
   * @param rewriting how a search for a rewrite is made
   * @param rewrite the new text, or null for the original
   * @param size of the window
   * @return empty if the rewrite leaves nothing to search for
   */
  public Optional<Map<String, Object>> window(Rewriting rewriting, String rewrite, int size) {
    Map<String, Object> window = retrieval();
    if (rewrite != null) {
      Optional<Map<String, Object>> query = rewriting.replaceWith(query(), rewrite);
      if (query.isEmpty()) {
        return Optional.empty();
      }
      window.put("query", query.get());
      if (window.containsKey("rescore")) {
        window.put("rescore", rewriteRescorers(window.get("rescore"), rewriting, rewrite));
      }
    }
    return Optional.of(bare(window, size));
  }

  /**
   * @return whether it has scripts, or what may fail on a document like them
   */
  boolean hasScript() {
    Map<String, Object> searched = new LinkedHashMap<>(source);
    searched.remove("ext");
    return Scripts.in(searched);
  }

  /**
   * The query of mode expand: what the original or any rewrite matches, under the same filters.
   *
   * @param rewriting how a search for a rewrite is made
   * @param rewrites texts by the name of the clause, with their weights
   * @param maxClauses that the engine allows a query
   * @return the query, with the first rewrites that fit
   */
  public ExpandedQuery expanded(
      Rewriting rewriting, List<ExpandedQuery.Part> rewrites, int maxClauses) {
    return ExpandedQuery.of(
        query(),
        rewrites,
        maxClauses,
        part -> rewriting.requireAll(query(), part.text()).map(SearchSource::anonymous));
  }

  /**
   * @return the vector clauses of the query that the user has named
   */
  public List<NamedClause> namedClauses() {
    return NamedClause.find(query());
  }

  /**
   * The source of the bare-window search of one clause by itself.
   *
   * @param clause of this query
   * @param size of the window
   * @return the source
   */
  public Map<String, Object> window(NamedClause clause, int size) {
    Map<String, Object> window = retrieval();
    window.put("query", clause.query());
    window.remove("rescore");
    return bare(window, size);
  }

  private Map<String, Object> bare(Map<String, Object> window, int size) {
    if (Json.hasKey(Set.of("inner_hits"), window.get("query"))) {
      window.put("query", withoutInnerHits(window.get("query")));
    }
    window.put("size", size);
    window.put("track_total_hits", false);
    window.put("stored_fields", "_none_");
    window.put("_source", false);
    window.put("seq_no_primary_term", true);
    return window;
  }

  /**
   * The source of a search that fetches given hits of a window as the user's search would show
   * them.
   *
   * @param rewriting how a search for a rewrite is made
   * @param rewrite the window's text, or null for the original
   * @param hits which
   * @return empty if the rewrite leaves nothing to search for
   */
  public Optional<Map<String, Object>> fetch(
      Rewriting rewriting, String rewrite, Collection<HitKey> hits) {
    Map<String, Object> query = query();
    if (rewrite != null) {
      Optional<Map<String, Object>> rewritten = rewriting.replaceWith(query, rewrite);
      if (rewritten.isEmpty()) {
        return Optional.empty();
      }
      query = rewritten.get();
    }
    return Optional.of(
        fetch(
            Map.of("must", List.of(query), "filter", List.of(HitsQueryBuilder.json(hits))),
            hits.size()));
  }

  /**
   * The source of a search that fetches given hits of any windows at once, for searches whose hits
   * show nothing of their query: see {@link #hitsShowQuery}.
   *
   * @param hits which
   * @param counted others that are not fetched, but counted in the response's total
   * @return a source without the user's query
   */
  public Map<String, Object> fetch(Collection<HitKey> hits, Collection<HitKey> counted) {
    Map<String, Object> fetch = fetch(choose(hits, counted), hits.size());
    // A hit's score only tells what is fetched from what is counted.
    fetch.remove("indices_boost");
    fetch.put("track_total_hits", !counted.isEmpty());
    return fetch;
  }

  /** A {@code bool} whose best hits are those to be shown. */
  private static Map<String, Object> choose(Collection<HitKey> shown, Collection<HitKey> counted) {
    if (counted.isEmpty()) {
      return Map.of("filter", List.of(HitsQueryBuilder.json(shown)));
    }
    List<HitKey> all = new ArrayList<>(shown);
    all.addAll(counted);
    return Map.of(
        "filter",
        List.of(HitsQueryBuilder.json(all)),
        "should",
        List.of(HitsQueryBuilder.json(shown)));
  }

  /**
   * @return whether a hit, besides its score, may look otherwise if another query retrieved it
   */
  public boolean hitsShowQuery() {
    return SHOWS_QUERY.stream().anyMatch(source::containsKey)
        || Json.hasKey(SHOWN_BY_CLAUSE, source);
  }

  private Map<String, Object> fetch(Map<String, Object> bool, int size) {
    Map<String, Object> fetch = new LinkedHashMap<>(source);
    fetch.keySet().removeAll(ONCE);
    // The order is the window's; and every hit asked for must be reached.
    fetch.remove("rescore");
    fetch.remove("terminate_after");
    fetch.put("query", Map.of("bool", bool));
    fetch.put("size", size);
    fetch.put("track_total_hits", false);
    fetch.put("seq_no_primary_term", true);
    return fetch;
  }

  /**
   * The source of a search that finds out which documents given hits of windows are.
   *
   * @param hits which
   * @param counted others that are not identified, but counted in the response's total
   * @return a source without the user's query: ids alone
   */
  public Map<String, Object> identify(Collection<HitKey> hits, Collection<HitKey> counted) {
    Map<String, Object> identify = new LinkedHashMap<>();
    identify.put("query", Map.of("bool", choose(hits, counted)));
    identify.put("size", hits.size());
    identify.put("track_total_hits", !counted.isEmpty());
    identify.put("_source", false);
    identify.put("seq_no_primary_term", true);
    return identify;
  }

  /**
   * The source of a search that finds out which versions of documents are still there.
   *
   * @param versions which
   * @return a source without the user's query: keys alone
   */
  public Map<String, Object> live(Collection<HitKey> versions) {
    Map<String, Object> live = identify(versions, List.of());
    live.put("stored_fields", "_none_");
    return live;
  }

  /**
   * @return whether hits show their sequence number by the user's wish
   */
  public boolean showsSeqNo() {
    return Boolean.TRUE.equals(source.get("seq_no_primary_term"));
  }

  /**
   * @param source in map form
   * @param registry the node's
   * @return the source
   * @throws IOException if it is no valid source
   */
  public static SearchSourceBuilder build(
      Map<String, Object> source, NamedXContentRegistry registry) throws IOException {
    // By way of bytes: MapXContentParser lacks what the query parsers call.
    try (XContentBuilder json = JsonXContent.contentBuilder().map(source);
        XContentParser parser =
            JsonXContent.jsonXContent.createParser(
                registry,
                LoggingDeprecationHandler.INSTANCE,
                BytesReference.bytes(json).streamInput())) {
      return SearchSourceBuilder.fromXContent(parser);
    }
  }

  private static List<Object> rewriteRescorers(
      Object rescore, Rewriting rewriting, String rewrite) {
    List<Object> rewritten = new ArrayList<>();
    for (Object rescorer : Json.list(rescore)) {
      if (rescorer instanceof Map<?, ?> map
          && map.get("query") instanceof Map<?, ?> body
          && body.get("rescore_query") instanceof Map<?, ?> query) {
        Optional<Map<String, Object>> replaced = rewriting.rescoreWith(query, rewrite);
        if (replaced.isPresent()) {
          Map<String, Object> newBody = Json.object(body);
          newBody.put("rescore_query", replaced.get());
          Map<String, Object> newRescorer = Json.object(map);
          newRescorer.put("query", newBody);
          rewritten.add(newRescorer);
        }
      } else {
        rewritten.add(rescorer);
      }
    }
    return rewritten;
  }

  /** A copy beside the original must not take its clauses' and inner hits' names. */
  private static Map<String, Object> anonymous(Map<String, Object> query) {
    Map<String, Object> bare = Json.object((Map<?, ?>) withoutInnerHits(query));
    bare.replaceAll((key, member) -> withoutNames(member));
    return bare;
  }

  private static Object withoutNames(Object value) {
    if (value instanceof List<?> list) {
      return list.stream().map(SearchSource::withoutNames).toList();
    }
    if (!(value instanceof Map<?, ?> map)) {
      return value;
    }
    Map<String, Object> copy = Json.object(map);
    copy.remove("_name");
    copy.replaceAll((key, member) -> withoutNames(member));
    return copy;
  }

  private static Object withoutInnerHits(Object value) {
    if (value instanceof List<?> list) {
      return list.stream().map(SearchSource::withoutInnerHits).toList();
    }
    if (!(value instanceof Map<?, ?> map)) {
      return value;
    }
    Map<String, Object> copy = Json.object(map);
    copy.replaceAll(
        (key, member) -> {
          Object child = withoutInnerHits(member);
          if (PARENT_QUERIES.contains(key)
              && child instanceof Map<?, ?> body
              && body.containsKey("query")) {
            Map<String, Object> bare = Json.object(body);
            bare.remove("inner_hits");
            return bare;
          }
          return child;
        });
    return copy;
  }
}
