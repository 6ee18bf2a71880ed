package org.iterqr.opensearch.fusion;

/**
 * A document's place in one channel's window.
 *
 * @param channel which channel
 * @param rank 1-based
 * @param score in the channel's own search
 * @param contribution what it adds to the document's fused score
 */
public record ChannelRank(Channel channel, int rank, float score, double contribution) {
  ChannelRank contributing(double amount) {
    return new ChannelRank(channel, rank, score, amount);
  }
}
