package org.iterqr.opensearch.page;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.options.WholeOption;
import org.opensearch.common.xcontent.XContentHelper;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.common.bytes.BytesArray;
import org.opensearch.core.common.bytes.BytesReference;
import org.opensearch.core.xcontent.MediaTypeRegistry;
import org.opensearch.core.xcontent.XContentBuilder;

/**
 * Pins what made a first page, so that later pages are cut from the same fused list without asking
 * the server again. Stateless: base64url of a JSON object, unsigned, so its reader trusts nothing.
 *
 * @param rewrites which rewrites; may be empty, then the pages are plain
 * @param fusion with which plan; every rewrite of it is one of {@code rewrites}
 * @param windowSize of every window
 * @param checkpointId weights that made the rewrites
 * @param digest of the search it is for ({@link RetrievalDigest})
 */
public record PageToken(
    List<Rewrite> rewrites, FusionPlan fusion, int windowSize, String checkpointId, String digest) {
  /**
   * Longest token that is read: the longest that is made. OpenSearch 3.6 writes a character beyond
   * the basic plane in JSON as two escapes of six bytes.
   */
  public static final int MAX_CHARACTERS = 16_384;

  private static final int VERSION = 2;
  private static final Set<String> FIELDS =
      Set.of("v", "rw", "f", "ow", "k", "ab", "s", "w", "cp", "d");

  /**
   * @return the token as responses carry it
   */
  public String encode() {
    List<Map<String, Object>> list = new ArrayList<>();
    for (Rewrite rewrite : rewrites) {
      Map<String, Object> member = new LinkedHashMap<>();
      member.put("id", rewrite.id());
      member.put("t", rewrite.text());
      member.put("c", rewrite.confidence());
      member.put("w", fusion.rewrites().get(rewrite.id()));
      list.add(member);
    }
    Map<String, Object> token = new LinkedHashMap<>();
    token.put("v", VERSION);
    token.put("rw", list);
    token.put("f", fusion.strategy().wireName());
    token.put("ow", fusion.original());
    token.put("k", fusion.rankConstant());
    token.put("ab", fusion.appendBelow());
    token.put("s", Long.toHexString(fusion.seed()));
    token.put("w", windowSize);
    token.put("cp", checkpointId);
    token.put("d", digest);
    try (XContentBuilder builder = JsonXContent.contentBuilder()) {
      builder.map(token);
      byte[] json = BytesReference.toBytes(BytesReference.bytes(builder));
      return Base64.getUrlEncoder().withoutPadding().encodeToString(json);
    } catch (IOException e) {
      throw new IllegalStateException("memory does not fail", e);
    }
  }

  /**
   * @param encoded from a request
   * @param digest of that request's search
   * @return the token; empty if it is malformed, breaks a limit, or is for another search
   */
  public static Optional<PageToken> decode(String encoded, String digest) {
    if (encoded.length() > MAX_CHARACTERS) {
      return Optional.empty();
    }
    try {
      byte[] json = Base64.getUrlDecoder().decode(encoded.getBytes(StandardCharsets.ISO_8859_1));
      Map<String, Object> token =
          XContentHelper.convertToMap(new BytesArray(json), true, MediaTypeRegistry.JSON).v2();
      return Optional.of(read(token)).filter(read -> read.digest.equals(digest));
    } catch (RuntimeException e) {
      // Whatever is wrong with it, a later page without a valid token is plain and says so.
      return Optional.empty();
    }
  }

  private static PageToken read(Map<String, Object> token) {
    require(token.keySet().equals(FIELDS));
    require(number(token, "v").equals(VERSION));
    List<Rewrite> rewrites = new ArrayList<>();
    Map<String, Double> weights = new LinkedHashMap<>();
    require(token.get("rw") instanceof List<?>);
    for (Object member : (List<?>) token.get("rw")) {
      Map<?, ?> map = (Map<?, ?>) member;
      Rewrite rewrite =
          new Rewrite(
              (String) map.get("id"), (String) map.get("t"), ((Number) map.get("c")).doubleValue());
      require(map.size() == 4 && RewriteLimits.violation(rewrite) == null);
      double weight = weight((Number) map.get("w"));
      require(weights.put(rewrite.id(), weight) == null);
      rewrites.add(rewrite);
    }
    require(rewrites.size() <= RewriteLimits.REWRITES);
    String checkpointId = (String) token.get("cp");
    require(checkpointId.length() <= RewriteLimits.CHECKPOINT_CHARACTERS);
    return new PageToken(
        List.copyOf(rewrites),
        new FusionPlan(
            FusionStrategy.of((String) token.get("f")).orElseThrow(),
            weight(number(token, "ow")),
            Map.copyOf(weights),
            whole(token, "k", WholeOption.RANK_CONSTANT),
            whole(token, "ab", WholeOption.APPEND_BELOW),
            Long.parseUnsignedLong((String) token.get("s"), 16)),
        whole(token, "w", WholeOption.WINDOW_SIZE),
        checkpointId,
        (String) token.get("d"));
  }

  private static Number number(Map<String, Object> token, String field) {
    return (Number) token.get(field);
  }

  private static int whole(Map<String, Object> token, String field, WholeOption option) {
    Number number = number(token, field);
    require(number instanceof Integer && option.violation(number.intValue()).isEmpty());
    return number.intValue();
  }

  private static double weight(Number number) {
    double weight = number.doubleValue();
    require(weight >= 0 && weight <= FusionPlan.MAX_WEIGHT);
    return weight;
  }

  private static void require(boolean condition) {
    if (!condition) {
      throw new IllegalArgumentException("not a page token");
    }
  }
}
