package org.iterqr.opensearch.processor;

import java.util.Map;
import org.iterqr.opensearch.fusion.FusionPlan;
import org.iterqr.opensearch.fusion.FusionSettings;
import org.iterqr.opensearch.fusion.FusionStrategy;
import org.iterqr.opensearch.options.WholeOption;

/** Reads the settings of the response processor. */
final class FusionConfig {
  private FusionConfig() {}

  /**
   * @param tag of the processor, for messages
   * @param config of the pipeline; the settings read are removed, the pipeline refuses what is left
   * @return how to fuse
   * @throws org.opensearch.OpenSearchException naming a setting that is wrong
   */
  static FusionSettings read(String tag, Map<String, Object> config) {
    PipelineSettings settings = new PipelineSettings(RewriteChannelProcessor.TYPE, tag, config);
    return new FusionSettings(
        settings
            .choice("fusion", FusionStrategy::of, FusionStrategy.names())
            .orElse(FusionStrategy.RRF),
        settings.number("original_weight", 1.0, FusionPlan.MAX_WEIGHT),
        settings.number("rewrite_weight", 0.3, FusionPlan.MAX_WEIGHT),
        settings.whole(WholeOption.RANK_CONSTANT),
        settings.whole(WholeOption.APPEND_BELOW));
  }
}
