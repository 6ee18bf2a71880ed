package org.iterqr.opensearch.page;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class PageTokenTests {
  private static final String DIGEST = "0123456789abcdef0123456789abcdef";
  private static final PageToken TOKEN =
      new PageToken(
          List.of(
              new Rewrite("00000000000000aa", "tomato \"soup\" <|im_end|>", 0.25),
              new Rewrite("00000000000000ab", "トマトスープ", 1)),
          plan(Map.of("00000000000000aa", 0.5, "00000000000000ab", 0.75)),
          50,
          "checkpoint-7",
          DIGEST);

  private static FusionPlan plan(Map<String, Double> weights) {
    return new FusionPlan(FusionStrategy.INTERLEAVE, 1, weights, 60, 10, -2);
  }

  private static FusionPlan even(List<Rewrite> rewrites) {
    return plan(rewrites.stream().collect(Collectors.toMap(Rewrite::id, rewrite -> 0.123456789)));
  }

  private static Optional<PageToken> decode(String encoded) {
    return PageToken.decode(encoded, DIGEST);
  }

  private static String json(PageToken token) {
    return new String(Base64.getUrlDecoder().decode(token.encode()), StandardCharsets.UTF_8);
  }

  private static String encoded(String json) {
    return Base64.getUrlEncoder()
        .withoutPadding()
        .encodeToString(json.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void comesBackAsItWas() {
    assertEquals(Optional.of(TOKEN), decode(TOKEN.encode()));
    PageToken bare = new PageToken(List.of(), plan(Map.of()), 10, "", DIGEST);
    assertEquals(Optional.of(bare), decode(bare.encode()));
  }

  @Test
  void servesOnlyTheSearchItIsFor() {
    assertEquals(Optional.empty(), PageToken.decode(TOKEN.encode(), "f".repeat(32)));
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "!", "AAAA", "e30", "bnVsbA", "W10", "\u0000", "eyJ2IjoxfQ=="})
  void malformedIsNoToken(String encoded) {
    assertEquals(Optional.empty(), decode(encoded));
  }

  @Test
  void tornIsNoToken() {
    String whole = TOKEN.encode();
    for (int length = 0; length < whole.length(); length++) {
      assertEquals(Optional.empty(), decode(whole.substring(0, length)));
    }
  }

  @Test
  void overLongIsNoToken() {
    assertEquals(Optional.empty(), decode("A".repeat(PageToken.MAX_CHARACTERS + 1)));
    assertEquals(
        Optional.empty(), decode(encoded(json(TOKEN) + " ".repeat(PageToken.MAX_CHARACTERS))));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "\"v\":2|\"v\":1",
        "\"v\":2|\"v\":\"2\"",
        "\"f\":\"interleave\"|\"f\":\"other\"",
        "\"s\":\"fffffffffffffffe\"|\"s\":\"x\"",
        "\"s\":\"fffffffffffffffe\"|\"s\":7",
        "\"ab\":10|\"ab\":1001",
        "\"w\":0.75|\"w\":1001",
        "\"w\":0.75|\"w\":null",
        "\"w\":50|\"w\":0",
        "\"w\":50|\"w\":1001",
        "\"w\":50|\"w\":50.5",
        "\"w\":50|\"w\":99999999999",
        "\"k\":60|\"k\":0",
        "\"k\":60|\"k\":null",
        "\"ow\":1.0|\"ow\":-1",
        "\"ow\":1.0|\"ow\":1e300",
        "\"w\":0.5|\"w\":\"NaN\"",
        "00000000000000aa|00000000000000AA",
        "00000000000000ab|00000000000000aa",
        "\"c\":0.25|\"c\":2",
        "checkpoint-7|7\",\"x\":\"",
        "tomato|\\u0000",
      })
  void outOfItsLimitsIsNoToken(String part, String replacement) {
    String json = json(TOKEN);
    String changed = json.replace(part, replacement);
    assertNotEquals(json, changed, "the part must be there");
    assertEquals(Optional.empty(), decode(encoded(changed)));
  }

  @Test
  void tooManyOrTooLongRewritesAreNoToken() {
    List<Rewrite> nine =
        java.util.stream.IntStream.range(0, 9)
            .mapToObj(i -> new Rewrite(String.format("%016x", i), "soup " + i, 0.5))
            .toList();
    assertEquals(
        Optional.empty(), decode(new PageToken(nine, even(nine), 50, "", DIGEST).encode()));
    List<Rewrite> longText = List.of(new Rewrite("00000000000000aa", "a".repeat(121), 0.5));
    assertEquals(
        Optional.empty(), decode(new PageToken(longText, even(longText), 50, "", DIGEST).encode()));
  }

  @Test
  void theLargestTokenIsReadable() {
    List<Rewrite> eight =
        java.util.stream.IntStream.range(0, 8)
            .mapToObj(
                i -> new Rewrite(String.format("%016x", i), i + "\uD83C\uDF5C".repeat(119), 0.5))
            .toList();
    PageToken largest = new PageToken(eight, even(eight), 1000, "c".repeat(128), DIGEST);
    assertEquals(Optional.of(largest), decode(largest.encode()));
  }

  @Test
  void digestsIgnoreTheOrderOfMembersOnly() {
    Map<String, Object> one = new LinkedHashMap<>(Map.of("a", 1));
    one.put("b", List.of(1, 2));
    Map<String, Object> other = new LinkedHashMap<>();
    other.put("b", List.of(1, 2));
    other.put("a", 1);
    assertEquals(RetrievalDigest.of(one), RetrievalDigest.of(other));
    assertNotEquals(RetrievalDigest.of(one), RetrievalDigest.of(Map.of("a", 1)));
    assertNotEquals(RetrievalDigest.of(List.of("a", "b")), RetrievalDigest.of(List.of("ab")));
    assertNotEquals(RetrievalDigest.of("a", "b"), RetrievalDigest.of("b", "a"));
    assertEquals(32, RetrievalDigest.of(Collections.singletonList(null)).length());
  }
}
