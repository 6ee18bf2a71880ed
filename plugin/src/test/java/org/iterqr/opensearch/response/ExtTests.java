package org.iterqr.opensearch.response;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.experiment.ExperimentBucket;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.opensearch.ubi.UbiParameters;
import org.junit.jupiter.api.Test;
import org.opensearch.common.io.stream.BytesStreamOutput;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.ParsingException;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.core.xcontent.ToXContent;
import org.opensearch.core.xcontent.XContentBuilder;
import org.opensearch.search.SearchExtBuilder;

class ExtTests {
  private static RequestExt parse(String json) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY,
            DeprecationHandler.THROW_UNSUPPORTED_OPERATION,
            json.replace('\'', '"'))) {
      return RequestExt.parse(parser);
    }
  }

  private static SearchExtBuilder sentAndRead(SearchExtBuilder ext) throws IOException {
    try (BytesStreamOutput out = new BytesStreamOutput()) {
      ext.writeTo(out);
      return IterqrExt.spec().getReader().read(out.bytes().streamInput());
    }
  }

  @Test
  void readsTheRequestsSection() throws IOException {
    assertEquals(
        new RequestExt("north", "token", "text"),
        parse("{'region':'north','page_token':'token','query':'text'}"));
    assertEquals(RequestExt.NONE, parse("{}"));
    assertEquals(RequestExt.NONE, parse("{'region':null}"));
  }

  @Test
  void refusesWhatItDoesNotKnowByName() {
    for (String json : List.of("{'regoin':'n'}", "{'region':7}", "{'query':['a']}", "7", "[]")) {
      ParsingException refused = assertThrows(ParsingException.class, () -> parse(json));
      assertTrue(refused.getMessage().contains("ext.iterqr"), refused.getMessage());
    }
  }

  @Test
  void bothSectionsTravelUnderOneName() throws IOException {
    RequestExt request = new RequestExt("north", null, "text");
    assertEquals(request, sentAndRead(request));
    ResponseExt response = summary().toExt();
    assertEquals(response, sentAndRead(response));
    assertEquals(request.getWriteableName(), response.getWriteableName());
  }

  @Test
  void theResponsesSectionHasTheContractsKeys() throws IOException {
    Map<String, Object> section;
    try (XContentBuilder builder = JsonXContent.contentBuilder().startObject()) {
      summary().toExt().toXContent(builder, ToXContent.EMPTY_PARAMS).endObject();
      section =
          XContentHelper.convertToMap(BytesReference.bytes(builder), true, MediaTypeRegistry.JSON)
              .v2();
    }
    Map<?, ?> iterqr = (Map<?, ?>) section.get("iterqr");
    assertEquals(
        List.of(
            "query_id",
            "outcome",
            "experiment",
            "query",
            "checkpoint_id",
            "fix",
            "intent",
            "meaning",
            "hints",
            "rewrites",
            "source",
            "partial",
            "window_size",
            "page_token",
            "timings"),
        List.copyOf(iterqr.keySet()));
    assertEquals("q1", iterqr.get("query_id"));
    assertEquals("fused", iterqr.get("outcome"));
    assertEquals(Map.of("name", "exp", "bucket", "treatment"), iterqr.get("experiment"));
    assertEquals(
        List.of(
            Map.of(
                "rewrite_id",
                "00000000000000aa",
                "text",
                "soup",
                "confidence",
                0.5,
                "retrieved",
                7)),
        iterqr.get("rewrites"));
    assertEquals(
        Map.of("rewrite_ms", 1.5, "windows_ms", 2.0, "total_ms", 4.25, "added_ms", 1.25),
        iterqr.get("timings"));
  }

  private static SearchSummary summary() {
    UbiParameters ubi = UbiParameters.NONE.withQueryId("q1");
    return new SearchSummary(
        new SearchIdentity(ubi, false, "north", new Assignment("exp", ExperimentBucket.TREATMENT)),
        Outcome.FUSED,
        "soop",
        RewriteReply.pinned("ck", List.of(new Rewrite("00000000000000aa", "soup", 0.5))),
        Map.of("00000000000000aa", 7),
        50,
        "token",
        new Timings(1_500_000, 2_000_000, Timings.NOT_REACHED, 4_250_000, 1_250_000));
  }
}
