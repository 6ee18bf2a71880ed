package org.iterqr.opensearch.processor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.PolicyInForce;
import org.iterqr.opensearch.policy.PolicyReader;
import org.iterqr.opensearch.query.RewriteTemplate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.opensearch.OpenSearchException;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.search.SearchModule;

class ProcessorConfigTests {
  private static final NamedXContentRegistry REGISTRY =
      new NamedXContentRegistry(new SearchModule(Settings.EMPTY, List.of()).getNamedXContents());
  private static final Map<String, Object> TEMPLATE =
      Map.of("match", Map.of("title", "{{rewrite}}"));

  private static Map<String, Object> config(Object... entries) {
    Map<String, Object> config = new HashMap<>();
    for (int i = 0; i < entries.length; i += 2) {
      config.put((String) entries[i], entries[i + 1]);
    }
    return config;
  }

  @Test
  void defaultsAreTheDocumentedOnes() {
    assertEquals(
        new SearchOptions(
            Mode.FUSE, 300, 50, 3, "", "", Optional.empty(), Optional.empty(), Optional.empty()),
        RewriteConfig.read(null, config(), REGISTRY));
    assertEquals(
        new FusionSettings(FusionStrategy.RRF, 1.0, 0.3, 5, 10), FusionConfig.read(null, config()));
  }

  @Test
  void readsAndConsumesItsSettings() {
    Map<String, Object> request =
        config(
            "budget_ms",
            900,
            "window_size",
            20,
            "max_rewrites",
            8,
            "region",
            "north",
            "tenant",
            "acme",
            "mode",
            "shadow",
            "policy",
            new HashMap<>(Map.of("policy_version", 1, "policy_id", "mine")),
            "rewrite_query",
            TEMPLATE,
            "unknown",
            1);
    assertEquals(
        new SearchOptions(
            Mode.SHADOW,
            900,
            20,
            8,
            "north",
            "acme",
            Optional.empty(),
            Optional.of(
                new PolicyInForce(
                    PolicyReader.parse("{\"policy_version\":1,\"policy_id\":\"mine\"}"),
                    PolicyDecision.Source.PIPELINE)),
            Optional.of(new RewriteTemplate(TEMPLATE))),
        RewriteConfig.read(null, request, REGISTRY));
    assertEquals(Map.of("unknown", 1), request, "left for the pipeline to refuse");
    Map<String, Object> response =
        config(
            "original_weight",
            2,
            "rewrite_weight",
            0.25,
            "rank_constant",
            10,
            "fusion",
            "append",
            "append_below",
            5);
    assertEquals(
        new FusionSettings(FusionStrategy.APPEND, 2, 0.25, 10, 5),
        FusionConfig.read(null, response));
    assertEquals(Map.of(), response);
  }

  @ParameterizedTest
  @CsvSource({
    "budget_ms,9",
    "budget_ms,60001",
    "window_size,0",
    "window_size,1001",
    "max_rewrites,0",
    "max_rewrites,9"
  })
  void refusesWholeNumbersOutOfRangeByName(String name, int value) {
    OpenSearchException refused =
        assertThrows(
            OpenSearchException.class,
            () -> RewriteConfig.read("tag", config(name, value), REGISTRY));
    assertTrue(refused.getMessage().contains(name), refused.getMessage());
  }

  @Test
  void refusesWrongTypesAndLengthsByName() {
    for (Map<String, Object> wrong :
        List.of(
            config("budget_ms", "soon"),
            config("max_rewrites", 1.5),
            config("region", 7),
            config("tenant", "t".repeat(65)),
            config("mode", "on"),
            config("mode", 1),
            config("policy", "strict"),
            config("rewrite_query", "{{rewrite}}"),
            config("rewrite_query", Map.of("match", Map.of("title", "soup"))),
            config("rewrite_query", Map.of("term", Map.of("title", "{{rewrite}}"))),
            config(
                "rewrite_query", Map.of("match", Map.of("title", Map.of("qurey", "{{rewrite}}")))),
            config(
                "rewrite_query",
                Map.of("match", Map.of("t", Map.of("query", "{{rewrite}}", "x", 1)))),
            config("policy", new HashMap<>(Map.of("policy_version", 2))))) {
      String name = wrong.keySet().iterator().next();
      OpenSearchException refused =
          assertThrows(OpenSearchException.class, () -> RewriteConfig.read("tag", wrong, REGISTRY));
      assertTrue(refused.getMessage().contains(name), refused.getMessage());
    }
    for (Map<String, Object> wrong :
        List.of(
            config("original_weight", -1),
            config("rewrite_weight", "heavy"),
            config("rewrite_weight", Double.NaN),
            config("rank_constant", 0),
            config("rank_constant", 10_001),
            config("fusion", "sum"),
            config("fusion", List.of("rrf")),
            config("append_below", 0),
            config("append_below", 1_001))) {
      String name = wrong.keySet().iterator().next();
      OpenSearchException refused =
          assertThrows(OpenSearchException.class, () -> FusionConfig.read("tag", wrong));
      assertTrue(refused.getMessage().contains(name), refused.getMessage());
    }
  }
}
