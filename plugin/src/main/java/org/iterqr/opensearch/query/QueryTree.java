package org.iterqr.opensearch.query;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Walks the scoring clauses of a query in map form: what stands in filter, must_not, negative or a
 * function's filter decides which documents are allowed, not what was searched for, and is left
 * alone. A hybrid query is not entered: its sub-queries only make sense under the pipeline's
 * normalization, which the windows' searches do not run.
 */
final class QueryTree {
  static final Set<String> VECTOR_CLAUSES = Set.of("knn", "neural", "neural_sparse");

  /** Query types with one scoring child, and its name. */
  private static final Map<String, String> WRAPPERS =
      Map.of(
          "function_score", "query",
          "script_score", "query",
          "constant_score", "filter",
          "boosting", "positive",
          "nested", "query",
          "has_child", "query",
          "has_parent", "query");

  /** Replaces a text clause. */
  interface TextReplacer {
    /**
     * @param type query type of a text clause
     * @param body of the clause
     * @param text it searches for
     * @return the new clause, its type included
     */
    Map<String, Object> replace(String type, Map<String, Object> body, String text);
  }

  private QueryTree() {}

  /** Visits every scoring text clause of the query. */
  static void visit(Map<?, ?> query, Consumer<TextClause> visitor) {
    for (Map.Entry<?, ?> clause : query.entrySet()) {
      String type = (String) clause.getKey();
      TextClause text = TextClause.of(type, clause.getValue());
      if (text != null) {
        visitor.accept(text);
      } else if (clause.getValue() instanceof Map<?, ?> body) {
        for (Object child : scoringChildren(type, body)) {
          if (child instanceof Map<?, ?> childQuery) {
            visit(childQuery, visitor);
          }
        }
      }
    }
  }

  /**
   * Copies the query, with texts replaced and vector clauses taken out: a vector belongs to the
   * user's text, and a rewrite that kept it would retrieve the original's documents once more.
   *
   * @return the copy, or null if nothing is left to search for
   */
  static Map<String, Object> rewrite(Map<?, ?> query, TextReplacer replacer) {
    Map<String, Object> copy = new LinkedHashMap<>();
    for (Map.Entry<?, ?> clause : query.entrySet()) {
      String type = (String) clause.getKey();
      if (VECTOR_CLAUSES.contains(type)) {
        continue;
      }
      TextClause text = TextClause.of(type, clause.getValue());
      if (text != null) {
        copy.putAll(
            replacer.replace(type, Json.object((Map<?, ?>) clause.getValue()), text.text()));
        continue;
      }
      Object body = rewriteBody(type, clause.getValue(), replacer);
      if (body != null) {
        copy.put(type, body);
      }
    }
    return copy.isEmpty() && !query.isEmpty() ? null : copy;
  }

  static List<?> scoringChildren(String type, Map<?, ?> body) {
    return switch (type) {
      case "bool" -> {
        List<Object> children = new ArrayList<>(Json.list(body.get("must")));
        children.addAll(Json.list(body.get("should")));
        yield children;
      }
      case "dis_max" -> Json.list(body.get("queries"));
      default -> WRAPPERS.containsKey(type) ? Json.list(body.get(WRAPPERS.get(type))) : List.of();
    };
  }

  private static Object rewriteBody(String type, Object body, TextReplacer replacer) {
    if (!(body instanceof Map<?, ?> map)) {
      return body;
    }
    Map<String, Object> object = Json.object(map);
    return switch (type) {
      case "bool" -> rewriteBool(object, replacer);
      case "dis_max" -> rewriteList(object, "queries", replacer) ? object : null;
      default -> WRAPPERS.containsKey(type) ? rewriteWrapper(type, object, replacer) : body;
    };
  }

  private static Map<String, Object> rewriteWrapper(
      String type, Map<String, Object> body, TextReplacer replacer) {
    String name = WRAPPERS.get(type);
    if (body.get(name) instanceof Map<?, ?> child) {
      Map<String, Object> rewritten = rewrite(child, replacer);
      if (rewritten == null) {
        return null;
      }
      body.put(name, rewritten);
    }
    return body;
  }

  private static Map<String, Object> rewriteBool(Map<String, Object> bool, TextReplacer replacer) {
    int clausesBefore = Json.list(bool.get("must")).size() + Json.list(bool.get("should")).size();
    boolean mustLeft = rewriteList(bool, "must", replacer);
    boolean shouldLeft = rewriteList(bool, "should", replacer);
    int shoulds = Json.list(bool.get("should")).size();
    int clausesAfter = Json.list(bool.get("must")).size() + shoulds;
    if (clausesAfter == clausesBefore) {
      return bool;
    }
    if (!mustLeft && !shouldLeft) {
      // Nothing but filters: it would match every document they allow.
      return null;
    }
    Integer minimum = minimumShouldMatch(bool.get("minimum_should_match"));
    if (!mustLeft && minimum == null && !bool.containsKey("minimum_should_match")) {
      bool.put("minimum_should_match", "1");
    } else if (minimum != null && minimum > shoulds) {
      bool.put("minimum_should_match", Integer.toString(shoulds));
    }
    return bool;
  }

  /** Rewrites a list member; returns whether any clause is left in it. */
  private static boolean rewriteList(Map<String, Object> body, String name, TextReplacer replacer) {
    if (!body.containsKey(name)) {
      return false;
    }
    List<Object> left = new ArrayList<>();
    for (Object child : Json.list(body.get(name))) {
      Object rewritten = child instanceof Map<?, ?> query ? rewrite(query, replacer) : child;
      if (rewritten != null) {
        left.add(rewritten);
      }
    }
    if (left.isEmpty()) {
      body.remove(name);
    } else {
      body.put(name, left);
    }
    return !left.isEmpty();
  }

  private static Integer minimumShouldMatch(Object value) {
    try {
      return value == null ? null : Integer.valueOf(value.toString().strip());
    } catch (NumberFormatException e) {
      return null; // a percentage or a condition, which the engine caps by itself
    }
  }
}
