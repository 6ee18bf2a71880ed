package org.iterqr.opensearch.fusion;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Keeps rewrites from being credited with the original's documents. A window names versions: a
 * document that is updated between two windows' searches has a key in each, and the later key by
 * itself looks like one that only a rewrite retrieved. Two things tell:
 *
 * <ul>
 *   <li>The plain response shows the document: then the original retrieved it, at that rank.
 *   <li>A version of the original's windows is gone by the time hits are fetched. What it was is
 *       not known any more, so no newer hit of its shard can be said to be another document.
 * </ul>
 *
 * Where none of the original's versions is gone, none has been updated between the windows. Not
 * thread-safe.
 */
public final class RewriteCredit {
  private final Set<HitKey> originals = new HashSet<>();
  private final Map<?, ChannelRank> plain;
  private final Set<HitKey> gone = new HashSet<>();

  /**
   * @param windows all that are fused
   * @param plain the plain response's documents, whatever their version, and where the original has
   *     them
   */
  public RewriteCredit(Collection<Window> windows, Map<?, ChannelRank> plain) {
    for (Window window : windows) {
      if (window.isOriginals()) {
        window.hits().forEach(hit -> originals.add(hit.key()));
      }
    }
    this.plain = plain;
  }

  /**
   * @param fused a hit of the fused list
   * @return whether it would be credited to rewrites alone
   */
  static boolean isRewritesAlone(FusedHit fused) {
    return fused.channels().stream()
        .allMatch(place -> place.channel() instanceof Channel.Rewritten);
  }

  /**
   * @param hits to be fetched
   * @param known versions whose documents are known
   * @return versions of the original's windows that might have become one of these hits: whether
   *     they are still there must be found out together with the hits, or later
   */
  Set<HitKey> suspects(Collection<FusedHit> hits, Set<HitKey> known) {
    List<HitKey> alone = new ArrayList<>();
    for (FusedHit hit : hits) {
      if (isRewritesAlone(hit)) {
        alone.add(hit.key());
      }
    }
    Set<HitKey> suspects = new HashSet<>();
    if (!alone.isEmpty()) {
      for (HitKey key : originals) {
        if (!known.contains(key) && alone.stream().anyMatch(hit -> mayHaveBecome(key, hit))) {
          suspects.add(key);
        }
      }
    }
    return suspects;
  }

  /**
   * @param keys looked for and not found
   */
  void gone(Collection<HitKey> keys) {
    for (HitKey key : keys) {
      if (originals.contains(key)) {
        gone.add(key);
      }
    }
  }

  /**
   * @param fused a hit of the fused list
   * @param document its document, or null if unknown
   * @return whether it might be the original's in an older version, and nobody can say
   */
  boolean isInDoubt(FusedHit fused, Object document) {
    return !gone.isEmpty()
        && isRewritesAlone(fused)
        && plainPlace(document) == null
        && gone.stream().anyMatch(key -> mayHaveBecome(key, fused.key()));
  }

  /**
   * @param fused a hit of the fused list
   * @param document its document, or null if unknown
   * @return the hit, with the original's place where the plain response has the document; that
   *     place contributes nothing, for the list was fused without it
   */
  FusedHit credited(FusedHit fused, Object document) {
    ChannelRank place = plainPlace(document);
    if (place == null || !isRewritesAlone(fused)) {
      return fused;
    }
    List<ChannelRank> channels = new ArrayList<>(fused.channels().size() + 1);
    channels.add(place);
    channels.addAll(fused.channels());
    return new FusedHit(fused.key(), fused.score(), List.copyOf(channels), fused.team());
  }

  private ChannelRank plainPlace(Object document) {
    return document == null ? null : plain.get(document);
  }

  /** An update gets a higher number on the same shard. */
  private static boolean mayHaveBecome(HitKey older, HitKey newer) {
    return older.seqNo() < newer.seqNo()
        && older.shard() == newer.shard()
        && older.index().equals(newer.index());
  }
}
