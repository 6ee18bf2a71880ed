package org.iterqr.opensearch.query;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Bounds how many clauses the engine makes of a query in map form, which it limits for the query as
 * a whole. What an analyzer adds to the words (synonyms, n-grams) cannot be known here.
 */
final class ClauseBound {
  /** More than any limit: the fields are known to the shards only. Sums of it do not overflow. */
  static final long UNKNOWN = Integer.MAX_VALUE;

  /** What the engine makes of one word that is not taken as it is spelt, at most by default. */
  private static final int VARIANTS = 50;

  private static final Set<String> SINGLE_FIELD =
      Set.of("match", "match_phrase", "match_phrase_prefix", "match_bool_prefix");
  private static final Set<String> QUERY_STRINGS = Set.of("query_string", "simple_query_string");
  private static final Set<String> MULTI_FIELD =
      Set.of("multi_match", "combined_fields", "query_string", "simple_query_string");
  private static final Set<String> OF_VARIANTS = Set.of("fuzzy", "more_like_this", "neural_sparse");

  /** Written without spaces: each character may become a term. */
  private static final Set<Character.UnicodeScript> UNSPACED =
      Set.of(
          Character.UnicodeScript.HAN,
          Character.UnicodeScript.HIRAGANA,
          Character.UnicodeScript.KATAKANA,
          Character.UnicodeScript.HANGUL,
          Character.UnicodeScript.THAI,
          Character.UnicodeScript.LAO,
          Character.UnicodeScript.KHMER,
          Character.UnicodeScript.MYANMAR);

  private ClauseBound() {}

  /**
   * @param query in map form
   * @return at least 1; {@link #UNKNOWN} or more if fields are named by patterns or not at all
   */
  static long of(Map<?, ?> query) {
    long clauses = 0;
    for (Map.Entry<?, ?> member : query.entrySet()) {
      clauses += ofMember((String) member.getKey(), member.getValue());
    }
    return Math.max(1, clauses);
  }

  private static long ofMember(String name, Object value) {
    if (value instanceof List<?> list) {
      return list.stream().mapToLong(element -> ofMember(name, element)).sum();
    }
    if (!(value instanceof Map<?, ?> body)) {
      return 0;
    }
    if (SINGLE_FIELD.contains(name)) {
      return body.values().stream().mapToLong(ClauseBound::ofField).sum();
    }
    if (MULTI_FIELD.contains(name) && body.containsKey("query")) {
      return fields(body) * words(name, body);
    }
    return OF_VARIANTS.contains(name) ? VARIANTS * of(body) : of(body);
  }

  private static long ofField(Object value) {
    return value instanceof Map<?, ?> options
        ? words("match", options)
        : words(String.valueOf(value));
  }

  private static long fields(Map<?, ?> body) {
    List<?> fields = Json.list(body.get("fields"));
    if (fields.isEmpty()) {
      fields = Json.list(body.get("default_field"));
    }
    boolean known =
        !fields.isEmpty() && fields.stream().noneMatch(name -> name.toString().contains("*"));
    return known ? fields.size() : UNKNOWN;
  }

  private static long words(String type, Map<?, ?> body) {
    String text = String.valueOf(body.get("query"));
    // A query_string has the option whether its text is fuzzy or not.
    boolean fuzzy =
        QUERY_STRINGS.contains(type) ? text.contains("~") : body.get("fuzziness") != null;
    return fuzzy ? VARIANTS * words(text) : words(text);
  }

  private static long words(String text) {
    long words = 0;
    boolean inWord = false;
    for (int c : text.codePoints().toArray()) {
      boolean unspaced = UNSPACED.contains(Character.UnicodeScript.of(c));
      boolean letter = Character.isLetterOrDigit(c);
      if (unspaced || (letter && !inWord)) {
        words++;
      }
      inWord = letter && !unspaced;
    }
    return Math.max(1, words);
  }
}
