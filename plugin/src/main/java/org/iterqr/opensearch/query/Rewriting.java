package org.iterqr.opensearch.query;

import java.util.Map;
import java.util.Optional;

/** What the user typed, and how a search for a rewrite of it is made from the user's search. */
public sealed interface Rewriting permits UserText, TemplatedText {
  /**
   * @param query in map form
   * @param given {@code ext.iterqr.query}, or null
   * @param typed what the user typed as {@code ext.ubi} says; may be empty
   * @param template of the rewrites' queries; empty: they have the shape of the user's own
   * @return empty if no text is found, or rewrites have nowhere to go
   */
  static Optional<Rewriting> find(
      Map<String, Object> query, String given, String typed, Optional<RewriteTemplate> template) {
    return template.isPresent()
        ? TemplatedText.find(query, given, typed, template.get()).map(Rewriting.class::cast)
        : UserText.find(query, given).map(Rewriting.class::cast);
  }

  /**
   * @return what the user typed, as the rewrite server should see it
   */
  String text();

  /**
   * @param query of the user in map form, unchanged
   * @param rewrite data, whatever it contains
   * @return the query that searches for the rewrite instead; empty if there is nothing to search
   *     for
   */
  Optional<Map<String, Object>> replaceWith(Map<?, ?> query, String rewrite);

  /**
   * @param query of the user in map form, unchanged
   * @param rewrite data, whatever it contains
   * @return a query of documents with every word of the rewrite, as it is spelt, that no field's
   *     type can make fail; empty if there is nothing to search for
   */
  Optional<Map<String, Object>> requireAll(Map<?, ?> query, String rewrite);

  /**
   * @param query of a rescorer of the user, in map form, unchanged
   * @param rewrite data, whatever it contains
   * @return the query that rescores what the rewrite retrieves; empty: nothing rescores it
   */
  Optional<Map<String, Object>> rescoreWith(Map<?, ?> query, String rewrite);
}
