package org.iterqr.opensearch.ubi;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * {@code ext.ubi} of a search request, UBI 1.3.0. Texts are empty where unknown.
 *
 * @param queryId of the search; events refer to it
 * @param userQuery what the user typed
 * @param clientId of the user's device or browser
 * @param application that searches
 * @param objectIdField field of the documents that events name them by; empty means {@code _id}
 * @param queryAttributes whatever else the application tells, JSON values
 */
public record UbiParameters(
    String queryId,
    String userQuery,
    String clientId,
    String application,
    String objectIdField,
    Map<String, Object> queryAttributes) {
  /** Name of the section. */
  public static final String NAME = "ubi";

  /** Longest id, application and field name, in characters: a limit of the specification. */
  public static final int MAX_CHARACTERS = 100;

  /** Where nothing was sent. */
  public static final UbiParameters NONE = new UbiParameters("", "", "", "", "", Map.of());

  /**
   * Reads a section that this plugin is responsible for. Unknown keys are passed over: the
   * specification allows further ones.
   *
   * @param section JSON values
   * @return the parameters
   * @throws IllegalArgumentException naming the key that is wrong, and its limit
   */
  static UbiParameters strict(Map<String, Object> section) {
    return read(section, Refusal.STRICT);
  }

  /**
   * Reads a section that another plugin has accepted. What it may hold against the specification
   * counts as not sent.
   *
   * @param section JSON values
   * @return the parameters
   */
  static UbiParameters lenient(Map<String, Object> section) {
    return read(section, Refusal.LENIENT);
  }

  /**
   * @return the section as it is sent, members without a value left out
   */
  Map<String, Object> section() {
    Map<String, Object> section = new LinkedHashMap<>();
    put(section, "query_id", queryId);
    put(section, "user_query", userQuery);
    put(section, "client_id", clientId);
    put(section, "application", application);
    put(section, "object_id_field", objectIdField);
    if (!queryAttributes.isEmpty()) {
      section.put("query_attributes", queryAttributes);
    }
    return section;
  }

  /**
   * @param id of the search
   * @return the same search under this id
   */
  public UbiParameters withQueryId(String id) {
    return new UbiParameters(id, userQuery, clientId, application, objectIdField, queryAttributes);
  }

  /**
   * @return the same search without what only the application knows the meaning of
   */
  public UbiParameters withoutQueryAttributes() {
    return new UbiParameters(queryId, userQuery, clientId, application, objectIdField, Map.of());
  }

  private static UbiParameters read(Map<String, Object> section, Refusal refusal) {
    return new UbiParameters(
        label(section, "query_id", refusal),
        userQuery(section.get("user_query"), refusal),
        label(section, "client_id", refusal),
        label(section, "application", refusal),
        label(section, "object_id_field", refusal),
        attributes(section.get("query_attributes"), refusal));
  }

  private static String label(Map<String, Object> section, String key, Refusal refusal) {
    String text = text(key, section.get(key), refusal);
    if (text.codePointCount(0, text.length()) > MAX_CHARACTERS) {
      refusal.refuse(key, "must be at most " + MAX_CHARACTERS + " characters");
      return "";
    }
    return text;
  }

  /** Later versions of the UBI plugin have an object, whose text is what the user typed. */
  private static String userQuery(Object value, Refusal refusal) {
    return value instanceof Map<?, ?> map
        ? text("user_query.text", map.get("text"), refusal)
        : text("user_query", value, refusal);
  }

  private static String text(String key, Object value, Refusal refusal) {
    return switch (value) {
      case null -> "";
      case String text -> text;
      // Applications with numeric ids send them as they are.
      case Number number -> number.toString();
      default -> {
        refusal.refuse(key, "must be a string");
        yield "";
      }
    };
  }

  private static Map<String, Object> attributes(Object value, Refusal refusal) {
    return switch (value) {
      case null -> Map.of();
      case Map<?, ?> map -> {
        Map<String, Object> attributes = new LinkedHashMap<>();
        map.forEach((key, member) -> attributes.put(String.valueOf(key), member));
        yield attributes;
      }
      default -> {
        refusal.refuse("query_attributes", "must be an object");
        yield Map.of();
      }
    };
  }

  private static void put(Map<String, Object> section, String key, String value) {
    if (!value.isEmpty()) {
      section.put(key, value);
    }
  }

  private enum Refusal {
    STRICT,
    LENIENT;

    void refuse(String key, String why) {
      if (this == STRICT) {
        throw new IllegalArgumentException("[ext.ubi." + key + "] " + why);
      }
    }
  }
}
