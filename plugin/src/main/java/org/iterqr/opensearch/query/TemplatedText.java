package org.iterqr.opensearch.query;

import java.util.Map;
import java.util.Optional;

/**
 * Searches for rewrites by a template, under the restrictions of the user's own query, for queries
 * in whose shape no text can be replaced.
 *
 * @param text as the rewrite server should see it
 * @param template of the rewrites' queries
 */
record TemplatedText(String text, RewriteTemplate template) implements Rewriting {
  /** Its scores mean nothing without the pipeline's normalization, which no window runs. */
  private static final String HYBRID = "hybrid";

  /**
   * Finds the text: the one given by the request, else the one in the query, else the one typed.
   *
   * @param query in map form
   * @param given {@code ext.iterqr.query}, or null
   * @param typed what the user typed as {@code ext.ubi} says; may be empty
   * @return empty if there is none, or if the query cannot be a window
   */
  static Optional<TemplatedText> find(
      Map<String, Object> query, String given, String typed, RewriteTemplate template) {
    if (query.containsKey(HYBRID)) {
      return Optional.empty();
    }
    String text =
        given != null ? given : UserText.find(query, null).map(UserText::text).orElse(typed);
    return Optional.of(UserText.normalized(text))
        .filter(normalized -> !normalized.isEmpty())
        .map(normalized -> new TemplatedText(normalized, template));
  }

  @Override
  public Optional<Map<String, Object>> replaceWith(Map<?, ?> query, String rewrite) {
    return Restrictions.of(query).map(users -> users.around(template.filled(rewrite)));
  }

  @Override
  public Optional<Map<String, Object>> requireAll(Map<?, ?> query, String rewrite) {
    return Restrictions.of(query).flatMap(users -> template.requireAll(rewrite).map(users::around));
  }

  /** A rescorer of the user's is for the user's text, which cannot be found in it. */
  @Override
  public Optional<Map<String, Object>> rescoreWith(Map<?, ?> query, String rewrite) {
    return Optional.empty();
  }
}
