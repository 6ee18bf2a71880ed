package org.iterqr.opensearch.query;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A vector clause of the user's own query that the user has named. It names the documents that it
 * retrieved itself, unlike a lexical clause, whose name says only that it matches.
 *
 * @param name {@code _name} of the clause
 * @param query the clause by itself, under the filters that it stands under
 */
public record NamedClause(String name, Map<String, Object> query) {
  /** Each costs a search. */
  private static final int MAX_CLAUSES = 4;

  /**
   * @param query in map form
   * @return its named vector clauses
   */
  static List<NamedClause> find(Map<?, ?> query) {
    List<NamedClause> found = new ArrayList<>();
    visit(query, List.of(), List.of(), found);
    return found;
  }

  /**
   * Without a window for each, documents of those left out would count as the rewrites' alone.
   *
   * @param clauses of a query
   * @return whether each can have a window: at most {@value #MAX_CLAUSES}, no name twice
   */
  public static boolean canAllBeSearched(List<NamedClause> clauses) {
    return clauses.size() <= MAX_CLAUSES
        && clauses.stream().map(NamedClause::name).distinct().count() == clauses.size();
  }

  private static void visit(
      Map<?, ?> query, List<?> filters, List<?> excluded, List<NamedClause> found) {
    query.forEach(
        (type, body) -> {
          if (QueryTree.VECTOR_CLAUSES.contains(type)) {
            nameOf(body)
                .ifPresent(
                    name -> found.add(new NamedClause(name, under(filters, excluded, query))));
          } else if (body instanceof Map<?, ?> map) {
            List<?> innerFilters = filters;
            List<?> innerExcluded = excluded;
            if (type.equals("bool")) {
              innerFilters = joined(filters, Json.list(map.get("filter")));
              innerExcluded = joined(excluded, Json.list(map.get("must_not")));
            }
            for (Object child : children((String) type, map)) {
              if (child instanceof Map<?, ?> childQuery) {
                visit(childQuery, innerFilters, innerExcluded, found);
              }
            }
          }
        });
  }

  /** Clauses below nested or joined documents retrieve others than the search's hits. */
  private static List<?> children(String type, Map<?, ?> body) {
    return switch (type) {
      case "bool", "dis_max", "boosting", "function_score", "script_score", "constant_score" ->
          QueryTree.scoringChildren(type, body);
      default -> List.of();
    };
  }

  private static Optional<String> nameOf(Object body) {
    if (!(body instanceof Map<?, ?> map)) {
      return Optional.empty();
    }
    if (map.get("_name") instanceof String name) {
      return Optional.of(name);
    }
    return map.values().stream()
        .filter(Map.class::isInstance)
        .map(options -> ((Map<?, ?>) options).get("_name"))
        .filter(String.class::isInstance)
        .map(String.class::cast)
        .findFirst();
  }

  private static Map<String, Object> under(List<?> filters, List<?> excluded, Map<?, ?> clause) {
    Map<String, Object> bool = new LinkedHashMap<>();
    bool.put("must", List.of(clause));
    bool.put("filter", filters);
    bool.put("must_not", excluded);
    return Map.of("bool", bool);
  }

  private static List<?> joined(List<?> some, List<?> more) {
    List<Object> all = new ArrayList<>(some);
    all.addAll(more);
    return all;
  }
}
