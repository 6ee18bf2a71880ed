package org.iterqr.opensearch.explain;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.query.HitsQueryBuilder;
import org.iterqr.opensearch.query.SearchSource;
import org.iterqr.opensearch.search.ChannelResult;
import org.iterqr.opensearch.search.HitKeys;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.core.action.ActionListener;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.index.query.QueryBuilder;
import org.opensearch.index.query.QueryBuilders;
import org.opensearch.search.SearchHit;
import org.opensearch.search.builder.SearchSourceBuilder;
import org.opensearch.transport.client.Client;

/**
 * Searches what an explanation needs beyond the search itself, in the same indices and with the
 * caller's rights: the ids of the windows' documents, which windows do not carry, and what each
 * channel's query makes of one document.
 */
final class DocumentLookup {
  private static final String NO_PIPELINE = "_none";

  private final Client client;
  private final NamedXContentRegistry registry;
  private final AnsweredSearch answer;

  /**
   * @param client in whose thread context the search was made
   * @param registry parses sources
   * @param answer of the search
   */
  DocumentLookup(Client client, NamedXContentRegistry registry, AnsweredSearch answer) {
    this.client = client;
    this.registry = registry;
    this.answer = answer;
  }

  /**
   * @param listener gets the ids of the windows' documents, as far as they are unchanged
   */
  void ids(ActionListener<Map<HitKey, String>> listener) {
    Set<HitKey> keys =
        answer.summary().fusion().stream()
            .flatMap(facts -> facts.windows().stream())
            .flatMap(window -> window.hits().stream())
            .map(WindowHit::key)
            .collect(Collectors.toSet());
    ids(List.copyOf(keys), new HashMap<>(), listener);
  }

  /** As many at a time as a window has: a search for that many hits was allowed before. */
  private void ids(
      List<HitKey> left, Map<HitKey, String> found, ActionListener<Map<HitKey, String>> listener) {
    if (left.isEmpty()) {
      listener.onResponse(found);
      return;
    }
    int some = Math.min(left.size(), answer.summary().windowSize());
    search(
        bare(filter(HitsQueryBuilder.of(left.subList(0, some))), some),
        ActionListener.wrap(
            response -> {
              for (SearchHit hit : response.getHits()) {
                found.put(HitKeys.of(hit), hit.getId());
              }
              ids(left.subList(some, left.size()), found, listener);
            },
            listener::onFailure));
  }

  /**
   * @param id of a document
   * @param listener gets what the channels' queries make of it
   */
  void document(String id, ActionListener<AskedDocument> listener) {
    search(
        bare(filter(QueryBuilders.idsQuery().addIds(id)), 1),
        ActionListener.wrap(
            response -> {
              SearchHit[] hits = response.getHits().getHits();
              Optional<HitKey> key =
                  hits.length == 0 ? Optional.empty() : Optional.of(HitKeys.of(hits[0]));
              if (key.isPresent() && !answer.expanded().isEmpty()) {
                clauses(id, key, listener);
              } else {
                matches(id, channels(), new ArrayList<>(), key, listener);
              }
            },
            listener::onFailure));
  }

  /** The clauses of an expanded query have names, so one search asks them all. */
  private void clauses(String id, Optional<HitKey> key, ActionListener<AskedDocument> listener) {
    QueryBuilder query =
        QueryBuilders.boolQuery()
            .should(answer.request().source().query())
            .filter(QueryBuilders.idsQuery().addIds(id));
    search(
        bare(query, 1).includeNamedQueriesScores(true),
        ActionListener.wrap(
            response -> {
              Map<String, Float> matched = new HashMap<>();
              for (SearchHit hit : response.getHits()) {
                matched.putAll(hit.getMatchedQueriesAndScores());
              }
              List<AskedDocument.Match> matches = new ArrayList<>();
              for (Channel clause : ExpandedClauses.of(answer)) {
                Float score = matched.get(ExpandedClauses.nameOf(clause));
                matches.add(new AskedDocument.Match(clause, Optional.ofNullable(score)));
              }
              listener.onResponse(new AskedDocument(id, key, matches));
            },
            listener::onFailure));
  }

  private Collection<Channel> channels() {
    return answer
        .fused()
        .map(fused -> fused.retrieved().windows().stream().map(Window::channel).toList())
        .orElse(List.of());
  }

  /** One after the other: an explanation is in no hurry, and its searches stay in order. */
  private void matches(
      String id,
      Collection<Channel> left,
      List<AskedDocument.Match> matches,
      Optional<HitKey> key,
      ActionListener<AskedDocument> listener)
      throws IOException {
    if (left.isEmpty() || key.isEmpty()) {
      listener.onResponse(new AskedDocument(id, key, matches));
      return;
    }
    List<Channel> rest = new ArrayList<>(left);
    Channel channel = rest.removeFirst();
    search(
        ofChannel(channel, id),
        ActionListener.wrap(
            response -> {
              SearchHit[] hits = response.getHits().getHits();
              matches.add(
                  new AskedDocument.Match(
                      channel,
                      hits.length == 0 ? Optional.empty() : Optional.of(hits[0].getScore())));
              matches(id, rest, matches, key, listener);
            },
            listener::onFailure));
  }

  private SearchSourceBuilder ofChannel(Channel channel, String id) throws IOException {
    ChannelResult.Retrieved retrieved = answer.fused().orElseThrow().retrieved();
    Map<String, Object> source = new LinkedHashMap<>(window(channel, retrieved));
    source.put(
        "query",
        Map.of(
            "bool",
            Map.of(
                "must",
                List.of(source.getOrDefault("query", Map.of("match_all", Map.of()))),
                "filter",
                List.of(Map.of("ids", Map.of("values", List.of(id)))))));
    return SearchSource.build(source, registry);
  }

  private static Map<String, Object> window(Channel channel, ChannelResult.Retrieved retrieved) {
    SearchSource source = retrieved.source();
    return switch (channel) {
      case Channel.Original ignored -> source.window(retrieved.rewriting(), null, 1).orElseThrow();
      case Channel.Clause(String name) ->
          source.namedClauses().stream()
              .filter(clause -> clause.name().equals(name))
              .findFirst()
              .map(clause -> source.window(clause, 1))
              .orElseThrow();
      case Channel.Rewritten(var rewrite) ->
          source.window(retrieved.rewriting(), rewrite.text(), 1).orElseThrow();
    };
  }

  private static QueryBuilder filter(QueryBuilder filter) {
    return QueryBuilders.boolQuery().filter(filter);
  }

  private SearchSourceBuilder bare(QueryBuilder query, int size) {
    SearchSourceBuilder source =
        new SearchSourceBuilder()
            .query(query)
            .size(size)
            .fetchSource(false)
            .seqNoAndPrimaryTerm(true)
            .trackTotalHits(false);
    if (answer.request().pointInTimeBuilder() != null) {
      source.pointInTimeBuilder(answer.request().pointInTimeBuilder());
    }
    return source;
  }

  private void search(SearchSourceBuilder source, ActionListener<SearchResponse> listener) {
    SearchRequest request = new SearchRequest(answer.request()).source(source);
    request.pipeline(NO_PIPELINE);
    client.search(request, listener);
  }
}
