package org.iterqr.opensearch.impression;

import org.opensearch.core.common.bytes.BytesReference;

/**
 * A document on its way to an index.
 *
 * @param id of the document; the same whenever it is sent again
 * @param source JSON
 */
public record LogEntry(String id, BytesReference source) {
  /** What an entry takes of the heap beside its source, roughly. */
  private static final int OVERHEAD_BYTES = 200;

  /**
   * @return what it counts for against the queue's limit
   */
  int bytes() {
    return source.length() + OVERHEAD_BYTES;
  }
}
