package org.iterqr.opensearch.explain;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.ChannelRank;
import org.iterqr.opensearch.fusion.FusedHit;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.iterqr.opensearch.observe.AnsweredSearch;
import org.iterqr.opensearch.outcome.Outcome;
import org.opensearch.search.SearchHit;

/**
 * Makes the explanation of one search, as JSON values: what came of it, each channel's window, the
 * fused list with what each channel contributed, or what each clause of an expanded query matches,
 * and one document that was asked about. Pure.
 */
final class Explanation {
  private final AnsweredSearch answer;
  private final Map<HitKey, String> ids;
  private final boolean isShadow;

  /** On the page or, in mode shadow, on the one that was kept back. */
  private final Map<String, Integer> positions = new LinkedHashMap<>();

  private Explanation(AnsweredSearch answer, Map<HitKey, String> ids) {
    this.answer = answer;
    this.ids = ids;
    this.isShadow = answer.summary().outcome() == Outcome.SHADOW;
    if (isShadow) {
      answer.summary().shadow().forEach(hit -> isOnPage(hit.index(), hit.id()));
    } else {
      answer.response().getHits().forEach(hit -> isOnPage(hit.getIndex(), hit.getId()));
    }
  }

  private void isOnPage(String index, String id) {
    positions.putIfAbsent(index + '/' + id, positions.size() + 1);
  }

  /**
   * @param answer of the search
   * @param ids of the documents in its windows; one that has changed since is absent
   * @param asked a document to explain, if any
   * @return the explanation
   */
  static Map<String, Object> of(
      AnsweredSearch answer, Map<HitKey, String> ids, Optional<AskedDocument> asked) {
    Explanation explanation = new Explanation(answer, ids);
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("outcome", answer.summary().outcome().wireName());
    members.put("meaning", OutcomeWords.of(answer.summary().outcome()));
    members.put("search", answer.summary().toExt().content());
    answer
        .summary()
        .fusion()
        .ifPresent(
            facts ->
                members.put(
                    "channels",
                    facts.windows().stream()
                        .map(window -> explanation.window(facts.plan(), window))
                        .toList()));
    if (!answer.expanded().isEmpty()) {
      members.put(
          "channels", ExpandedClauses.of(answer).stream().map(explanation::clause).toList());
    }
    answer.fused().ifPresent(fused -> members.put("fused", explanation.list(fused.list())));
    asked.ifPresent(document -> members.put("document", explanation.document(document)));
    return members;
  }

  private Map<String, Object> window(FusionPlan plan, Window window) {
    Map<String, Object> members = name(window.channel());
    members.put(
        "weight",
        switch (window.channel()) {
          case Channel.Original ignored -> plan.original();
          case Channel.Clause ignored -> 0.0;
          case Channel.Rewritten(var rewrite) -> plan.rewrites().getOrDefault(rewrite.id(), 0.0);
        });
    members.put("timed_out", window.timedOut());
    members.put("failed_shards", window.failedShards());
    List<Object> hits = new ArrayList<>(window.hits().size());
    for (WindowHit hit : window.hits()) {
      Map<String, Object> member = new LinkedHashMap<>();
      member.put("rank", hits.size() + 1);
      identify(member, hit.key());
      member.put("score", hit.score());
      hits.add(member);
    }
    members.put("window", hits);
    return members;
  }

  private Map<String, Object> clause(Channel clause) {
    Map<String, Object> members = name(clause);
    members.put("weight", ExpandedClauses.weightOf(clause, answer));
    List<Object> hits = new ArrayList<>();
    for (SearchHit hit : ExpandedClauses.matchedBy(clause, answer)) {
      Map<String, Object> member = new LinkedHashMap<>();
      member.put("position", positions.get(hit.getIndex() + '/' + hit.getId()));
      member.put("_index", hit.getIndex());
      member.put("_id", hit.getId());
      hits.add(member);
    }
    members.put("matches_on_page", hits);
    return members;
  }

  private List<Object> list(List<FusedHit> fused) {
    List<Object> list = new ArrayList<>(fused.size());
    for (FusedHit hit : fused) {
      list.add(fusedHit(hit, list.size() + 1));
    }
    return list;
  }

  private Map<String, Object> fusedHit(FusedHit hit, int rank) {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("rank", rank);
    identify(members, hit.key());
    members.put("position", positions.get(hit.key().index() + '/' + ids.get(hit.key())));
    members.put("score", hit.score());
    members.put("channels", hit.channels().stream().map(Explanation::place).toList());
    return members;
  }

  private static Map<String, Object> place(ChannelRank place) {
    Map<String, Object> members = name(place.channel());
    members.put("rank", place.rank());
    members.put("score", place.score());
    members.put("contribution", place.contribution());
    return members;
  }

  private Map<String, Object> document(AskedDocument asked) {
    Map<String, Object> members = new LinkedHashMap<>();
    members.put("_id", asked.id());
    List<FusedHit> list = answer.fused().map(AnsweredSearch.Fused::list).orElse(List.of());
    int index = -1;
    for (int i = 0; i < list.size(); i++) {
      if (asked.key().isPresent() && list.get(i).key().equals(asked.key().get())) {
        index = i;
      }
    }
    members.put("meaning", documentWords(asked, list, index));
    if (index >= 0) {
      members.putAll(fusedHit(list.get(index), index + 1));
    } else if (!answer.expanded().isEmpty()) {
      members.put("position", position(asked));
    }
    members.put("queries", asked.matches().stream().map(match -> match(match, asked)).toList());
    return members;
  }

  private String documentWords(AskedDocument asked, List<FusedHit> list, int index) {
    if (asked.key().isEmpty()) {
      return "The search's indices have no such document, or the caller may not see it.";
    }
    if (index >= 0) {
      String be = isShadow ? "would be" : "is";
      String not = isShadow ? "would not be" : "is not";
      return position(asked) != null
          ? "It " + be + " on the page: rank " + (index + 1) + " of the fused list."
          : "It " + not + " on the page: rank " + (index + 1) + " of " + list.size() + " fused.";
    }
    if (!answer.expanded().isEmpty()) {
      return expandedWords(asked);
    }
    if (asked.matches().isEmpty()) {
      return "Nothing was fused, so no channel's query was asked about it.";
    }
    return asked.matches().stream().noneMatch(match -> match.score().isPresent())
        ? "No channel's query matches it."
        : "It matches, but no channel has it among the top of its window.";
  }

  private String expandedWords(AskedDocument asked) {
    if (asked.matches().stream().noneMatch(match -> match.score().isPresent())) {
      return "No clause of the expanded query matches it.";
    }
    return position(asked) == null
        ? "The expanded query matches it, but it is not on the page."
        : "It is on the page: the expanded query matches it.";
  }

  private Integer position(AskedDocument asked) {
    return asked.key().map(key -> positions.get(key.index() + '/' + asked.id())).orElse(null);
  }

  private Map<String, Object> match(AskedDocument.Match match, AskedDocument asked) {
    Map<String, Object> members = name(match.channel());
    members.put("matches", match.score().isPresent());
    match.score().ifPresent(score -> members.put("score", score));
    answer.summary().fusion().stream()
        .flatMap(facts -> facts.windows().stream())
        .filter(window -> window.channel().equals(match.channel()))
        .findFirst()
        .ifPresent(
            window -> {
              int rank =
                  window.hits().stream()
                      .map(WindowHit::key)
                      .toList()
                      .indexOf(asked.key().orElse(null));
              members.put("in_window", rank >= 0);
              members.put("window_hits", window.hits().size());
              if (!window.hits().isEmpty()) {
                members.put("window_ends_at_score", window.hits().getLast().score());
              }
            });
    return members;
  }

  private void identify(Map<String, Object> members, HitKey key) {
    members.put("_index", key.index());
    members.put("_id", ids.get(key));
  }

  private static Map<String, Object> name(Channel channel) {
    Map<String, Object> members = new LinkedHashMap<>();
    switch (channel) {
      case Channel.Original ignored -> members.put("name", "original");
      case Channel.Clause(String name) -> members.put("name", "original/" + name);
      case Channel.Rewritten(var rewrite) -> {
        members.put("name", "rewrite");
        members.put("rewrite_id", rewrite.id());
        members.put("text", rewrite.text());
      }
    }
    return members;
  }
}
