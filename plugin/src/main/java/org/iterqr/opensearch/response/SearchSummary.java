package org.iterqr.opensearch.response;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteReply;
import org.iterqr.opensearch.experiment.Assignment;
import org.iterqr.opensearch.identity.SearchIdentity;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.outcome.Outcome;

/**
 * The query-level facts of one search.
 *
 * @param identity who searched
 * @param outcome how the channel ended
 * @param mode what rewrites were to do
 * @param query the user's text; empty if none was found
 * @param reply the rewrites; null if there was no reply
 * @param fusion how the windows were fused; empty if they were not
 * @param windowSize of every window
 * @param pageToken for later pages; empty if there is none
 * @param timings where the time went
 * @param shadow the page that mode shadow kept back; empty in other modes
 */
public record SearchSummary(
    SearchIdentity identity,
    Outcome outcome,
    Mode mode,
    String query,
    RewriteReply reply,
    Optional<FusionFacts> fusion,
    int windowSize,
    String pageToken,
    Timings timings,
    List<ShadowHit> shadow) {
  private static final double NANOS_PER_MS = 1e6;

  /**
   * @return the response's ext section
   */
  public ResponseExt toExt() {
    RewriteReply shown = reply == null ? RewriteReply.pinned("", List.of()) : reply;
    Map<String, Object> ext = new LinkedHashMap<>();
    ext.put("query_id", identity.queryId());
    ext.put("outcome", outcome.wireName());
    Assignment assignment = identity.assignment();
    if (!assignment.experiment().isEmpty()) {
      ext.put(
          "experiment",
          Map.of("name", assignment.experiment(), "bucket", assignment.bucket().wireName()));
    }
    ext.put("mode", mode.wireName());
    ext.put("query", query);
    ext.put("checkpoint_id", shown.checkpointId());
    ext.put("fix", shown.fix());
    ext.put("intent", shown.intent());
    ext.put("meaning", shown.meaning());
    ext.put("hints", shown.hints());
    ext.put("rewrites", rewrites(shown.rewrites()));
    if (reply != null) {
      ext.put("source", reply.source().wireName());
      ext.put("partial", reply.isPartial());
    }
    ext.put("window_size", windowSize);
    fusion.ifPresent(
        facts -> {
          ext.put("fusion", facts.fusion());
          facts.policyMember().ifPresent(policy -> ext.put("policy", policy));
        });
    if (!shadow.isEmpty()) {
      ext.put("shadow", shadow.stream().map(ShadowHit::toMap).toList());
    }
    ext.put("page_token", pageToken);
    ext.put("timings", timingsMs());
    return new ResponseExt(ext);
  }

  /**
   * @return the stages that were reached, in milliseconds, and the server's own times
   */
  public Map<String, Object> timingsMs() {
    RewriteReply.ServerTimings server = reply == null ? null : reply.timings();
    Map<String, Object> map = new LinkedHashMap<>();
    putMs(map, "rewrite_ms", timings.rewriteNanos());
    putMs(map, "windows_ms", timings.windowsNanos());
    putMs(map, "fetch_ms", timings.fetchNanos());
    putMs(map, "total_ms", timings.totalNanos());
    putMs(map, "added_ms", timings.addedNanos());
    if (server != null) {
      Map<String, Object> times = new LinkedHashMap<>();
      times.put("total_us", server.totalUs());
      times.put("hints_us", server.hintsUs());
      times.put("first_token_us", server.firstTokenUs());
      times.put("generation_us", server.generationUs());
      map.put("server", times);
    }
    return map;
  }

  private List<Object> rewrites(List<Rewrite> rewrites) {
    List<Object> list = new ArrayList<>(rewrites.size());
    for (Rewrite rewrite : rewrites) {
      Map<String, Object> member = new LinkedHashMap<>();
      member.put("rewrite_id", rewrite.id());
      member.put("text", rewrite.text());
      member.put("confidence", rewrite.confidence());
      // Where windows were not fused nobody knows what it would have retrieved.
      fusion.ifPresent(facts -> member.putAll(facts.of(rewrite)));
      list.add(member);
    }
    return list;
  }

  private static void putMs(Map<String, Object> map, String name, long nanos) {
    if (nanos != Timings.NOT_REACHED) {
      map.put(name, Math.round(nanos / NANOS_PER_MS * 100) / 100.0);
    }
  }
}
