package org.iterqr.opensearch.policy;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.iterqr.opensearch.client.RewriteLimits;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.xcontent.MediaTypeRegistry;

/** Reads policy documents, of pipelines and of replies, as input from outside. */
public final class PolicyReader {
  private static final int VERSION = 1;
  private static final int MAX_POINTS = 16;
  private static final Pattern ID = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");
  private static final String MIN_CHARACTERS = "min_query_characters";
  private static final String MAX_CHARACTERS = "max_query_characters";
  private static final String WEAK = "weak_original";
  private static final String WEAK_SCORE = "score_a_character";
  private static final String WEAK_FACTOR = "factor";
  private static final double MAX_WEAK_SCORE = 1_000;
  private static final double MAX_WEAK_FACTOR = 10;
  private static final List<String> KEYS =
      List.of(
          "policy_version",
          "policy_id",
          MIN_CHARACTERS,
          MAX_CHARACTERS,
          "max_rewrites",
          "min_confidence",
          "confidence_factor",
          "strength_factor",
          "overlap_factor",
          WEAK);

  /** A checkpoint sends the same document with every reply. */
  private static volatile Parsed latest = new Parsed("", null);

  private static final Policy DEFAULT = packaged();

  private record Parsed(String json, Policy policy) {}

  private PolicyReader() {}

  /**
   * @param json a document
   * @return the policy
   * @throws IllegalArgumentException saying what is wrong
   */
  public static Policy parse(String json) {
    Parsed before = latest;
    if (before.json().equals(json)) {
      return before.policy();
    }
    Map<String, Object> document;
    try {
      document =
          XContentHelper.convertToMap(new BytesArray(json), true, MediaTypeRegistry.JSON).v2();
    } catch (RuntimeException e) {
      throw new IllegalArgumentException("policy: not a JSON object", e);
    }
    Policy policy = read(document);
    latest = new Parsed(json, policy);
    return policy;
  }

  /**
   * @return the policy where neither the pipeline nor the checkpoint has one
   */
  public static Policy byDefault() {
    return DEFAULT;
  }

  /**
   * @param document of JSON values
   * @return the policy
   * @throws IllegalArgumentException naming the member that is wrong, and what it must be
   */
  public static Policy read(Map<String, Object> document) {
    for (String key : document.keySet()) {
      require(KEYS.contains(key), key, "is unknown; known are " + KEYS);
    }
    require(
        Integer.valueOf(VERSION).equals(document.get("policy_version")),
        "policy_version",
        "must be " + VERSION);
    require(
        document.get("policy_id") instanceof String id && ID.matcher(id).matches(),
        "policy_id",
        "must be 1 to 64 letters, digits and ._- and begin with a letter or digit");
    int minCharacters = whole(document, MIN_CHARACTERS, 1, 1, RewriteLimits.QUERY_CHARACTERS);
    int maxCharacters =
        whole(
            document,
            MAX_CHARACTERS,
            RewriteLimits.QUERY_CHARACTERS,
            1,
            RewriteLimits.QUERY_CHARACTERS);
    require(
        minCharacters <= maxCharacters,
        MAX_CHARACTERS,
        "must be at least " + MIN_CHARACTERS + " (" + minCharacters + ")");
    Curve confidence = curve(document, "confidence_factor");
    require(confidence.rises(), "confidence_factor", "must not fall");
    Curve strength = curve(document, "strength_factor");
    require(strength.falls(), "strength_factor", "must not rise");
    return new Policy(
        (String) document.get("policy_id"),
        minCharacters,
        maxCharacters,
        whole(document, "max_rewrites", RewriteLimits.REWRITES, 1, RewriteLimits.REWRITES),
        share("min_confidence", document.getOrDefault("min_confidence", 0.0)),
        confidence,
        strength,
        curve(document, "overlap_factor"),
        weak(document));
  }

  private static Policy packaged() {
    try (InputStream resource = PolicyReader.class.getResourceAsStream("default_v1.json")) {
      return parse(new String(resource.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static int whole(
      Map<String, Object> document, String key, int byDefault, int min, int max) {
    Object value = document.getOrDefault(key, byDefault);
    require(
        value instanceof Integer number && number >= min && number <= max,
        key,
        "must be a whole number between " + min + " and " + max);
    return (Integer) value;
  }

  private static Curve curve(Map<String, Object> document, String key) {
    if (!document.containsKey(key)) {
      return Curve.ONE;
    }
    String what = "must be 1 to " + MAX_POINTS + " pairs [x, y]";
    require(
        document.get(key) instanceof List<?> list && !list.isEmpty() && list.size() <= MAX_POINTS,
        key,
        what);
    List<Curve.Point> points = new ArrayList<>();
    for (Object member : (List<?>) document.get(key)) {
      require(member instanceof List<?> pair && pair.size() == 2, key, what);
      List<?> pair = (List<?>) member;
      Curve.Point point = new Curve.Point(share(key, pair.get(0)), share(key, pair.get(1)));
      require(points.isEmpty() || points.getLast().x() < point.x(), key, "must have rising x");
      points.add(point);
    }
    return new Curve(List.copyOf(points));
  }

  private static Optional<Policy.WeakOriginal> weak(Map<String, Object> document) {
    if (!document.containsKey(WEAK)) {
      return Optional.empty();
    }
    require(
        document.get(WEAK) instanceof Map<?, ?> map
            && map.size() == 2
            && map.get(WEAK_SCORE) instanceof Number score
            && score.doubleValue() > 0
            && score.doubleValue() <= MAX_WEAK_SCORE
            && map.get(WEAK_FACTOR) instanceof Number factor
            && factor.doubleValue() >= 0
            && factor.doubleValue() <= MAX_WEAK_FACTOR,
        WEAK,
        "must be an object of "
            + WEAK_SCORE
            + ", above 0 to "
            + (int) MAX_WEAK_SCORE
            + ", and "
            + WEAK_FACTOR
            + ", 0 to "
            + (int) MAX_WEAK_FACTOR);
    Map<?, ?> weak = (Map<?, ?>) document.get(WEAK);
    return Optional.of(
        new Policy.WeakOriginal(
            ((Number) weak.get(WEAK_SCORE)).doubleValue(),
            ((Number) weak.get(WEAK_FACTOR)).doubleValue()));
  }

  private static double share(String key, Object value) {
    require(
        value instanceof Number number && number.doubleValue() >= 0 && number.doubleValue() <= 1,
        key,
        "must have numbers between 0 and 1");
    return ((Number) value).doubleValue();
  }

  private static void require(boolean condition, String key, String what) {
    if (!condition) {
      throw new IllegalArgumentException("policy." + key + ": " + what);
    }
  }
}
