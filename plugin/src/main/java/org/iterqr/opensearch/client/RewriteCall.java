package org.iterqr.opensearch.client;

/**
 * One call for rewrites.
 *
 * @param query the user's text, within {@link RewriteLimits#QUERY_CHARACTERS}
 * @param region market of the user; may be empty
 * @param tenant owner of the traffic; may be empty
 * @param maxRewrites most rewrites wanted
 * @param deadlineMs from now, positive
 * @param trace what ties the call to the search
 */
public record RewriteCall(
    String query,
    String region,
    String tenant,
    int maxRewrites,
    long deadlineMs,
    TraceContext trace) {}
