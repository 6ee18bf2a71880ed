package org.iterqr.opensearch.impression;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import org.iterqr.opensearch.response.IterqrExt;
import org.junit.jupiter.api.Test;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.search.builder.SearchSourceBuilder;

class ImpressionTimeTests {
  private static final Instant NOW = Instant.parse("2026-01-02T03:04:05.678999Z");

  private static SearchRequest saying(String section) throws IOException {
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY,
            DeprecationHandler.THROW_UNSUPPORTED_OPERATION,
            section.replace('\'', '"'))) {
      SearchSourceBuilder source = new SearchSourceBuilder();
      source.ext(List.of(IterqrExt.spec(true).getParser().apply(parser)));
      return new SearchRequest("dishes").source(source);
    }
  }

  @Test
  void aDevelopmentNodeBelievesTheSearch() throws IOException {
    SearchRequest search = saying("{'event_time':'2031-05-06T07:08:09Z'}");
    assertEquals(Instant.parse("2031-05-06T07:08:09Z"), ImpressionLog.time(search, true, NOW));
  }

  @Test
  void anyOtherNodeBelievesItsClock() throws IOException {
    Instant now = Instant.parse("2026-01-02T03:04:05.678Z");
    SearchRequest search = saying("{'event_time':'2031-05-06T07:08:09Z'}");
    assertEquals(now, ImpressionLog.time(search, false, NOW));
    assertEquals(now, ImpressionLog.time(saying("{'region':'north'}"), true, NOW));
    assertEquals(now, ImpressionLog.time(new SearchRequest("dishes"), true, NOW));
  }
}
