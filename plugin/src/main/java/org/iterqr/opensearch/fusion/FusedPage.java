package org.iterqr.opensearch.fusion;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;

/**
 * The slice of the fused list that a response shows, filled step by step: hits at hand, then
 * fetched ones; where a document vanished meanwhile, the next of the list moves up. Not
 * thread-safe.
 *
 * @param <H> a fetched hit
 */
public final class FusedPage<H> {
  private final List<FusedHit> remaining;
  private final int from;
  private final int size;
  private final Function<H, Object> documentOf;
  private final RewriteCredit credit;
  private final Set<HitKey> asked = new HashSet<>();
  private final Map<HitKey, H> hits = new HashMap<>();

  /** A hit in its place. */
  public record Entry<H>(FusedHit fused, H hit) {}

  /**
   * @param fused the whole list, best first
   * @param from 0-based start of the slice
   * @param size length of the slice
   * @param documentOf identity of a hit's document whatever its version, or null if unknown; one
   *     updated between two windows' searches is in the list twice and must be shown once
   * @param credit of the windows that were fused
   */
  public FusedPage(
      List<FusedHit> fused,
      int from,
      int size,
      Function<H, Object> documentOf,
      RewriteCredit credit) {
    this.remaining = new ArrayList<>(fused);
    this.from = from;
    this.size = size;
    this.documentOf = documentOf;
    this.credit = credit;
  }

  /**
   * Gives hits that are at hand.
   *
   * @param found by document; those outside the slice are kept in case they move up
   */
  public void put(Map<HitKey, H> found) {
    hits.putAll(found);
  }

  /**
   * Drops documents that are no longer what the windows saw.
   *
   * @param keys looked for and not found
   */
  public void drop(Set<HitKey> keys) {
    credit.gone(keys);
    remaining.removeIf(fused -> keys.contains(fused.key()) && !hits.containsKey(fused.key()));
  }

  /**
   * @return what the slice still lacks, in its order; empty when the page is complete
   */
  public List<FusedHit> missing() {
    dropRepeatedDocuments();
    dropDoubtful();
    return slice().stream().filter(fused -> !hits.containsKey(fused.key())).toList();
  }

  /**
   * @param missing what is to be fetched
   * @return versions that must be looked for together with it, each once: whether they are gone
   *     decides what rewrites are credited with
   */
  public Set<HitKey> suspects(List<FusedHit> missing) {
    Set<HitKey> known = new HashSet<>();
    hits.forEach(
        (key, hit) -> {
          if (documentOf.apply(hit) != null) {
            known.add(key);
          }
        });
    Set<HitKey> suspects = credit.suspects(missing, known);
    missing.forEach(hit -> suspects.remove(hit.key()));
    suspects.removeAll(asked);
    asked.addAll(suspects);
    return suspects;
  }

  /**
   * @return the slice, without what is still missing; a hit of rewrites whose document the plain
   *     response shows is the original's, too
   */
  public List<Entry<H>> entries() {
    List<Entry<H>> entries = new ArrayList<>();
    for (FusedHit fused : slice()) {
      H hit = hits.get(fused.key());
      if (hit != null) {
        entries.add(new Entry<>(credit.credited(fused, documentOf.apply(hit)), hit));
      }
    }
    return entries;
  }

  private List<FusedHit> slice() {
    int end = Math.min(from + size, remaining.size());
    return from >= end ? List.of() : remaining.subList(from, end);
  }

  /** Rather one hit less than one that rewrites are credited with and should not be. */
  private void dropDoubtful() {
    remaining.removeIf(
        fused -> {
          H hit = hits.get(fused.key());
          return hit != null && credit.isInDoubt(fused, documentOf.apply(hit));
        });
  }

  private void dropRepeatedDocuments() {
    Set<Object> seen = new HashSet<>();
    remaining.removeIf(
        fused -> {
          H hit = hits.get(fused.key());
          Object document = hit == null ? null : documentOf.apply(hit);
          return document != null && !seen.add(document);
        });
  }
}
