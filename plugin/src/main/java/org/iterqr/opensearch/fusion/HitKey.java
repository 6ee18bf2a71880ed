package org.iterqr.opensearch.fusion;

import java.util.Comparator;

/**
 * Identity of one version of one document, the same in every search and on every copy of its shard.
 *
 * @param index index name, with its cluster's alias if remote
 * @param shard shard number
 * @param seqNo sequence number of the version; an update changes it
 */
public record HitKey(String index, int shard, long seqNo) implements Comparable<HitKey> {
  private static final Comparator<HitKey> ORDER =
      Comparator.comparing(HitKey::index)
          .thenComparingInt(HitKey::shard)
          .thenComparingLong(HitKey::seqNo);

  /**
   * @return the shard it is of
   */
  public ShardKey shardKey() {
    return new ShardKey(index, shard);
  }

  @Override
  public int compareTo(HitKey other) {
    return ORDER.compare(this, other);
  }
}
