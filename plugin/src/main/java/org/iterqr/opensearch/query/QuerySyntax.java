package org.iterqr.opensearch.query;

import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** Keeps text literal in the clauses whose text is a query language. */
final class QuerySyntax {
  private static final String QUERY_STRING_OPERATORS = "\\+-!():^[]\"{}~*?|&/=";
  private static final String SIMPLE_OPERATORS = "\\+|-\"*()~";
  private static final Set<String> OPERATOR_WORDS = Set.of("AND", "OR", "NOT");

  /** Characters that make a query_string more than words: fields, groups, phrases, ranges... */
  private static final Pattern STRUCTURE = Pattern.compile("[:()\\[\\]{}^~*?/\\\\\"<>=]|&&|\\|\\|");

  /**
   * Whatever any parser could end a word at: Lucene's takes the ideographic space for one, others
   * may take more of Unicode's. (Java's own white space has U+001C to U+001F besides.)
   */
  private static final Pattern SPACES = Pattern.compile("[\\p{IsWhite_Space}\\x1C-\\x1F]+");

  private QuerySyntax() {}

  /**
   * @param text of a query_string clause
   * @return whether it is plain words, as a person types them
   */
  static boolean isPlainQueryString(String text) {
    return !STRUCTURE.matcher(text).find()
        && SPACES.splitAsStream(text).noneMatch(OPERATOR_WORDS::contains);
  }

  /**
   * @param text any text
   * @return it for a query_string clause, where every character stands for itself, but words are
   *     parted by plain spaces; {@code <} and {@code >} cannot be escaped there and become spaces
   */
  static String literalQueryString(String text) {
    String escaped = escape(text.replace('<', ' ').replace('>', ' '), QUERY_STRING_OPERATORS);
    return SPACES
        .splitAsStream(escaped)
        .map(word -> OPERATOR_WORDS.contains(word) ? "\\" + word : word)
        .collect(Collectors.joining(" "));
  }

  /**
   * @param text any text
   * @param clause body of the simple_query_string clause it is for
   * @return it with every operator literal and words parted by plain spaces; where the clause's
   *     flags may switch off the escape character, operators become spaces
   */
  static String literalSimpleQueryString(String text, Map<String, Object> clause) {
    Object flags = clause.get("flags");
    boolean allFlags = flags == null || flags.equals(-1) || "ALL".equals(flags);
    String spaced = SPACES.matcher(text).replaceAll(" ");
    if (allFlags) {
      return escape(spaced, SIMPLE_OPERATORS);
    }
    StringBuilder blanked = new StringBuilder(spaced.length());
    spaced.chars().forEach(c -> blanked.append(SIMPLE_OPERATORS.indexOf(c) >= 0 ? ' ' : (char) c));
    return blanked.toString();
  }

  private static String escape(String text, String operators) {
    StringBuilder escaped = new StringBuilder(text.length() + 8);
    text.chars()
        .forEach(
            c -> {
              if (operators.indexOf(c) >= 0) {
                escaped.append('\\');
              }
              escaped.append((char) c);
            });
    return escaped.toString();
  }
}
