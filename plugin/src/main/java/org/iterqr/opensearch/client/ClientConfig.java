package org.iterqr.opensearch.client;

import java.util.List;

/**
 * What can be changed while the node runs.
 *
 * @param endpoints where the servers listen, at least one
 * @param maxInFlight calls of this node that may wait for a server
 * @param breaker of each server
 * @param cache of the node
 */
record ClientConfig(
    List<Endpoint> endpoints, int maxInFlight, BreakerSettings breaker, CacheSettings cache) {}
