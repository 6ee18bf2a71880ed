package org.iterqr.opensearch.options;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** What rewrites do to a search. */
public enum Mode {
  /** They are searched beside it and fused into its response. */
  FUSE,
  /** They are waited for and put into its own query. */
  EXPAND,
  /** They are searched beside it and reported to observers; the response stays the plain one. */
  SHADOW,
  /** Nothing; no rewrite is asked for. */
  OFF;

  private final String wireName = name().toLowerCase(Locale.ROOT);

  /**
   * @return the name in settings, requests and responses
   */
  public String wireName() {
    return wireName;
  }

  /**
   * @param name as written by {@link #wireName}
   * @return the mode, or empty if there is none of that name
   */
  public static Optional<Mode> of(String name) {
    return Arrays.stream(values()).filter(value -> value.wireName.equals(name)).findFirst();
  }

  /**
   * @return every name
   */
  public static List<String> names() {
    return Arrays.stream(values()).map(Mode::wireName).toList();
  }
}
