package org.iterqr.opensearch.fusion;

/**
 * A document's place in one channel's window.
 *
 * @param channel which channel
 * @param rank 1-based
 * @param score in the channel's own search
 */
public record ChannelRank(Channel channel, int rank, float score) {}
