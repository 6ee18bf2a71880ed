package org.iterqr.opensearch.search;

import java.util.HashSet;
import java.util.Set;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.RankedHit;
import org.iterqr.opensearch.fusion.ShardKey;
import org.opensearch.action.search.SearchResponse;
import org.opensearch.action.search.ShardSearchFailure;
import org.opensearch.index.seqno.SequenceNumbers;
import org.opensearch.search.SearchHit;
import org.opensearch.search.SearchShardTarget;

/** Reads the identity of hits. */
public final class HitKeys {
  private HitKeys() {}

  /**
   * @param hit of a search that asked for sequence numbers
   * @return its key
   */
  public static HitKey of(SearchHit hit) {
    if (hit.getSeqNo() == SequenceNumbers.UNASSIGNED_SEQ_NO) {
      throw new IllegalStateException("hit without sequence number");
    }
    return new HitKey(index(hit), hit.getShard().getShardId().id(), hit.getSeqNo());
  }

  /**
   * @param hit of any search
   * @return what of it a window entry has too
   */
  public static RankedHit ranked(SearchHit hit) {
    return new RankedHit(index(hit), hit.getShard().getShardId().id(), hit.getScore());
  }

  /**
   * @param response of any search
   * @return the shards that gave no answer
   */
  public static Set<ShardKey> failedShards(SearchResponse response) {
    Set<ShardKey> failed = new HashSet<>();
    for (ShardSearchFailure failure : response.getShardFailures()) {
      SearchShardTarget target = failure.shard();
      failed.add(
          target == null
              ? ShardKey.UNKNOWN
              : new ShardKey(target.getFullyQualifiedIndexName(), target.getShardId().id()));
    }
    return failed;
  }

  private static String index(SearchHit hit) {
    return hit.getShard().getFullyQualifiedIndexName();
  }
}
