package org.iterqr.opensearch.query;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What the user typed, found in a query, and where a rewrite of it goes.
 *
 * @param text as the rewrite server should see it: control characters are spaces, ends are trimmed
 * @param replaced normalized text of the clauses that a rewrite's text replaces
 */
public record UserText(String text, String replaced) implements Rewriting {
  /**
   * Finds the text: the one given by the request, else the one text that all scoring text clauses
   * share. A given text is replaced where clauses have it, or, if none has (an application may have
   * cleaned it), in the clauses that share one other text.
   *
   * @param query in map form
   * @param given {@code ext.iterqr.query}, or null
   * @return empty if there is none, or if there are several
   */
  public static Optional<UserText> find(Map<String, Object> query, String given) {
    Set<String> texts = new LinkedHashSet<>();
    QueryTree.visit(
        query,
        clause -> {
          if (given != null || clause.isPlain()) {
            texts.add(normalized(clause.text()));
          }
        });
    if (given == null) {
      return single(texts).map(text -> new UserText(text, text));
    }
    String text = normalized(given);
    if (text.isEmpty()) {
      return Optional.empty();
    }
    return texts.contains(text)
        ? Optional.of(new UserText(text, text))
        : single(texts).map(replaced -> new UserText(text, replaced));
  }

  @Override
  public Optional<Map<String, Object>> replaceWith(Map<?, ?> query, String rewrite) {
    return Optional.ofNullable(
        QueryTree.rewrite(
            query,
            (type, body, text) ->
                Map.of(
                    type,
                    normalized(text).equals(replaced)
                        ? TextClause.withText(type, body, rewrite)
                        : body)));
  }

  @Override
  public Optional<Map<String, Object>> requireAll(Map<?, ?> query, String rewrite) {
    return Optional.ofNullable(
        QueryTree.rewrite(
            query,
            (type, body, text) ->
                normalized(text).equals(replaced)
                    ? StrictClause.of(type, body, rewrite)
                    : Map.of(type, body)));
  }

  @Override
  public Optional<Map<String, Object>> rescoreWith(Map<?, ?> query, String rewrite) {
    return replaceWith(query, rewrite);
  }

  private static Optional<String> single(Set<String> texts) {
    return texts.size() == 1 ? Optional.of(texts.iterator().next()) : Optional.empty();
  }

  /**
   * @param text any
   * @return it as one line without needless spaces
   */
  static String normalized(String text) {
    return text.codePoints()
        .map(c -> Character.isISOControl(c) ? ' ' : c)
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString()
        .strip()
        .replaceAll(" {2,}", " ");
  }
}
