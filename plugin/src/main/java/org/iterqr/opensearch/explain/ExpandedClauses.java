package org.iterqr.opensearch.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.query.ExpandedQuery;
import org.iterqr.opensearch.response.ChannelTags;
import org.opensearch.common.document.DocumentField;
import org.opensearch.search.SearchHit;

/**
 * The clauses of an expanded query: the user's own query and one for each rewrite. Each is told by
 * the channel that its text would have in mode fuse. Pure.
 */
final class ExpandedClauses {
  private ExpandedClauses() {}

  /**
   * @param answer of an expanded search
   * @return the original's first, then those of the rewrites that are in the query
   */
  static List<Channel> of(AnsweredSearch answer) {
    List<Channel> clauses = new ArrayList<>();
    clauses.add(new Channel.Original());
    for (Rewrite rewrite : answer.summary().reply().rewrites()) {
      if (answer.expanded().containsKey(rewrite.id())) {
        clauses.add(new Channel.Rewritten(rewrite));
      }
    }
    return clauses;
  }

  /**
   * @param clause of an expanded query
   * @return its name there
   */
  static String nameOf(Channel clause) {
    return clause instanceof Channel.Rewritten(Rewrite rewrite)
        ? ExpandedQuery.nameOf(rewrite.id())
        : ExpandedQuery.ORIGINAL;
  }

  /**
   * @param clause of an expanded query
   * @param answer of the search
   * @return its boost
   */
  static double weightOf(Channel clause, AnsweredSearch answer) {
    return clause instanceof Channel.Rewritten(Rewrite rewrite)
        ? answer.expanded().get(rewrite.id())
        : 1;
  }

  /**
   * @param clause of an expanded query
   * @param answer of the search
   * @return the page's hits that it matches, as their tags say
   */
  static List<SearchHit> matchedBy(Channel clause, AnsweredSearch answer) {
    return Arrays.stream(answer.response().getHits().getHits())
        .filter(
            hit -> {
              DocumentField tags = hit.field(ChannelTags.FIELD);
              return tags != null
                  && tags.getValues().stream().anyMatch(tag -> isOf(clause, (Map<?, ?>) tag));
            })
        .toList();
  }

  private static boolean isOf(Channel clause, Map<?, ?> tag) {
    return clause instanceof Channel.Rewritten(Rewrite rewrite)
        ? rewrite.id().equals(tag.get("rewrite_id"))
        : "original".equals(tag.get("channel"));
  }
}
