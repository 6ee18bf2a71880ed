package org.iterqr.opensearch.client;

import java.text.Normalizer;
import java.util.Locale;

/**
 * What the server makes a reply from, as far as the node knows it.
 *
 * @param tenant of the traffic
 * @param region of the user
 * @param query as the server reads it
 * @param maxRewrites asked for
 */
record CacheKey(String tenant, String region, String query, int maxRewrites) {
  private static final int ZERO_WIDTH_NON_JOINER = 0x200C;
  private static final int ZERO_WIDTH_JOINER = 0x200D;

  static CacheKey of(RewriteCall call) {
    return new CacheKey(call.tenant(), call.region(), normalize(call.query()), call.maxRewrites());
  }

  /**
   * The server's reading: NFC, control characters and spaces as single spaces, without invisible
   * characters, in lower case. Characters that this Java does not know stay, so that a newer
   * Unicode on the server can make two keys of one, but never one of two.
   *
   * @param query the user's text
   * @return equal for texts that the server holds equal
   */
  static String normalize(String query) {
    StringBuilder kept = new StringBuilder(query.length());
    boolean isSpaceDue = false;
    String composed = Normalizer.normalize(query, Normalizer.Form.NFC);
    for (int i = 0; i < composed.length(); ) {
      int character = composed.codePointAt(i);
      i += Character.charCount(character);
      switch (Character.getType(character)) {
        case Character.CONTROL,
            Character.SPACE_SEPARATOR,
            Character.LINE_SEPARATOR,
            Character.PARAGRAPH_SEPARATOR ->
            isSpaceDue = !kept.isEmpty();
        case Character.FORMAT, Character.SURROGATE, Character.PRIVATE_USE -> {
          if (character == ZERO_WIDTH_JOINER || character == ZERO_WIDTH_NON_JOINER) {
            isSpaceDue = append(kept, isSpaceDue, character);
          }
        }
        default -> isSpaceDue = append(kept, isSpaceDue, character);
      }
    }
    return kept.toString().toLowerCase(Locale.ROOT);
  }

  /** Returns that no space is due any more. */
  private static boolean append(StringBuilder kept, boolean isSpaceDue, int character) {
    if (isSpaceDue) {
      kept.append(' ');
    }
    kept.appendCodePoint(character);
    return false;
  }
}
