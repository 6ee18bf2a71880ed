package org.iterqr.opensearch.impression;

/**
 * One log of this node since it started.
 *
 * @param queued documents that are not yet written
 * @param queuedBytes their size
 * @param written documents that are in their index
 * @param dropped documents for which the queue had no room
 * @param refused documents that their index will never take
 * @param retries batches that were sent again, in whole or in part
 * @param lastError class of the last error; empty if there was none
 */
public record LogStats(
    long queued,
    long queuedBytes,
    long written,
    long dropped,
    long refused,
    long retries,
    String lastError) {}
