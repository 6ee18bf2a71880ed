package org.iterqr.opensearch.query;

import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Finds what computes something from each document: it may throw, or score below zero, on a
 * document that the user's own query does not match, and then the whole search fails.
 */
final class Scripts {
  private static final Set<String> NAMES = Set.of("script", "field_value_factor");

  /** Says nothing of what is in it until the coordinator has unpacked it. */
  private static final String PACKED = "wrapper";

  private Scripts() {}

  /**
   * @param value of a search's source, in map form
   * @return whether a script, or what may hold one, stands anywhere in it
   */
  static boolean in(Object value) {
    return switch (value) {
      case Map<?, ?> map ->
          map.entrySet().stream()
              .anyMatch(member -> isOne((String) member.getKey()) || in(member.getValue()));
      case List<?> list -> list.stream().anyMatch(Scripts::in);
      case null, default -> false;
    };
  }

  /** Also script_score, script_fields, _script of sorts, map_script of scripted metrics... */
  private static boolean isOne(String name) {
    return NAMES.contains(name)
        || name.equals(PACKED)
        || name.startsWith("script_")
        || name.endsWith("_script");
  }
}
