package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.apache.lucene.search.TotalHits;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.experiment.ExperimentBucket;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.response.ChannelTags;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.response.Timings;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.iterqr.opensearch.ubi.UbiQueryDocument;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.search.SearchResponseSections;
import org.opensearch.action.search.ShardSearchFailure;
import org.opensearch.common.document.DocumentField;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.index.shard.ShardId;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.search.SearchHit;
import org.opensearch.search.SearchHits;
import org.opensearch.search.SearchShardTarget;
import org.opensearch.search.builder.SearchSourceBuilder;

class ImpressionDocumentTests {
  private static final Instant AT = Instant.parse("2026-01-02T03:04:05.678Z");
  private static final String REWRITE_ID = "00000000000000aa";

  private static final String GOLDEN =
      """
      {"@timestamp":"2026-01-02T03:04:05.678Z","query_id":"q1","user_query":"soop",\
      "client_id":"hash","application":"shop","region":"north",\
      "experiment":{"name":"exp","bucket":"treatment"},"outcome":"fused","mode":"fuse","window_size":50,\
      "checkpoint_id":"ck","rewrites":[{"rewrite_id":"00000000000000aa","text":"soup","score":0.5,\
      "source":"page_token"}],\
      "hits":[{"object_id":"sku-0","index":"dishes","position":11,"channels":[\
      {"name":"original","rank":1,"score":2.5},\
      {"name":"rewrite","rewrite_id":"00000000000000aa","rank":3,"score":1.5}]},\
      {"object_id":"id-1","index":"dishes","position":12,"channels":[]}],\
      "timings":{"rewrite_ms":1.5,"windows_ms":2.0,"total_ms":4.25,"added_ms":0.25}}\
      """;

  private static SearchHit hit(int number, String source, DocumentField tags) {
    SearchHit hit = new SearchHit(number, "id-" + number, Map.of(), Map.of());
    hit.shard(new SearchShardTarget("node", new ShardId("dishes", "uuid", 0), null, null));
    hit.sourceRef(new BytesArray(source));
    if (tags != null) {
      hit.setDocumentField(ChannelTags.FIELD, tags);
    }
    return hit;
  }

  private static AnsweredSearch search() {
    List<Object> tags =
        List.of(
            Map.of("name", "original", "rank", 1, "score", 2.5f),
            Map.of(
                "name",
                "rewrite",
                "rewrite_id",
                REWRITE_ID,
                "text",
                "soup",
                "rank",
                3,
                "score",
                1.5f));
    SearchHit[] hits = {
      hit(0, "{\"name\":\"a\",\"codes\":{\"sku\":[\"sku-0\"]}}", new DocumentField("x", tags)),
      hit(1, "{\"name\":\"b\"}", null)
    };
    return answered(hits);
  }

  private static AnsweredSearch answered(SearchHit[] hits) {
    UbiParameters ubi =
        new UbiParameters("q1", "", "client", "shop", "codes.sku", Map.of("page", 2));
    SearchIdentity identity =
        new SearchIdentity(ubi, false, "north", new Assignment("exp", ExperimentBucket.TREATMENT));
    SearchSummary summary =
        new SearchSummary(
            identity,
            Outcome.FUSED,
            Mode.FUSE,
            "soop",
            RewriteReply.pinned("ck", List.of(new Rewrite(REWRITE_ID, "soup", 0.5))),
            Optional.empty(),
            50,
            "token",
            new Timings(1_500_000, 2_000_000, Timings.NOT_REACHED, 4_250_000, 250_000),
            List.of());
    SearchHits page = new SearchHits(hits, new TotalHits(2, TotalHits.Relation.EQUAL_TO), 1);
    SearchResponse response =
        new SearchResponse(
            new SearchResponseSections(page, null, null, false, null, null, 1),
            null,
            1,
            1,
            0,
            1,
            ShardSearchFailure.EMPTY_ARRAY,
            SearchResponse.Clusters.EMPTY);
    return new AnsweredSearch(
        "request",
        identity,
        summary,
        new SearchRequest("dishes").source(new SearchSourceBuilder().from(10)),
        response,
        Optional.empty(),
        Map.of());
  }

  private static List<ShownHit> shown(AnsweredSearch search) throws IOException {
    return ShownHit.of(
        search.response().getHits().getHits(), search.identity().ubi().objectIdField());
  }

  private static List<String> objectIds(AnsweredSearch search) throws IOException {
    return shown(search).stream().map(ShownHit::objectId).toList();
  }

  private static BytesReference document(AnsweredSearch search, boolean redacted)
      throws IOException {
    return ImpressionDocument.of(
        search, new ImpressionDocument.Context(AT, "hash", shown(search), redacted));
  }

  @Test
  void isAsDocumented() throws IOException {
    assertEquals(GOLDEN, document(search(), false).utf8ToString());
  }

  @Test
  void redactedItDoesNotTellTheQuery() throws IOException {
    String redacted = document(search(), true).utf8ToString();
    assertFalse(redacted.contains("soop") || redacted.contains("soup"), redacted);
    assertTrue(redacted.contains(REWRITE_ID));
  }

  @Test
  void everyFieldIsMapped() throws IOException {
    Map<String, Object> document =
        XContentHelper.convertToMap(document(search(), false), true, MediaTypeRegistry.JSON).v2();
    try (InputStream json = ImpressionStream.class.getResourceAsStream("template.json")) {
      Map<String, Object> template =
          XContentHelper.convertToMap(JsonXContent.jsonXContent, json, true);
      Map<?, ?> mappings = (Map<?, ?>) ((Map<?, ?>) template.get("template")).get("mappings");
      assertMapped("", document, (Map<?, ?>) mappings.get("properties"));
    }
  }

  private static void assertMapped(String path, Object value, Map<?, ?> properties) {
    if (value instanceof List<?> list) {
      list.forEach(member -> assertMapped(path, member, properties));
    } else if (value instanceof Map<?, ?> object) {
      object.forEach(
          (name, member) -> {
            Map<?, ?> field = (Map<?, ?>) properties.get(name);
            assertNotNull(field, path + name);
            assertMapped(path + name + ".", member, (Map<?, ?>) field.get("properties"));
          });
    }
  }

  @Test
  void anUbiQueryHasItsHitsAndTheRewriteFacts() throws IOException {
    AnsweredSearch search = search();
    String json =
        new UbiQueryDocument(
                AT,
                search.identity().ubi(),
                "soop",
                "hash",
                "r1",
                objectIds(search),
                Map.of("outcome", "fused"))
            .json()
            .utf8ToString();
    assertEquals(
        """
        {"timestamp":"2026-01-02T03:04:05.678Z","query_id":"q1","user_query":"soop",\
        "client_id":"hash","application":"shop","object_id_field":"codes.sku",\
        "query_response_id":"r1","query_response_hit_ids":["sku-0","id-1"],\
        "query_attributes":{"page":2,"iterqr":{"outcome":"fused"}}}\
        """,
        json);
  }

  @Test
  void aRedactedUbiQueryHasNoAttributesOfTheApplication() throws IOException {
    AnsweredSearch search = search();
    ImpressionDocument.Context context =
        new ImpressionDocument.Context(AT, "hash", shown(search), true);
    assertEquals(
        """
        {"timestamp":"2026-01-02T03:04:05.678Z","query_id":"q1","user_query":"",\
        "client_id":"hash","application":"shop","object_id_field":"codes.sku",\
        "query_response_id":"r1","query_response_hit_ids":["sku-0","id-1"],\
        "query_attributes":{"iterqr":{"outcome":"fused","experiment":"exp","bucket":"treatment",\
        "checkpoint_id":"ck","rewrite_ids":["00000000000000aa"]}}}\
        """,
        ImpressionLog.ubiQuery(search, context, "r1").json().utf8ToString());
    ImpressionDocument.Context plain =
        new ImpressionDocument.Context(AT, "hash", shown(search), false);
    Map<String, Object> attributes =
        ImpressionLog.ubiQuery(search, plain, "r1").parameters().queryAttributes();
    assertEquals(Map.of("page", 2), attributes);
  }

  @Test
  void onlyTheTopOfAHugePageIsLogged() throws IOException {
    SearchHit[] hits =
        IntStream.range(0, ObjectIds.MAX_HITS + 1)
            .mapToObj(number -> hit(number, "{}", null))
            .toArray(SearchHit[]::new);
    AnsweredSearch search = answered(hits);
    assertEquals(ObjectIds.MAX_HITS, objectIds(search).size());
    Map<String, Object> document =
        XContentHelper.convertToMap(document(search, false), true, MediaTypeRegistry.JSON).v2();
    List<?> logged = (List<?>) document.get("hits");
    assertEquals(ObjectIds.MAX_HITS, logged.size());
    assertEquals("id-0", ((Map<?, ?>) logged.getFirst()).get("object_id"));
  }

  @Test
  void anObjectIdIsFoundWhereverTheResponseHasIt() throws IOException {
    Map<String, String> found =
        Map.of(
            "{\"a\":{\"sku\":1},\"sku\":7}", "7",
            "{\"sku\":null}", "id-0",
            "{\"sku\":[]}", "id-0",
            "{\"sku\":{\"a\":1}}", "id-0",
            "{\"other\":[{\"sku\":1}]}", "id-0",
            "{}", "id-0");
    for (Map.Entry<String, String> each : found.entrySet()) {
      SearchHit[] hits = {hit(0, each.getKey(), null)};
      assertEquals(List.of(each.getValue()), ObjectIds.of(hits, "sku"), each.getKey());
    }
    SearchHit[] dotted = {hit(0, "{\"a.sku\":5}", null)};
    assertEquals(List.of("5"), ObjectIds.of(dotted, "a.sku"));
    SearchHit withField = hit(0, "{\"sku\":1}", null);
    withField.setDocumentField("sku", new DocumentField("sku", List.of("fetched")));
    assertEquals(List.of("fetched"), ObjectIds.of(new SearchHit[] {withField}, "sku"));
    assertEquals(List.of("id-0"), ObjectIds.of(new SearchHit[] {hit(0, "{}", null)}, ""));
  }

  @Test
  void settingsAreNamedWhereTheyAreWrong() {
    for (String retention : List.of("0ms", "-2", "500ms")) {
      Exception refused =
          assertThrows(
              IllegalArgumentException.class,
              () ->
                  ImpressionSettings.RETENTION.get(
                      Settings.builder()
                          .put("plugins.iterqr.impressions.retention", retention)
                          .build()));
      assertTrue(refused.getMessage().contains("plugins.iterqr.impressions.retention"));
    }
  }
}
