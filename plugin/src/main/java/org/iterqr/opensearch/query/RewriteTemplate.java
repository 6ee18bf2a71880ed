package org.iterqr.opensearch.query;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import org.opensearch.core.xcontent.NamedXContentRegistry;

/**
 * A query in which {@value #PLACEHOLDER} stands for a rewrite's text. It is only ever the whole of
 * a text that is data: what a text clause searches for, or a parameter of a script.
 *
 * @param query in map form
 */
public record RewriteTemplate(Map<String, Object> query) {
  /** Where a rewrite's text goes. */
  public static final String PLACEHOLDER = "{{rewrite}}";

  private static final String SAMPLE = "rewrite";

  /** Query types whose members are queries. */
  private static final Map<String, Set<String>> QUERIES =
      Map.of(
          "bool", Set.of("must", "should", "filter", "must_not"),
          "dis_max", Set.of("queries"),
          "boosting", Set.of("positive", "negative"),
          "constant_score", Set.of("filter"),
          "nested", Set.of("query"),
          "has_child", Set.of("query"),
          "has_parent", Set.of("query"),
          "function_score", Set.of("query"),
          "functions", Set.of("filter"),
          "script_score", Set.of("query"));

  /** Members that are the bodies of something with members of its own, on the way to a script. */
  private static final Map<String, Set<String>> BODIES =
      Map.of(
          "function_score", Set.of("functions", "script_score"),
          "functions", Set.of("script_score"),
          "script_score", Set.of("script"),
          "script", Set.of("script"));

  private static final Set<String> PARENT_QUERIES = Set.of("nested", "has_child", "has_parent");

  /**
   * @throws IllegalArgumentException if the placeholder is missing, or stands where no text does
   */
  public RewriteTemplate {
    Filling sample = new Filling(SAMPLE, false);
    Optional<String> wrong = place(sample.query(query), "");
    if (wrong.isPresent()) {
      throw new IllegalArgumentException(
          "may have "
              + PLACEHOLDER
              + " only as the whole text of a text clause or a script's parameter, but has it in ["
              + wrong.get()
              + "]");
    }
    if (sample.places == 0) {
      throw new IllegalArgumentException("must have " + PLACEHOLDER + " as a clause's text");
    }
  }

  /**
   * @param query in map form
   * @param registry knows the node's query types
   * @return the template
   * @throws IllegalArgumentException if the placeholder is missing or misplaced, or if it is no
   *     query
   */
  public static RewriteTemplate of(Map<String, Object> query, NamedXContentRegistry registry) {
    RewriteTemplate template = new RewriteTemplate(query);
    try {
      SearchSource.build(Map.of("query", template.filled(SAMPLE)), registry);
    } catch (IOException | RuntimeException e) { // parsers of queries throw whatever they like
      throw new IllegalArgumentException("must be a query: " + e.getMessage(), e);
    }
    return template;
  }

  /**
   * @param rewrite data, whatever it contains
   * @return the query for it, literal where a clause has a syntax
   */
  Map<String, Object> filled(String rewrite) {
    return new Filling(rewrite, false).query(query);
  }

  /**
   * @param rewrite data, whatever it contains
   * @return the query of documents with all its words, for a search that must not fail by it; empty
   *     if the template has a script, for that could
   */
  Optional<Map<String, Object>> requireAll(String rewrite) {
    return Scripts.in(query)
        ? Optional.empty()
        : Optional.of(new Filling(rewrite, true).query(query));
  }

  /** Finds where the placeholder still stands. */
  private static Optional<String> place(Object value, String path) {
    if (value instanceof Map<?, ?> map) {
      for (Map.Entry<?, ?> member : map.entrySet()) {
        String inside = path.isEmpty() ? "" + member.getKey() : path + "." + member.getKey();
        Optional<String> found =
            inside.contains(PLACEHOLDER) ? Optional.of(inside) : place(member.getValue(), inside);
        if (found.isPresent()) {
          return found;
        }
      }
    } else if (value instanceof List<?> list) {
      return list.stream().flatMap(element -> place(element, path).stream()).findFirst();
    }
    return value instanceof String text && text.contains(PLACEHOLDER)
        ? Optional.of(path)
        : Optional.empty();
  }

  /** One copy of a template, with a text in the places where text may stand. */
  private static final class Filling {
    private final String text;
    private final boolean strict;
    private int places;

    Filling(String text, boolean strict) {
      this.text = text;
      this.strict = strict;
    }

    Map<String, Object> query(Map<?, ?> query) {
      Map<String, Object> filled = new LinkedHashMap<>();
      query.forEach((type, body) -> addClause(filled, (String) type, body));
      return filled;
    }

    private void addClause(Map<String, Object> filled, String type, Object body) {
      TextClause clause = TextClause.of(type, body);
      if (clause != null && clause.text().equals(PLACEHOLDER)) {
        places++;
        Map<String, Object> own = Json.object((Map<?, ?>) body);
        filled.putAll(
            strict
                ? StrictClause.of(type, own, text)
                : Map.of(type, TextClause.withText(type, own, text)));
      } else {
        filled.put(type, clause == null && body instanceof Map<?, ?> map ? body(type, map) : body);
      }
    }

    private Map<String, Object> body(String type, Map<?, ?> body) {
      Map<String, Object> filled = Json.object(body);
      filled.replaceAll((name, member) -> member(type, name, member));
      if (strict && PARENT_QUERIES.contains(type)) {
        filled.put("ignore_unmapped", true);
      }
      return filled;
    }

    private Object member(String type, String name, Object value) {
      if (QUERIES.getOrDefault(type, Set.of()).contains(name)) {
        return each(value, this::query);
      }
      if (BODIES.getOrDefault(type, Set.of()).contains(name)) {
        return each(value, inner -> body(name, inner));
      }
      return type.equals("script") && name.equals("params") ? parameter(value) : value;
    }

    private Object parameter(Object value) {
      if (value instanceof List<?> list) {
        return list.stream().map(this::parameter).toList();
      }
      if (value instanceof Map<?, ?> map) {
        Map<String, Object> filled = Json.object(map);
        filled.replaceAll((name, member) -> parameter(member));
        return filled;
      }
      if (PLACEHOLDER.equals(value)) {
        places++;
        return text;
      }
      return value;
    }

    private static Object each(Object value, Function<Map<?, ?>, Map<String, Object>> filler) {
      if (value instanceof List<?> list) {
        return list.stream().map(element -> each(element, filler)).toList();
      }
      return value instanceof Map<?, ?> map ? filler.apply(map) : value;
    }
  }
}
