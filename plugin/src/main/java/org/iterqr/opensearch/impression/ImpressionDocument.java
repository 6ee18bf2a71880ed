package org.iterqr.opensearch.impression;

import java.io.IOException;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.query.Eligibility;
import org.iterqr.opensearch.response.SearchSummary;
import org.iterqr.opensearch.response.ShadowHit;
import org.opensearch.action.search.SearchRequest;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.XContentBuilder;

/**
 * The document of one impression: who searched for what, what was shown, and which channels brought
 * it. Fields are those of {@code template.json}.
 */
final class ImpressionDocument {
  /** What of a hit's tag is logged; a rewrite's text is with the rewrite. */
  private static final List<String> TAG_KEYS =
      List.of("name", "rewrite_id", "rank", "score", "contribution", "team");

  private ImpressionDocument() {}

  /**
   * What is not in the search itself.
   *
   * @param at when it was answered
   * @param clientHash in place of the client id; empty if there is none
   * @param shown the hits that are logged, in their order from the first
   * @param redacted whether to leave out what the user typed, and its rewrites' texts
   */
  record Context(Instant at, String clientHash, List<ShownHit> shown, boolean redacted) {
    List<String> objectIds() {
      return shown.stream().map(ShownHit::objectId).toList();
    }
  }

  /**
   * Reads no hit of the response: a shadowed search's document is made after it was sent.
   *
   * @param search answered
   * @param context of it
   * @return JSON
   * @throws IOException never, in memory
   */
  static BytesReference of(AnsweredSearch search, Context context) throws IOException {
    SearchIdentity identity = search.identity();
    SearchSummary summary = search.summary();
    try (XContentBuilder json = JsonXContent.contentBuilder().startObject()) {
      json.field("@timestamp", context.at().toString());
      json.field("query_id", identity.queryId());
      if (!context.redacted()) {
        json.field("user_query", userQuery(search));
      }
      text(json, "client_id", context.clientHash());
      text(json, "application", identity.application());
      text(json, "region", identity.region());
      experiment(json, identity.assignment());
      json.field("outcome", summary.outcome().wireName());
      json.field("mode", summary.mode().wireName());
      if (summary.fusion().isPresent()) {
        json.field("strategy", summary.fusion().get().plan().strategy().wireName());
      }
      json.field("window_size", summary.windowSize());
      if (summary.reply() != null) {
        rewrites(json, summary.reply(), context.redacted());
      }
      hits(json, search.request(), context.shown());
      shadow(json, summary.shadow());
      json.field("timings", summary.timingsMs());
      return BytesReference.bytes(json.endObject());
    }
  }

  /**
   * @param search answered
   * @return what the user typed: as the application says, else as it was found in the query
   */
  static String userQuery(AnsweredSearch search) {
    String told = search.identity().userQuery();
    return told.isEmpty() ? search.summary().query() : told;
  }

  private static void experiment(XContentBuilder json, Assignment assignment) throws IOException {
    if (!assignment.experiment().isEmpty()) {
      json.startObject("experiment");
      json.field("name", assignment.experiment());
      json.field("bucket", assignment.bucket().wireName());
      json.endObject();
    }
  }

  private static void rewrites(XContentBuilder json, RewriteReply reply, boolean redacted)
      throws IOException {
    text(json, "checkpoint_id", reply.checkpointId());
    json.startArray("rewrites");
    for (Rewrite rewrite : reply.rewrites()) {
      json.startObject().field("rewrite_id", rewrite.id());
      if (!redacted) {
        json.field("text", rewrite.text());
      }
      json.field("score", rewrite.confidence());
      json.field("source", reply.source().wireName()).endObject();
    }
    json.endArray();
  }

  private static void hits(XContentBuilder json, SearchRequest request, List<ShownHit> shown)
      throws IOException {
    int position = request.source() == null ? 0 : Eligibility.from(request.source());
    json.startArray("hits");
    for (ShownHit hit : shown) {
      position++;
      json.startObject();
      json.field("object_id", hit.objectId());
      json.field("index", hit.index());
      json.field("position", position);
      channels(json, hit.channels());
      json.endObject();
    }
    json.endArray();
  }

  /** What fusing would have shown: no object field was read of it, so {@code _id} names it. */
  private static void shadow(XContentBuilder json, List<ShadowHit> page) throws IOException {
    if (page.isEmpty()) {
      return;
    }
    json.startArray("shadow_hits");
    for (ShadowHit hit : page.subList(0, Math.min(page.size(), ObjectIds.MAX_HITS))) {
      json.startObject();
      json.field("object_id", hit.id());
      json.field("index", hit.index());
      json.field("position", hit.position());
      channels(json, hit.channels());
      json.endObject();
    }
    json.endArray();
  }

  private static void channels(XContentBuilder json, List<Object> tags) throws IOException {
    json.startArray("channels");
    for (Object tag : tags) {
      channel(json, (Map<?, ?>) tag);
    }
    json.endArray();
  }

  private static void channel(XContentBuilder json, Map<?, ?> tag) throws IOException {
    json.startObject();
    for (String key : TAG_KEYS) {
      Object value = tag.get(key);
      if (value != null) {
        json.field(key, value);
      }
    }
    json.endObject();
  }

  private static void text(XContentBuilder json, String name, String value) throws IOException {
    if (!value.isEmpty()) {
      json.field(name, value);
    }
  }
}
