package org.iterqr.opensearch.response;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.Team;
import org.iterqr.opensearch.query.ExpandedQuery;
import org.opensearch.common.document.DocumentField;
import org.opensearch.search.SearchHit;

/**
 * Writes on hits which channels retrieved them, as {@code fields.iterqr_channels}: a list of
 * objects with the channel's name, the hit's rank and score in that channel's window, what it
 * contributed to the fused score and, for a rewrite, its id and text.
 */
public final class ChannelTags {
  /** Name of the field. */
  public static final String FIELD = "iterqr_channels";

  private ChannelTags() {}

  /**
   * @param fused a hit of the fused list
   * @return its tags, with contributions and, where lists were interleaved, the team that picked it
   */
  static DocumentField of(FusedHit fused) {
    List<Object> tags = new ArrayList<>(fused.channels().size());
    for (ChannelRank channel : fused.channels()) {
      Map<String, Object> tag = tag(channel);
      tag.put("contribution", channel.contribution());
      if (fused.team() != Team.NONE) {
        tag.put("team", fused.team().wireName());
      }
      tags.add(tag);
    }
    return new DocumentField(FIELD, tags);
  }

  /**
   * Makes the original channel's tags for a plain, score-sorted page. A hit's rank in the
   * original's window is its place in the ranking, as long as it lies inside the window; hits
   * beyond have no tags. None has if the scores do not fall, for then something else (another
   * response processor) has ordered the page.
   *
   * @param hits of the page
   * @param from 0-based rank of the first hit
   * @param windowSize of the window
   * @return tags of the page's first hits, in their order
   */
  static List<DocumentField> ofPlain(SearchHit[] hits, int from, int windowSize) {
    for (int i = 0; i < hits.length; i++) {
      float score = hits[i].getScore();
      if (Float.isNaN(score) || (i > 0 && score > hits[i - 1].getScore())) {
        return List.of();
      }
    }
    List<DocumentField> tags = new ArrayList<>();
    for (int i = 0; i < hits.length && from + i < windowSize; i++) {
      ChannelRank place =
          new ChannelRank(new Channel.Original(), from + i + 1, hits[i].getScore(), 0);
      tags.add(new DocumentField(FIELD, List.of(tag(place))));
    }
    return tags;
  }

  /**
   * Makes the tags of a hit of an expanded query. They say what the hit matches, which is less than
   * having been retrieved: no order can be credited by them.
   *
   * @param hit with the names of the clauses it matches
   * @param rewrites that may be in the query
   * @return its tags, the original's first
   */
  static DocumentField ofMatched(SearchHit hit, List<Rewrite> rewrites) {
    Set<String> names = hit.getMatchedQueriesAndScores().keySet();
    List<Object> tags = new ArrayList<>();
    if (names.contains(ExpandedQuery.ORIGINAL)) {
      tags.add(Map.of("name", "matched", "channel", "original"));
    }
    for (Rewrite rewrite : rewrites) {
      if (names.contains(ExpandedQuery.nameOf(rewrite.id()))) {
        Map<String, Object> tag = new LinkedHashMap<>();
        tag.put("name", "matched");
        tag.put("channel", "rewrite");
        tag.put("rewrite_id", rewrite.id());
        tag.put("text", rewrite.text());
        tags.add(tag);
      }
    }
    return new DocumentField(FIELD, tags);
  }

  /**
   * Writes tags on hits beside the user's own fields: on all of them or, if one refuses, on none.
   *
   * @param hits to be tagged
   * @param tags of the first of them, in their order
   */
  static void write(SearchHit[] hits, List<DocumentField> tags) {
    int written = 0;
    try {
      for (; written < tags.size(); written++) {
        hits[written].setDocumentField(FIELD, tags.get(written));
      }
    } catch (Throwable e) {
      for (int i = 0; i < written; i++) {
        hits[i].removeDocumentField(FIELD);
      }
      throw e;
    }
  }

  private static Map<String, Object> tag(ChannelRank channel) {
    Map<String, Object> tag = new LinkedHashMap<>();
    switch (channel.channel()) {
      case Channel.Original ignored -> tag.put("name", "original");
      case Channel.Clause(String name) -> tag.put("name", "original/" + name);
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
