package org.iterqr.opensearch.explain;

import java.util.List;
import java.util.Optional;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.HitKey;

/**
 * A document somebody asks about.
 *
 * @param id of it
 * @param key its version now; empty if the search's indices have no such document for the caller
 * @param matches what each channel's query makes of it, whatever its window holds
 */
record AskedDocument(String id, Optional<HitKey> key, List<Match> matches) {
  /**
   * One channel's query and the document.
   *
   * @param channel which
   * @param score of the document; empty if the query does not match it
   */
  record Match(Channel channel, Optional<Float> score) {}
}
