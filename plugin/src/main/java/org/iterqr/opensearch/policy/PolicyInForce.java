package org.iterqr.opensearch.policy;

/**
 * A policy by which a search's rewrites are weighed.
 *
 * @param policy what it says
 * @param source whose it is
 */
public record PolicyInForce(Policy policy, PolicyDecision.Source source) {}
