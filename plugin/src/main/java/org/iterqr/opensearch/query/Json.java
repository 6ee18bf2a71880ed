package org.iterqr.opensearch.query;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Typed views of parsed JSON. */
final class Json {
  private Json() {}

  /**
   * @param value an object
   * @return a shallow copy
   */
  static Map<String, Object> object(Map<?, ?> value) {
    Map<String, Object> copy = new LinkedHashMap<>();
    value.forEach((key, member) -> copy.put((String) key, member));
    return copy;
  }

  /**
   * @param value a member that the DSL allows to be one thing or a list of them
   * @return the things
   */
  static List<?> list(Object value) {
    if (value == null) {
      return List.of();
    }
    return value instanceof List<?> list ? list : List.of(value);
  }

  /**
   * @param keys of objects
   * @param value any
   * @return whether any of the keys stands anywhere in it
   */
  static boolean hasKey(Set<String> keys, Object value) {
    if (value instanceof Map<?, ?> map) {
      for (Map.Entry<?, ?> member : map.entrySet()) {
        if (keys.contains(member.getKey()) || hasKey(keys, member.getValue())) {
          return true;
        }
      }
    } else if (value instanceof List<?> list) {
      for (Object element : list) {
        if (hasKey(keys, element)) {
          return true;
        }
      }
    }
    return false;
  }
}
