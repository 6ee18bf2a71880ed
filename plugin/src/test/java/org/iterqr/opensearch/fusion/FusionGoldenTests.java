package org.iterqr.opensearch.fusion;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.iterqr.opensearch.client.Rewrite;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.opensearch.common.xcontent.json.JsonXContent;
import org.opensearch.core.xcontent.DeprecationHandler;
import org.opensearch.core.xcontent.NamedXContentRegistry;

/** The golden lists, which the offline replay's tests read too. */
class FusionGoldenTests {
  @SuppressWarnings("unchecked")
  static Stream<Map<String, Object>> lists() throws IOException {
    byte[] json = Files.readAllBytes(Path.of("../proto/golden/fusion_v1/lists.json"));
    try (var parser =
        JsonXContent.jsonXContent.createParser(
            NamedXContentRegistry.EMPTY, DeprecationHandler.THROW_UNSUPPORTED_OPERATION, json)) {
      return parser.list().stream().map(member -> (Map<String, Object>) member);
    }
  }

  private static Window window(Channel channel, Object seqNos) {
    List<WindowHit> hits = new ArrayList<>();
    for (Object seqNo : (List<?>) seqNos) {
      hits.add(new WindowHit(new HitKey("dishes", 0, ((Number) seqNo).longValue()), 1));
    }
    return Window.whole(channel, hits);
  }

  @ParameterizedTest
  @MethodSource
  void lists(Map<String, Object> golden) {
    List<Window> windows = new ArrayList<>();
    windows.add(window(new Channel.Original(), golden.get("original")));
    Map<String, Double> weights = new HashMap<>();
    for (Object member : (List<?>) golden.get("rewrites")) {
      Map<?, ?> rewrite = (Map<?, ?>) member;
      String id = String.format("%016x", windows.size());
      weights.put(id, ((Number) rewrite.get("weight")).doubleValue());
      windows.add(window(new Channel.Rewritten(new Rewrite(id, "soup", 1)), rewrite.get("window")));
    }
    long seed = TeamDraft.seed((String) golden.get("seed_text"));
    assertEquals(golden.get("seed"), String.format("%016x", seed));
    FusionPlan plan =
        new FusionPlan(
            FusionStrategy.of((String) golden.get("strategy")).orElseThrow(),
            ((Number) golden.get("original_weight")).doubleValue(),
            weights,
            (Integer) golden.get("rank_constant"),
            (Integer) golden.get("append_below"),
            seed);
    List<FusedHit> fused =
        Fusion.originalSuffices(windows, plan)
            ? Fusion.fuse(windows.subList(0, 1), plan)
            : Fusion.fuse(windows, plan);
    assertEquals(golden.get("list"), fused.stream().map(hit -> (int) hit.key().seqNo()).toList());
    if (golden.containsKey("teams")) {
      assertEquals(golden.get("teams"), fused.stream().map(hit -> hit.team().wireName()).toList());
    }
  }
}
