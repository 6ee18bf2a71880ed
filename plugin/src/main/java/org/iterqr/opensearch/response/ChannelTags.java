package org.iterqr.opensearch.response;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.opensearch.common.document.DocumentField;
import org.opensearch.search.SearchHit;

/**
 * Writes on hits which channels retrieved them, as {@code fields.iterqr_channels}: a list of
 * objects with the channel's name, the hit's rank and score in that channel's window and, for a
 * rewrite, its id and text.
 */
public final class ChannelTags {
  /** Name of the field. */
  public static final String FIELD = "iterqr_channels";

  private ChannelTags() {}

  /**
   * @param hit gets the tags beside the user's own fields
   * @param channels that retrieved it
   */
  public static void tag(SearchHit hit, List<ChannelRank> channels) {
    List<Object> tags = new ArrayList<>(channels.size());
    for (ChannelRank channel : channels) {
      tags.add(tag(channel));
    }
    hit.setDocumentField(FIELD, new DocumentField(FIELD, tags));
  }

  /**
   * Tags the hits of a plain, score-sorted page with the original channel. Their rank in the
   * original's window is their place in the ranking, as long as it lies inside the window; hits
   * beyond stay untagged. Nothing is tagged if the scores do not fall, for then something else
   * (another response processor) has ordered the page.
   *
   * @param hits of the page
   * @param from 0-based rank of the first hit
   * @param windowSize of the window
   */
  public static void tagPlain(SearchHit[] hits, int from, int windowSize) {
    for (int i = 0; i < hits.length; i++) {
      float score = hits[i].getScore();
      if (Float.isNaN(score) || (i > 0 && score > hits[i - 1].getScore())) {
        return;
      }
    }
    for (int i = 0; i < hits.length && from + i < windowSize; i++) {
      tag(
          hits[i],
          List.of(new ChannelRank(new Channel.Original(), from + i + 1, hits[i].getScore())));
    }
  }

  private static Map<String, Object> tag(ChannelRank channel) {
    Map<String, Object> tag = new LinkedHashMap<>();
    switch (channel.channel()) {
      case Channel.Original ignored -> tag.put("name", "original");
      case Channel.Rewritten(Rewrite rewrite) -> {
        tag.put("name", "rewrite");
        tag.put("rewrite_id", rewrite.id());
        tag.put("text", rewrite.text());
      }
    }
    tag.put("rank", channel.rank());
    tag.put("score", channel.score());
    return tag;
  }
}
