package org.iterqr.opensearch.fusion;

import java.util.List;
import java.util.Set;

/**
 * What one channel retrieved: the top of its own search, at most window_size hits.
 *
 * @param channel whose search
 * @param hits best first, each document once
 * @param timedOut whether the search ended before it saw every document
 * @param failedShards shards that gave no answer
 */
public record Window(
    Channel channel, List<WindowHit> hits, boolean timedOut, Set<ShardKey> failedShards) {
  /**
   * @param channel whose search
   * @param hits best first, each document once
   * @return a window for which every shard was searched in time
   */
  public static Window whole(Channel channel, List<WindowHit> hits) {
    return new Window(channel, hits, false, Set.of());
  }

  /**
   * @return whether the channel is the user's own query or a clause of it
   */
  public boolean isOriginals() {
    return !(channel instanceof Channel.Rewritten);
  }
}
