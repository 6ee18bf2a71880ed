package org.iterqr.opensearch.ubi;

import java.io.IOException;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.XContentBuilder;

/**
 * A document of {@code ubi_queries}, UBI 1.3.0.
 *
 * @param at when the search was answered
 * @param parameters that the search sent, its query id made up where it had none; without
 *     attributes if redacted
 * @param userQuery what the user typed; empty if redacted
 * @param clientHash in place of the client id; empty if there is none
 * @param responseId of this response
 * @param hitIds names of its hits that are logged, in their order from the first
 * @param rewriteFacts what the rewriting did, texts and lists of texts only: they are stored as one
 *     flat object with the application's own attributes
 */
public record UbiQueryDocument(
    Instant at,
    UbiParameters parameters,
    String userQuery,
    String clientHash,
    String responseId,
    List<String> hitIds,
    Map<String, Object> rewriteFacts) {
  /**
   * @return JSON
   * @throws IOException never, in memory
   */
  public BytesReference json() throws IOException {
    Map<String, Object> attributes = new LinkedHashMap<>(parameters.queryAttributes());
    attributes.put("iterqr", rewriteFacts);
    try (XContentBuilder json = JsonXContent.contentBuilder().startObject()) {
      json.field("timestamp", at.toString());
      json.field("query_id", parameters.queryId());
      json.field("user_query", userQuery);
      text(json, "client_id", clientHash);
      text(json, "application", parameters.application());
      text(json, "object_id_field", parameters.objectIdField());
      json.field("query_response_id", responseId);
      json.field("query_response_hit_ids", hitIds);
      json.field("query_attributes", attributes);
      return BytesReference.bytes(json.endObject());
    }
  }

  private static void text(XContentBuilder json, String name, String value) throws IOException {
    if (!value.isEmpty()) {
      json.field(name, value);
    }
  }
}
