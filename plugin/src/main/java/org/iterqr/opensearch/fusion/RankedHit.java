package org.iterqr.opensearch.fusion;

/**
 * A hit of the plain response, as far as it can be compared with a window entry.
 *
 * @param index index name, with its cluster's alias if remote
 * @param shard shard number
 * @param score its score
 */
public record RankedHit(String index, int shard, float score) {}
