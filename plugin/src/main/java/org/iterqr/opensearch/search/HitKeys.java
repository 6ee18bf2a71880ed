package org.iterqr.opensearch.search;

import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.RankedHit;
import org.opensearch.index.seqno.SequenceNumbers;
import org.opensearch.search.SearchHit;

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

  private static String index(SearchHit hit) {
    return hit.getShard().getFullyQualifiedIndexName();
  }
}
