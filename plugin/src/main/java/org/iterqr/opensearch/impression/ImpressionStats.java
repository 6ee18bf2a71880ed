package org.iterqr.opensearch.impression;

/**
 * What this node has logged since it started.
 *
 * @param logsClientIds whether there is a key to hash client ids with; without one none is logged
 * @param sampledOut searches that were left out by sampling
 * @param failed searches of which no document could be made
 * @param impressions the impression log
 * @param ubiQueries documents for {@code ubi_queries}
 */
public record ImpressionStats(
    boolean logsClientIds,
    long sampledOut,
    long failed,
    LogStats impressions,
    LogStats ubiQueries) {}
