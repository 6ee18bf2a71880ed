package org.iterqr.opensearch.fusion;

import java.util.List;

/**
 * What one channel retrieved: the top of its own search, at most window_size hits.
 *
 * @param channel whose search
 * @param hits best first, each document once
 * @param timedOut whether the search ended before it saw every document
 * @param failedShards shards that gave no answer
 */
public record Window(Channel channel, List<WindowHit> hits, boolean timedOut, int failedShards) {}
