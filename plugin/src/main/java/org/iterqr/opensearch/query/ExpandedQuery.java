package org.iterqr.opensearch.query;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** The query of mode expand, and the names by which its clauses are found on hits again. */
public final class ExpandedQuery {
  /** Name of the user's own query. */
  public static final String ORIGINAL = "iterqr:original";

  private static final String REWRITE = "iterqr:rewrite:";

  private ExpandedQuery() {}

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

  static Optional<Map<String, Object>> of(
      Map<String, Object> original,
      List<Part> parts,
      Function<Part, Optional<Map<String, Object>>> rewritten) {
    List<Object> clauses = new ArrayList<>();
    clauses.add(named(ORIGINAL, original, 1));
    for (Part part : parts) {
      rewritten
          .apply(part)
          .ifPresent(query -> clauses.add(named(nameOf(part.rewriteId()), query, part.weight())));
    }
    return clauses.size() == 1
        ? Optional.empty()
        : Optional.of(Map.of("bool", Map.of("should", clauses, "minimum_should_match", "1")));
  }

  private static Map<String, Object> named(String name, Map<String, Object> query, double boost) {
    Map<String, Object> bool = new LinkedHashMap<>();
    bool.put("must", List.of(query));
    bool.put("boost", boost);
    bool.put("_name", name);
    return Map.of("bool", bool);
  }
}
