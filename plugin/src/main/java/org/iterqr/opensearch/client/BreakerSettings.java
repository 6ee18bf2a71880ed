package org.iterqr.opensearch.client;

/**
 * When a replica is no longer asked, and when it is tried again.
 *
 * @param failureShare of the window's calls that opens the breaker, 0 to 1
 * @param minimumCalls in the window before the share says anything
 * @param windowNanos how far back calls count
 * @param openNanos how long the breaker stays open the first time; doubles each time probes fail
 * @param maxOpenNanos how long it stays open at most
 * @param probes calls that must succeed, and may be in flight, before it closes
 * @param minimumTimeoutMs a call that got less time than this may time out without being a failure
 */
record BreakerSettings(
    double failureShare,
    int minimumCalls,
    long windowNanos,
    long openNanos,
    long maxOpenNanos,
    int probes,
    long minimumTimeoutMs) {}
