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
 * @param timings where the server's time went; null where no server was asked
 */
public record RewriteReply(
    String checkpointId,
    String fix,
    String intent,
    String meaning,
    List<String> hints,
    List<Rewrite> rewrites,
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
    return new RewriteReply(checkpointId, "", "", "", List.of(), rewrites, null);
  }
}
