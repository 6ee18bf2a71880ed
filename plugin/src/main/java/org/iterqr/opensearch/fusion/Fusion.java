package org.iterqr.opensearch.fusion;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Makes one list of all windows. Pure: the same windows and plan give the same list, ties included,
 * so that pages cut from it fit together. Every hit's channels say what each contributed; the sum
 * is its score, and scores never rise down the list.
 */
public final class Fusion {
  private static final Comparator<FusedHit> ORDER =
      Comparator.comparingDouble(FusedHit::score)
          .reversed()
          .thenComparingInt(FusedHit::bestRank)
          .thenComparing(FusedHit::key);

  private Fusion() {}

  /**
   * @param windows the original's first, then the rewrites' in their order
   * @param plan how
   * @return whether the page is the original's alone: no rewrite takes part, or the original has
   *     enough
   */
  public static boolean originalSuffices(List<Window> windows, FusionPlan plan) {
    Window original = windows.getFirst();
    return windows.stream()
            .map(Window::channel)
            .noneMatch(channel -> channel instanceof Channel.Rewritten && plan.takesPart(channel))
        || (plan.strategy() == FusionStrategy.APPEND
            && original.hits().size() >= plan.appendBelow());
  }

  /**
   * @param windows the original's first, then its named clauses', then the rewrites' in their order
   * @param plan how; windows of rewrites that take no part are left out
   * @return every document of the original's and the rewrites' windows, best first
   */
  public static List<FusedHit> fuse(List<Window> windows, FusionPlan plan) {
    Map<HitKey, List<ChannelRank>> places = new LinkedHashMap<>();
    for (Window window : windows) {
      if (!plan.takesPart(window.channel())) {
        continue;
      }
      int rank = 0;
      for (WindowHit hit : window.hits()) {
        rank++;
        places
            .computeIfAbsent(hit.key(), key -> new ArrayList<>(windows.size()))
            .add(new ChannelRank(window.channel(), rank, hit.score(), 0));
      }
    }
    places.values().removeIf(Fusion::isOfClausesOnly);
    return switch (plan.strategy()) {
      case RRF -> byReciprocalRank(places, plan);
      case APPEND -> appended(places, plan);
      case INTERLEAVE -> TeamDraft.interleave(places, plan);
    };
  }

  private static boolean isOfClausesOnly(List<ChannelRank> channels) {
    return channels.stream().allMatch(place -> place.channel() instanceof Channel.Clause);
  }

  /** Cormack, Clarke and Büttcher, SIGIR 2009, with weights. */
  static List<FusedHit> byReciprocalRank(Map<HitKey, List<ChannelRank>> places, FusionPlan plan) {
    List<FusedHit> fused = new ArrayList<>(places.size());
    places.forEach(
        (key, channels) ->
            fused.add(
                FusedHit.of(
                    key,
                    channels.stream()
                        .map(place -> place.contributing(plan.contribution(place)))
                        .toList(),
                    Team.NONE)));
    fused.sort(ORDER);
    return fused;
  }

  /** The original's documents score above anything that rewrites' contributions can add up to. */
  private static List<FusedHit> appended(Map<HitKey, List<ChannelRank>> places, FusionPlan plan) {
    double bound =
        plan.rewrites().values().stream().mapToDouble(weight -> weight).sum()
            / (plan.rankConstant() + 1);
    List<FusedHit> fused = new ArrayList<>(places.size());
    places.forEach(
        (key, channels) -> {
          boolean ofOriginal = channels.getFirst().channel() instanceof Channel.Original;
          List<ChannelRank> contributing = new ArrayList<>(channels.size());
          for (ChannelRank place : channels) {
            double amount = 0;
            if (place.channel() instanceof Channel.Original) {
              amount = bound + 1.0 / (plan.rankConstant() + place.rank());
            } else if (!ofOriginal) {
              amount = plan.contribution(place);
            }
            contributing.add(place.contributing(amount));
          }
          fused.add(FusedHit.of(key, contributing, Team.NONE));
        });
    fused.sort(ORDER);
    return fused;
  }
}
