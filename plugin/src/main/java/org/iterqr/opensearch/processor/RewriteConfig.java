package org.iterqr.opensearch.processor;

import java.util.Map;
import java.util.Optional;
import org.iterqr.opensearch.options.Mode;
import org.iterqr.opensearch.options.SearchOptions;
import org.iterqr.opensearch.options.WholeOption;
import org.iterqr.opensearch.policy.PolicyDecision;
import org.iterqr.opensearch.policy.PolicyInForce;
import org.iterqr.opensearch.policy.PolicyReader;
import org.iterqr.opensearch.query.RewriteTemplate;
import org.opensearch.core.xcontent.NamedXContentRegistry;

/** Reads the settings of the request processor. */
final class RewriteConfig {
  private RewriteConfig() {}

  /**
   * @param tag of the processor, for messages
   * @param config of the pipeline; the settings read are removed, the pipeline refuses what is left
   * @param registry knows the node's query types
   * @return the pipeline's options
   * @throws org.opensearch.OpenSearchException naming a setting that is wrong
   */
  static SearchOptions read(
      String tag, Map<String, Object> config, NamedXContentRegistry registry) {
    PipelineSettings settings = new PipelineSettings(QueryRewriteProcessor.TYPE, tag, config);
    return new SearchOptions(
        settings.choice("mode", Mode::of, Mode.names()).orElse(Mode.FUSE),
        settings.whole(WholeOption.BUDGET_MS),
        settings.whole(WholeOption.WINDOW_SIZE),
        settings.whole(WholeOption.MAX_REWRITES),
        settings.label("region"),
        settings.label("tenant"),
        Optional.empty(),
        settings
            .object("policy", PolicyReader::read)
            .map(policy -> new PolicyInForce(policy, PolicyDecision.Source.PIPELINE)),
        settings.object("rewrite_query", query -> RewriteTemplate.of(query, registry)));
  }
}
