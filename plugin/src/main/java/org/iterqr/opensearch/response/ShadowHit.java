package org.iterqr.opensearch.response;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.fusion.FusedHit;

/**
 * A hit of the page that mode shadow kept back.
 *
 * @param index of the document
 * @param id of the document
 * @param position on the page, from 1
 * @param fused score and channels
 */
public record ShadowHit(String index, String id, int position, FusedHit fused) {
  /**
   * @return its tags, as {@link ChannelTags} would have written them on it
   */
  public List<Object> channels() {
    return ChannelTags.of(fused).getValues();
  }

  Map<String, Object> toMap() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("index", index);
    map.put("object_id", id);
    map.put("position", position);
    map.put("score", fused.score());
    map.put("channels", channels());
    return map;
  }
}
