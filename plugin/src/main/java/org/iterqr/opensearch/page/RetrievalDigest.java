package org.iterqr.opensearch.page;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Names what a search retrieves from, so that a page token serves only the search it was made for.
 * Not a secret: a token is checked as input from outside anyhow.
 */
public final class RetrievalDigest {
  private static final int BYTES = 16;

  private RetrievalDigest() {}

  /**
   * @param parts whatever JSON values decide the retrieval: indices, routing, query...
   * @return 32 hexadecimal digits; the same for objects that differ in their members' order only
   */
  public static String of(Object... parts) {
    StringBuilder canonical = new StringBuilder();
    for (Object part : parts) {
      append(canonical, part);
      canonical.append('\n');
    }
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256")
              .digest(canonical.toString().getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(digest, 0, BYTES);
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  private static void append(StringBuilder canonical, Object value) {
    switch (value) {
      case null -> canonical.append("null");
      case Map<?, ?> map -> {
        canonical.append('{');
        TreeMap<String, Object> sorted = new TreeMap<>();
        map.forEach((key, member) -> sorted.put(String.valueOf(key), member));
        sorted.forEach(
            (key, member) -> {
              appendText(canonical, key);
              append(canonical, member);
            });
        canonical.append('}');
      }
      case List<?> list -> {
        canonical.append('[');
        list.forEach(member -> append(canonical, member));
        canonical.append(']');
      }
      default -> appendText(canonical, value.toString());
    }
  }

  /** Length first, so that no text can look like structure. */
  private static void appendText(StringBuilder canonical, String text) {
    canonical.append(text.length()).append(':').append(text);
  }
}
