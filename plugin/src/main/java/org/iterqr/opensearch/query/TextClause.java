package org.iterqr.opensearch.query;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A clause that searches for text, in the map form of the query DSL.
 *
 * @param type query type
 * @param text what it searches for
 */
record TextClause(String type, String text) {
  /**
   * @param type query type
   * @param body what the clause's type maps to
   * @return the clause, or null if it does not search for text
   */
  static TextClause of(String type, Object body) {
    Object text =
        switch (type) {
          case "match", "match_phrase", "match_phrase_prefix", "match_bool_prefix" ->
              fieldText(body);
          case "multi_match", "combined_fields", "query_string", "simple_query_string" ->
              body instanceof Map<?, ?> map ? map.get("query") : null;
          default -> null;
        };
    // A number or date is a value of a field, not something a person typed into the search box.
    return text instanceof String string && !string.isBlank() ? new TextClause(type, string) : null;
  }

  /**
   * @return whether a person may have typed the text as it is; a query_string with operators is
   *     written by a program
   */
  boolean isPlain() {
    return !type.equals("query_string") || QuerySyntax.isPlainQueryString(text);
  }

  /**
   * @param body of this clause
   * @param newText data; it is made literal where the clause has a syntax
   * @return a copy of the body with the text replaced, all else kept
   */
  static Map<String, Object> withText(String type, Map<String, Object> body, String newText) {
    Map<String, Object> copy = new LinkedHashMap<>(body);
    switch (type) {
      case "query_string" -> {
        copy.put("query", QuerySyntax.literalQueryString(newText));
        copy.remove("escape"); // or the engine would escape the escapes
      }
      case "simple_query_string" ->
          copy.put("query", QuerySyntax.literalSimpleQueryString(newText, body));
      case "multi_match", "combined_fields" -> copy.put("query", newText);
      default -> copy.replaceAll((field, value) -> withFieldText(value, newText));
    }
    return copy;
  }

  private static Object fieldText(Object body) {
    if (body instanceof Map<?, ?> fields && fields.size() == 1) {
      Object value = fields.values().iterator().next();
      return value instanceof Map<?, ?> options ? options.get("query") : value;
    }
    return null;
  }

  private static Object withFieldText(Object value, String newText) {
    if (value instanceof Map<?, ?> options) {
      Map<String, Object> copy = Json.object(options);
      copy.put("query", newText);
      return copy;
    }
    return newText;
  }
}
