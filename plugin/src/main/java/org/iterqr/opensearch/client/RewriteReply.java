package org.iterqr.opensearch.client;

import java.util.List;

/**
 * Rewrites of one query and how the model came to them, checked against the contract.
 *
 * @param checkpointId weights that made the rewrites; may be empty
 * @param fix the query with typing errors corrected; may be empty
 * @param intent what the user looks for; may be empty
 * @param meaning what the query means; may be empty
 * @param hints titles that grounded the rewrites
 * @param rewrites in the model's order, distinct, none equal to the query
 * @param source where they came from
 * @param isPartial whether the deadline came before the model was done
 * @param policyJson document by which the checkpoint wants its rewrites weighed; may be empty;
 *     limited in length, not parsed
 * @param timings where the server's time went; null where no server was asked for this search
 */
public record RewriteReply(
    String checkpointId,
    String fix,
    String intent,
    String meaning,
    List<String> hints,
    List<Rewrite> rewrites,
    ReplySource source,
    boolean isPartial,
    String policyJson,
    ServerTimings timings) {

  /**
   * Durations the server reports, in microseconds.
   *
   * @param totalUs from the request's arrival to the reply
   * @param hintsUs reading hints
   * @param firstTokenUs from submission to the first token
   * @param generationUs from submission to the last token used
   */
  public record ServerTimings(long totalUs, long hintsUs, long firstTokenUs, long generationUs) {}

  /**
   * A reply that no server made: the rewrites a page token pins.
   *
   * @param checkpointId weights that made the rewrites
   * @param rewrites the rewrites
   * @return a reply without reasoning, hints and timings
   */
  public static RewriteReply pinned(String checkpointId, List<Rewrite> rewrites) {
    return new RewriteReply(
        checkpointId, "", "", "", List.of(), rewrites, ReplySource.PAGE_TOKEN, false, "", null);
  }

  /**
   * @param other where another search gets this reply from
   * @return it, without the timings of the call that fetched it
   */
  RewriteReply from(ReplySource other) {
    return new RewriteReply(
        checkpointId, fix, intent, meaning, hints, rewrites, other, isPartial, policyJson, null);
  }
}
