package org.iterqr.opensearch.client;

import java.util.regex.Pattern;

/** The limits of the rewrite service's contract, which every reply and page token is held to. */
public final class RewriteLimits {
  /** Most rewrites of one query. */
  public static final int REWRITES = 8;

  /** Longest query, in code points. */
  public static final int QUERY_CHARACTERS = 256;

  /** Longest rewrite, in code points. */
  public static final int TEXT_CHARACTERS = 120;

  /** Longest region or tenant. */
  public static final int LABEL_CHARACTERS = 64;

  /** Longest checkpoint identifier. */
  public static final int CHECKPOINT_CHARACTERS = 128;

  private static final Pattern REWRITE_ID = Pattern.compile("[0-9a-f]{16}");

  private RewriteLimits() {}

  /**
   * @param rewrite from outside
   * @return what is wrong with it, or null if it keeps the contract
   */
  public static String violation(Rewrite rewrite) {
    if (!REWRITE_ID.matcher(rewrite.id()).matches()) {
      return "rewrite_id is not 16 hexadecimal digits";
    }
    if (rewrite.text().isBlank()) {
      return "text is empty";
    }
    if (length(rewrite.text()) > TEXT_CHARACTERS) {
      return "text is longer than " + TEXT_CHARACTERS + " characters";
    }
    if (rewrite.text().codePoints().anyMatch(Character::isISOControl)) {
      return "text has control characters";
    }
    double confidence = rewrite.confidence();
    if (!(confidence >= 0 && confidence <= 1)) {
      return "confidence is not between 0 and 1";
    }
    return null;
  }

  /**
   * @param text any text
   * @return its length in code points
   */
  public static int length(String text) {
    return text.codePointCount(0, text.length());
  }
}
