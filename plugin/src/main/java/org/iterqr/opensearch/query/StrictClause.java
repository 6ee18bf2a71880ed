package org.iterqr.opensearch.query;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Turns a text clause into one that requires every term of its text, spelt as it is, and that
 * ignores fields whose type the text does not fit: a query that it is added to cannot fail by it.
 */
final class StrictClause {
  /** What would let terms differ or be missing. */
  private static final Set<String> LOOSE =
      Set.of(
          "fuzziness",
          "prefix_length",
          "max_expansions",
          "fuzzy_transpositions",
          "fuzzy_rewrite",
          "fuzzy_max_expansions",
          "fuzzy_prefix_length",
          "minimum_should_match",
          "cutoff_frequency");

  /** Single-field types that have no lenient form of their own, as types of multi_match. */
  private static final Map<String, String> MULTI_MATCH_TYPES =
      Map.of(
          "match_phrase", "phrase",
          "match_phrase_prefix", "phrase_prefix",
          "match_bool_prefix", "bool_prefix");

  private StrictClause() {}

  /**
   * @param type of a text clause
   * @param body of it
   * @param text instead of its own, as data
   * @return the strict clause, its type included
   */
  static Map<String, Object> of(String type, Map<String, Object> body, String text) {
    return switch (type) {
      case "match" -> {
        String field = body.keySet().iterator().next();
        Map<String, Object> options = options(body.get(field));
        options.put("query", text);
        yield Map.of("match", Map.of(field, required("operator", options)));
      }
      case "match_phrase", "match_phrase_prefix", "match_bool_prefix" -> {
        String field = body.keySet().iterator().next();
        Map<String, Object> options = options(body.get(field));
        options.put("query", text);
        options.put("fields", List.of(field));
        options.put("type", MULTI_MATCH_TYPES.get(type));
        yield Map.of("multi_match", required("operator", options));
      }
      case "query_string", "simple_query_string" ->
          Map.of(type, required("default_operator", TextClause.withText(type, body, text)));
      case "combined_fields" -> {
        // Of text fields only, so nothing that lenience could spare.
        Map<String, Object> strict = TextClause.withText(type, body, text);
        strict.keySet().removeAll(LOOSE);
        strict.put("operator", "and");
        yield Map.of(type, strict);
      }
      default -> Map.of(type, required("operator", TextClause.withText(type, body, text)));
    };
  }

  private static Map<String, Object> required(String operator, Map<String, Object> options) {
    options.keySet().removeAll(LOOSE);
    options.put(operator, "and");
    options.put("lenient", true);
    return options;
  }

  private static Map<String, Object> options(Object value) {
    return value instanceof Map<?, ?> map ? Json.object(map) : new LinkedHashMap<>();
  }
}
