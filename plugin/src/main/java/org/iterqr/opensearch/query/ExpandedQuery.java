package org.iterqr.opensearch.query;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/**
 * The query of mode expand, and the names by which its clauses are found on hits again.
 *
 * @param query in map form
 * @param parts the rewrites in it; empty: it finds what the user's own does
 * @param isCut whether a rewrite was left out for the engine's limit of clauses
 */
public record ExpandedQuery(Map<String, Object> query, List<Part> parts, boolean isCut) {
  /** Name of the user's own query. */
  public static final String ORIGINAL = "iterqr:original";

  private static final String REWRITE = "iterqr:rewrite:";

  /** Of the clauses the engine allows, one in so many is used: analyzers may add to the words. */
  private static final int RESERVE = 2;

  /**
   * A rewrite to add.
   *
   * @param rewriteId which
   * @param text of it
   * @param weight boost of its clause
   */
  public record Part(String rewriteId, String text, double weight) {}

  /**
   * @param rewriteId of a rewrite
   * @return name of its clause
   */
  public static String nameOf(String rewriteId) {
    return REWRITE + rewriteId;
  }

  /**
   * @param name of a matched query
   * @return whether it is one of ours
   */
  public static boolean isOurs(String name) {
    return name.equals(ORIGINAL) || name.startsWith(REWRITE);
  }

  /**
   * @param original query of the user in map form
   * @param maxClauses that the engine allows a query
   * @return whether the shortest rewrite of it surely fits beside it
   */
  static boolean hasRoom(Map<String, Object> original, int maxClauses) {
    return ClauseBound.of(original) < maxClauses / RESERVE;
  }

  static ExpandedQuery of(
      Map<String, Object> original,
      List<Part> parts,
      int maxClauses,
      Function<Part, Optional<Map<String, Object>>> rewritten) {
    List<Object> clauses = new ArrayList<>();
    clauses.add(named(ORIGINAL, original, 1));
    List<Part> added = new ArrayList<>();
    long room = maxClauses / RESERVE - ClauseBound.of(original);
    boolean isCut = false;
    for (Part part : parts) {
      Optional<Map<String, Object>> query = rewritten.apply(part);
      long cost = query.map(ClauseBound::of).orElse(0L);
      if (query.isPresent() && cost <= room) {
        room -= cost;
        clauses.add(named(nameOf(part.rewriteId()), query.get(), part.weight()));
        added.add(part);
      } else {
        isCut |= query.isPresent();
      }
    }
    Map<String, Object> bool = Map.of("should", clauses, "minimum_should_match", "1");
    return new ExpandedQuery(Map.of("bool", bool), added, isCut);
  }

  private static Map<String, Object> named(String name, Map<String, Object> query, double boost) {
    Map<String, Object> bool = new LinkedHashMap<>();
    bool.put("must", List.of(query));
    bool.put("boost", boost);
    bool.put("_name", name);
    return Map.of("bool", bool);
  }
}
