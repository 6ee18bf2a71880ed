package org.iterqr.opensearch.query;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * What every hit of the user's query has to match or must not, besides being found: {@code filter}
 * and {@code must_not} of its {@code bool} clauses, where no hit can come around them.
 *
 * @param filters in map form
 * @param excluded in map form
 */
record Restrictions(List<Object> filters, List<Object> excluded) {
  /** Says nothing of what is in it until the coordinator has unpacked it. */
  private static final String PACKED = "wrapper";

  /**
   * @param query in map form
   * @return empty if they cannot be known
   */
  static Optional<Restrictions> of(Map<?, ?> query) {
    Restrictions found = new Restrictions(new ArrayList<>(), new ArrayList<>());
    return found.collect(query) ? Optional.of(found) : Optional.empty();
  }

  /**
   * @param query in map form
   * @return the query under these restrictions
   */
  Map<String, Object> around(Map<String, Object> query) {
    return Map.of("bool", Map.of("must", List.of(query), "filter", filters, "must_not", excluded));
  }

  /** Returns whether all could be known. */
  private boolean collect(Map<?, ?> query) {
    for (Map.Entry<?, ?> clause : query.entrySet()) {
      String type = (String) clause.getKey();
      if (type.equals(PACKED)) {
        return false;
      }
      if (!(clause.getValue() instanceof Map<?, ?> body)) {
        continue;
      }
      if (type.equals("bool")) {
        filters.addAll(Json.list(body.get("filter")));
        excluded.addAll(Json.list(body.get("must_not")));
      }
      for (Object child : required(type, body)) {
        if (child instanceof Map<?, ?> childQuery && !collect(childQuery)) {
          return false;
        }
      }
    }
    return true;
  }

  /** The children that every hit matches, as the same document. */
  private static List<?> required(String type, Map<?, ?> body) {
    return switch (type) {
      case "bool" -> Json.list(body.get("must"));
      case "function_score", "script_score" -> Json.list(body.get("query"));
      case "constant_score" -> Json.list(body.get("filter"));
      case "boosting" -> Json.list(body.get("positive"));
      default -> List.of();
    };
  }
}
