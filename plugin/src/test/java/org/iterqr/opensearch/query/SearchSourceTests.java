package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.iterqr.opensearch.IterqrPlugin;
import org.iterqr.opensearch.fusion.HitKey;
import org.junit.jupiter.api.Test;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.LoggingDeprecationHandler;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.search.SearchModule;
import org.opensearch.search.builder.SearchSourceBuilder;

class SearchSourceTests {
  private static final NamedXContentRegistry REGISTRY =
      new NamedXContentRegistry(
          new SearchModule(Settings.EMPTY, List.of(new IterqrPlugin(Settings.EMPTY)))
              .getNamedXContents());

  private static final List<HitKey> HITS =
      List.of(new HitKey("dishes", 0, 7), new HitKey("dishes", 0, 9), new HitKey("dishes", 1, 7));

  private static final String FULL =
      "{'from':5,'size':10,'query':{'bool':{'must':[{'match':{'title':'old'}}],"
          + "'filter':[{'term':{'region':'north'}}]}},'post_filter':{'term':{'open':true}},"
          + "'timeout':'2s','terminate_after':1000,'_source':['title'],'fields':['price'],"
          + "'highlight':{'fields':{'title':{}}},'aggs':{'r':{'terms':{'field':'region'}}},"
          + "'track_total_hits':true,'indices_boost':[{'dishes':2.0}],'sort':['_score'],"
          + "'rescore':[{'window_size':50,'query':{'rescore_query':"
          + "{'match_phrase':{'title':'old'}}}}],'profile':true,'explain':true,'version':true,"
          + "'suggest':{'s':{'text':'old','term':{'field':'title'}}}}";

  private static SearchSource source(String json) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            REGISTRY, LoggingDeprecationHandler.INSTANCE, json.replace('\'', '"'))) {
      return SearchSource.of(SearchSourceBuilder.fromXContent(parser));
    }
  }

  private static UserText text(SearchSource source) {
    return UserText.find(source.query(), null).orElseThrow();
  }

  @Test
  void aWindowKeepsWhatDecidesRetrievalAndNothingElse() throws IOException {
    SearchSource source = source(FULL);
    Map<String, Object> window = source.window(text(source), null, 50).orElseThrow();
    assertEquals(
        Set.of(
            "query",
            "post_filter",
            "timeout",
            "terminate_after",
            "indices_boost",
            "rescore",
            "size",
            "track_total_hits",
            "stored_fields",
            "_source",
            "seq_no_primary_term"),
        window.keySet());
    assertEquals(50, window.get("size"));
    assertEquals("_none_", window.get("stored_fields"));
    assertEquals(source.query(), window.get("query"));
  }

  @Test
  void aRewritesWindowHasItsTextInQueryAndRescorer() throws IOException {
    SearchSource source = source(FULL);
    String window = source.window(text(source), "new", 50).orElseThrow().toString();
    assertFalse(window.contains("old"), window);
    assertTrue(window.contains("region"), window);
    assertEquals(3, window.split("new", -1).length, "once in the query, once in the rescorer");
  }

  @Test
  void aFetchShowsHitsAsTheUserWantsThem() throws IOException {
    SearchSource source = source(FULL);
    Map<String, Object> fetch = source.fetch(text(source), "new", HITS).orElseThrow();
    for (String kept : List.of("_source", "fields", "highlight", "explain", "version")) {
      assertTrue(fetch.containsKey(kept), kept);
    }
    for (String dropped :
        List.of("from", "aggregations", "suggest", "rescore", "terminate_after", "profile")) {
      assertNull(fetch.get(dropped), dropped);
    }
    assertEquals(3, fetch.get("size"), "no shard brings along another's hits");
    assertTrue(
        fetch.get("query").toString().contains("iterqr_hits={dishes={0=[7, 9], 1=[7]}}"),
        fetch.toString());
  }

  @Test
  void whatIsMadeCanBeSearched() throws IOException {
    SearchSource source = source(FULL);
    UserText text = text(source);
    SearchSourceBuilder window =
        SearchSource.build(source.window(text, "\"}]} OR *:*", 50).orElseThrow(), REGISTRY);
    assertEquals(50, window.size());
    assertTrue(window.query().toString().contains("OR *:*"));
    assertEquals(1, window.rescores().size());
    SearchSourceBuilder fetch =
        SearchSource.build(source.fetch(text, null, HITS).orElseThrow(), REGISTRY);
    assertEquals(3, fetch.size());
    assertTrue(fetch.seqNoAndPrimaryTerm());
  }

  @Test
  void aWindowCollectsNoInnerHits() throws IOException {
    SearchSource source =
        source(
            "{'query':{'nested':{'path':'v','query':{'match':{'v.inner_hits':'old'}},"
                + "'inner_hits':{}}}}");
    String window = source.window(text(source), null, 10).orElseThrow().toString();
    assertFalse(window.contains(" inner_hits="), window);
    assertTrue(window.contains("v.inner_hits"), window);
  }

  @Test
  void hitsAreFetchedWithoutTheirQueryOnlyWhereTheyShowNothingOfIt() throws IOException {
    String query = "'query':{'bool':{'must':[{'match':{'title':'old'}}]}}";
    SearchSource plain =
        source("{" + query + ",'_source':['title'],'post_filter':{'match_all':{}}}");
    assertFalse(plain.hitsShowQuery());
    Map<String, Object> fetch = plain.fetch(List.of(HITS.getFirst()), List.of());
    Map<String, Object> hit =
        Map.of("iterqr_hits", Map.of("dishes", Map.of("0", List.of(HITS.getFirst().seqNo()))));
    assertEquals(Map.of("bool", Map.of("filter", List.of(hit))), fetch.get("query"));
    assertEquals(1, fetch.get("size"));
    assertEquals(false, fetch.get("track_total_hits"));
    assertTrue(fetch.containsKey("_source"));
    assertTrue(fetch.containsKey("post_filter"));
    assertTrue(source("{" + query + ",'highlight':{'fields':{'title':{}}}}").hitsShowQuery());
    assertTrue(source("{" + query + ",'explain':true}").hitsShowQuery());
    assertTrue(source("{" + query + ",'script_fields':{'s':{'script':'_score'}}}").hitsShowQuery());
    assertTrue(source("{'query':{'match':{'title':{'query':'old','_name':'t'}}}}").hitsShowQuery());
    assertTrue(
        source("{'query':{'nested':{'path':'p','query':{'match':{'p.t':'old'}},'inner_hits':{}}}}")
            .hitsShowQuery());
  }

  @Test
  void whatIsOnlyCountedIsFoundAfterWhatIsFetched() throws IOException {
    SearchSource source =
        source("{'query':{'match':{'title':'old'}},'indices_boost':[{'dishes':0.0}]}");
    for (Map<String, Object> fetch :
        List.of(
            source.fetch(HITS.subList(0, 1), HITS.subList(1, 3)),
            source.identify(HITS.subList(0, 1), HITS.subList(1, 3)))) {
      assertEquals(
          Map.of(
              "bool",
              Map.of(
                  "filter",
                  List.of(HitsQueryBuilder.json(HITS)),
                  "should",
                  List.of(HitsQueryBuilder.json(HITS.subList(0, 1))))),
          fetch.get("query"));
      assertEquals(1, fetch.get("size"));
      assertEquals(true, fetch.get("track_total_hits"));
      assertFalse(fetch.containsKey("indices_boost"), "scores alone decide");
    }
  }

  @Test
  void pagesAndLooksDoNotChangeTheRetrieval() throws IOException {
    String query = "'query':{'match':{'title':'old'}}";
    assertEquals(
        source("{" + query + ",'size':10}").retrieval(),
        source("{" + query + ",'from':10,'size':5,'_source':false,'explain':true}").retrieval());
    assertFalse(
        source("{" + query + "}")
            .retrieval()
            .equals(source("{" + query + ",'post_filter':{'term':{'a':1}}}").retrieval()));
  }
}
