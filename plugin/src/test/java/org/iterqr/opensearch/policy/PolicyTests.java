package org.iterqr.opensearch.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.HitKey;
import org.iterqr.opensearch.fusion.Window;
import org.iterqr.opensearch.fusion.WindowHit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.xcontent.MediaTypeRegistry;

/** The golden vectors, which the Python reading's tests read too. */
class PolicyTests {
  private static final Map<String, Object> VECTORS = vectors();

  private static Map<String, Object> vectors() {
    try {
      byte[] json = Files.readAllBytes(Path.of("../proto/golden/policy_v1/vectors.json"));
      return XContentHelper.convertToMap(new BytesArray(json), true, MediaTypeRegistry.JSON).v2();
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @SuppressWarnings("unchecked")
  private static Map<String, Object> object(Object value) {
    return (Map<String, Object>) value;
  }

  @SuppressWarnings("unchecked")
  private static Stream<Map<String, Object>> vectors(String name) {
    List<Map<String, Object>> list = (List<Map<String, Object>>) VECTORS.get(name);
    assertTrue(list.size() > 3);
    return list.stream();
  }

  static Stream<Map<String, Object>> factors() {
    return vectors("factors");
  }

  static Stream<Map<String, Object>> queries() {
    return vectors("queries");
  }

  static Stream<Map<String, Object>> originals() {
    return vectors("original_features");
  }

  static Stream<Map<String, Object>> overlaps() {
    return vectors("overlaps");
  }

  static Stream<Map<String, Object>> refused() {
    return vectors("refused");
  }

  private static Policy policy(Map<String, Object> vector) {
    return PolicyReader.read(object(object(VECTORS.get("policies")).get(vector.get("policy"))));
  }

  private static double number(Map<String, Object> map, String key) {
    return ((Number) map.get(key)).doubleValue();
  }

  private static Window window(Channel channel, List<?> seqNos) {
    List<WindowHit> hits = new ArrayList<>();
    seqNos.forEach(
        seqNo -> hits.add(new WindowHit(new HitKey("dishes", 0, ((Number) seqNo).longValue()), 1)));
    return Window.whole(channel, hits);
  }

  @ParameterizedTest
  @MethodSource
  void factors(Map<String, Object> vector) {
    Map<String, Object> original = object(vector.get("original"));
    Map<String, Object> rewrite = object(vector.get("rewrite"));
    double factor =
        policy(vector)
            .factor(
                new OriginalFeatures(
                    (Integer) original.get("hits"),
                    number(original, "flatness"),
                    ((Number) original.getOrDefault("score_a_character", 0.0)).doubleValue()),
                new RewriteFeatures(
                    (Integer) rewrite.get("position"),
                    number(rewrite, "confidence"),
                    number(rewrite, "overlap")));
    assertEquals(number(vector, "factor"), factor, 1e-12);
  }

  @ParameterizedTest
  @MethodSource
  void queries(Map<String, Object> vector) {
    assertEquals(
        vector.get("rewrites"), policy(vector).rewrites((Integer) vector.get("characters")));
  }

  @ParameterizedTest
  @MethodSource
  void originals(Map<String, Object> vector) {
    List<WindowHit> hits = new ArrayList<>();
    for (Object score : (List<?>) vector.get("scores")) {
      hits.add(new WindowHit(new HitKey("dishes", 0, hits.size()), ((Number) score).floatValue()));
    }
    OriginalFeatures features =
        OriginalFeatures.of(
            Window.whole(new Channel.Original(), hits), (Integer) vector.get("characters"));
    assertEquals(vector.get("hits"), features.hits());
    assertEquals(number(vector, "flatness"), features.flatness(), 1e-12);
    assertEquals(number(vector, "strength"), features.strength(), 1e-12);
    assertEquals(number(vector, "score_a_character"), features.scoreACharacter(), 1e-12);
  }

  @ParameterizedTest
  @MethodSource
  void overlaps(Map<String, Object> vector) {
    Rewrite rewrite = new Rewrite("00000000000000aa", "soup", 0.5);
    RewriteFeatures features =
        RewriteFeatures.of(
            1,
            rewrite.confidence(),
            window(new Channel.Original(), (List<?>) vector.get("original")),
            window(new Channel.Rewritten(rewrite), (List<?>) vector.get("rewrite")));
    assertEquals(new RewriteFeatures(1, 0.5, number(vector, "overlap")), features);
  }

  @ParameterizedTest
  @MethodSource
  void refused(Map<String, Object> vector) {
    IllegalArgumentException refused =
        assertThrows(
            IllegalArgumentException.class,
            () -> PolicyReader.read(object(vector.get("document"))));
    assertTrue(refused.getMessage().contains((String) vector.get("names")), refused.getMessage());
  }

  @Test
  void theSameDocumentIsReadOnce() {
    String json = "{\"policy_version\":1,\"policy_id\":\"often\"}";
    assertSame(PolicyReader.parse(json), PolicyReader.parse(new String(json.toCharArray())));
    assertThrows(IllegalArgumentException.class, () -> PolicyReader.parse("[]"));
    assertThrows(IllegalArgumentException.class, () -> PolicyReader.parse("{"));
  }

  @Test
  void decidesByEveryFeatureAndKeepsThem() {
    Rewrite near = new Rewrite("00000000000000aa", "soup", 0.5);
    Rewrite far = new Rewrite("00000000000000ab", "broth", 0.5);
    Policy policy =
        PolicyReader.parse(
            "{\"policy_version\":1,\"policy_id\":\"p\",\"overlap_factor\":[[0,0],[1,0.5]]}");
    List<Window> windows =
        List.of(
            window(new Channel.Original(), List.of(1, 2)),
            window(new Channel.Rewritten(near), List.of(2, 1)),
            window(new Channel.Rewritten(far), List.of(3)));
    PolicyDecision decision =
        PolicyDecision.decide(
            policy, PolicyDecision.Source.PIPELINE, 4, List.of(near, far), windows);
    assertEquals(Map.of(near.id(), 0.5), decision.factors());
    assertEquals(1, decision.rewrites().get(near.id()).overlap());
    assertEquals(1, decision.rewrites().get(far.id()).position());
    assertEquals(2, decision.original().hits());
    Policy longer =
        PolicyReader.parse("{\"policy_version\":1,\"policy_id\":\"p\",\"min_query_characters\":5}");
    assertEquals(
        Map.of(),
        PolicyDecision.decide(
                longer, PolicyDecision.Source.PIPELINE, 4, List.of(near, far), windows)
            .factors());
  }
}
