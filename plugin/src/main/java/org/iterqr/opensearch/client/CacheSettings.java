package org.iterqr.opensearch.client;

/**
 * How replies are kept on the node.
 *
 * @param isEnabled whether they are, and whether searches share calls; otherwise each search makes
 *     a call of its own
 * @param maxBytes what they may take in memory, by estimate
 * @param ttlNanos how long one with rewrites is served
 * @param negativeTtlNanos the same for one without
 */
record CacheSettings(boolean isEnabled, long maxBytes, long ttlNanos, long negativeTtlNanos) {}
