package org.iterqr.opensearch.slowlog;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.response.SearchSummary;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.XContentBuilder;

/** One slow search as a JSON object on one line. Whatever a client sent is escaped in it. */
final class SlowLogLine {
  private SlowLogLine() {}

  /**
   * @param search that was slow
   * @param queryText whether to name what was searched for
   * @param suppressed lines left out before this one
   * @return the line
   */
  static String of(AnsweredSearch search, boolean queryText, long suppressed) {
    SearchSummary summary = search.summary();
    try (XContentBuilder json = JsonXContent.contentBuilder().startObject()) {
      json.field("outcome", summary.outcome().wireName());
      json.field("timings", summary.timingsMs());
      json.field("rewrites", summary.reply() == null ? 0 : summary.reply().rewrites().size());
      json.field("request_id", search.requestId());
      json.field("indices", search.request().indices());
      if (queryText) {
        json.field("query", summary.query());
      }
      json.field("suppressed", suppressed);
      return json.endObject().toString();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
