package org.iterqr.opensearch.fusion;

/**
 * Identity of a shard, whichever copy of it answers.
 *
 * @param index index name, with its cluster's alias if remote
 * @param shard shard number
 */
public record ShardKey(String index, int shard) {
  /** A shard that a failure does not name; it may be any. */
  public static final ShardKey UNKNOWN = new ShardKey("", -1);
}
