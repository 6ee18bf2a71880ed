package org.iterqr.opensearch.fusion;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Team-draft interleaving (Radlinski, Kurup and Joachims, CIKM 2008) of two lists: the original's,
 * and the rewrites' fused with each other. The sides pick their best document that is not taken
 * yet, in turns; a coin says who begins a round. The coin is a function of seed and round, so that
 * a list can be made again.
 */
public final class TeamDraft {
  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;

  private TeamDraft() {}

  /**
   * @param text that names one search
   * @return the seed of its interleaving: the first 8 bytes of the text's SHA-256, big-endian
   */
  public static long seed(String text) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return ByteBuffer.wrap(digest).getLong();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  static List<FusedHit> interleave(Map<HitKey, List<ChannelRank>> places, FusionPlan plan) {
    Picks original = new Picks(originalsOrder(places));
    Picks rewrites = new Picks(rewritesOrder(places, plan));
    Set<HitKey> taken = new HashSet<>();
    List<FusedHit> list = new ArrayList<>(places.size());
    int round = 0;
    while (list.size() < places.size()) {
      boolean originalHasNext = original.skip(taken);
      boolean rewritesHaveNext = rewrites.skip(taken);
      boolean originalPicks;
      if (!originalHasNext || !rewritesHaveNext) {
        originalPicks = originalHasNext;
      } else if (original.picked == rewrites.picked) {
        originalPicks = coin(plan.seed(), round++);
      } else {
        originalPicks = original.picked < rewrites.picked;
      }
      HitKey key = (originalPicks ? original : rewrites).pick();
      taken.add(key);
      double score = 1.0 / (plan.rankConstant() + list.size() + 1);
      Team team = originalPicks ? Team.ORIGINAL : Team.REWRITES;
      list.add(FusedHit.of(key, shared(places.get(key), score, team, plan), team));
    }
    return list;
  }

  /** SplitMix64's output for the round, its highest bit. */
  static boolean coin(long seed, int round) {
    long z = seed + (round + 1L) * GOLDEN_GAMMA;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return (z ^ (z >>> 31)) < 0;
  }

  private static List<HitKey> originalsOrder(Map<HitKey, List<ChannelRank>> places) {
    return places.entrySet().stream()
        .filter(entry -> entry.getValue().getFirst().channel() instanceof Channel.Original)
        .sorted(Comparator.comparingInt(entry -> entry.getValue().getFirst().rank()))
        .map(Map.Entry::getKey)
        .toList();
  }

  private static List<HitKey> rewritesOrder(
      Map<HitKey, List<ChannelRank>> places, FusionPlan plan) {
    Map<HitKey, List<ChannelRank>> ofRewrites = new LinkedHashMap<>();
    places.forEach(
        (key, channels) -> {
          List<ChannelRank> some =
              channels.stream()
                  .filter(place -> place.channel() instanceof Channel.Rewritten)
                  .toList();
          if (!some.isEmpty()) {
            ofRewrites.put(key, some);
          }
        });
    return Fusion.byReciprocalRank(ofRewrites, plan).stream().map(FusedHit::key).toList();
  }

  /** The place's score goes to the channels of the team that picked it, by reciprocal rank. */
  private static List<ChannelRank> shared(
      List<ChannelRank> channels, double score, Team team, FusionPlan plan) {
    double whole =
        channels.stream()
            .filter(place -> teamOf(place) == team)
            .mapToDouble(plan::contribution)
            .sum();
    long members = channels.stream().filter(place -> teamOf(place) == team).count();
    return channels.stream()
        .map(
            place -> {
              double share = whole > 0 ? plan.contribution(place) / whole : 1.0 / members;
              return place.contributing(teamOf(place) == team ? score * share : 0);
            })
        .toList();
  }

  private static Team teamOf(ChannelRank place) {
    return switch (place.channel()) {
      case Channel.Original ignored -> Team.ORIGINAL;
      case Channel.Clause ignored -> Team.NONE;
      case Channel.Rewritten ignored -> Team.REWRITES;
    };
  }

  /** One side's list, and how many of it were picked. */
  private static final class Picks {
    private final List<HitKey> list;
    private int next;
    private int picked;

    Picks(List<HitKey> list) {
      this.list = list;
    }

    /** Goes on to the best that is not taken; returns whether there is one. */
    boolean skip(Set<HitKey> taken) {
      while (next < list.size() && taken.contains(list.get(next))) {
        next++;
      }
      return next < list.size();
    }

    HitKey pick() {
      picked++;
      return list.get(next++);
    }
  }
}
