package org.iterqr.opensearch.impression;

import java.util.ArrayList;
import java.util.List;

/**
 * What is to be done so that nothing is kept longer than wanted, by a tenth at most.
 *
 * @param rollsOver whether the stream is to go on in a new backing index
 * @param expired names of backing indices to delete
 */
record RetentionPlan(boolean rollsOver, List<String> expired) {
  /** Backing indices that one retention is made of. */
  private static final int PARTS = 10;

  /**
   * @param name of a backing index
   * @param createdMs when, in milliseconds since the epoch
   */
  record BackingIndex(String name, long createdMs) {}

  /**
   * @param indices of the stream, oldest first; the last one is written to
   * @param nowMs milliseconds since the epoch
   * @param retentionMs how long documents are kept
   * @return the plan; an index is expired when its newest document is, which is older than the next
   *     index
   */
  static RetentionPlan of(List<BackingIndex> indices, long nowMs, long retentionMs) {
    List<String> expired = new ArrayList<>();
    for (int i = 0; i + 1 < indices.size(); i++) {
      if (indices.get(i + 1).createdMs() <= nowMs - retentionMs) {
        expired.add(indices.get(i).name());
      }
    }
    boolean isAged = indices.getLast().createdMs() <= nowMs - retentionMs / PARTS;
    return new RetentionPlan(isAged, List.copyOf(expired));
  }
}
