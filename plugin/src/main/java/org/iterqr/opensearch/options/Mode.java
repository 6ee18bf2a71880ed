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
  /** They are weighed as for its own query and reported to observers; nothing is searched. */
  SHADOW_EXPAND,
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
   * @return whether the response stays the plain one while observers are told of the rewrites
   */
  public boolean isShadow() {
    return this == SHADOW || this == SHADOW_EXPAND;
  }

  /**
   * @return whether rewrites are for the search's own query, not for searches beside it
   */
  public boolean expands() {
    return this == EXPAND || this == SHADOW_EXPAND;
  }

  /**
   * @return the mode in which searches of this one are shadowed, so that the same are served in
   *     both
   */
  public Mode shadowed() {
    return switch (this) {
      case FUSE, SHADOW -> SHADOW;
      case EXPAND, SHADOW_EXPAND -> SHADOW_EXPAND;
      case OFF -> OFF;
    };
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
