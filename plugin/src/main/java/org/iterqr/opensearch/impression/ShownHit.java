package org.iterqr.opensearch.impression;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.iterqr.opensearch.response.ChannelTags;
import org.opensearch.common.document.DocumentField;
import org.opensearch.search.SearchHit;

/**
 * What is logged of a hit, read from it while that is allowed.
 *
 * @param objectId by which events will refer to it
 * @param index of the document
 * @param channels its tags; empty where it has none
 */
record ShownHit(String objectId, String index, List<Object> channels) {
  /**
   * @param hits of a response that is not sent yet
   * @param objectIdField that names documents; empty means {@code _id}
   * @return the first {@link ObjectIds#MAX_HITS} of them
   * @throws IOException if a source cannot be read
   */
  static List<ShownHit> of(SearchHit[] hits, String objectIdField) throws IOException {
    List<String> objectIds = ObjectIds.of(hits, objectIdField);
    List<ShownHit> shown = new ArrayList<>(objectIds.size());
    for (String objectId : objectIds) {
      SearchHit hit = hits[shown.size()];
      DocumentField tags = hit.field(ChannelTags.FIELD);
      shown.add(
          new ShownHit(objectId, hit.getIndex(), tags == null ? List.of() : tags.getValues()));
    }
    return shown;
  }
}
