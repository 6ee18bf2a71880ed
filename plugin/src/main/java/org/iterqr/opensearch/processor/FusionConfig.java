package org.iterqr.opensearch.processor;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;
import static org.opensearch.ingest.ConfigurationUtils.readIntProperty;

import java.util.Map;
import org.iterqr.opensearch.fusion.FusionWeights;

/** Reads the settings of the response processor. */
final class FusionConfig {
  private FusionConfig() {}

  /**
   * @param tag of the processor, for messages
   * @param config of the pipeline; the settings read are removed, the pipeline refuses what is left
   * @return how to fuse
   * @throws org.opensearch.OpenSearchException naming a setting that is wrong
   */
  static FusionWeights read(String tag, Map<String, Object> config) {
    double original = weight(tag, config, "original_weight", 1.0);
    double rewrite = weight(tag, config, "rewrite_weight", 0.5);
    int constant = readIntProperty(RewriteChannelProcessor.TYPE, tag, config, "rank_constant", 60);
    if (constant < 1 || constant > FusionWeights.MAX_RANK_CONSTANT) {
      throw newConfigurationException(
          RewriteChannelProcessor.TYPE,
          tag,
          "rank_constant",
          "must be between 1 and " + FusionWeights.MAX_RANK_CONSTANT + ", but was " + constant);
    }
    return new FusionWeights(original, rewrite, constant);
  }

  private static double weight(
      String tag, Map<String, Object> config, String name, double byDefault) {
    Object value = config.remove(name);
    double weight = byDefault;
    if (value instanceof Number number) {
      weight = number.doubleValue();
    } else if (value != null) {
      throw newConfigurationException(
          RewriteChannelProcessor.TYPE, tag, name, "must be a number, but was [" + value + "]");
    }
    if (!(weight >= 0 && weight <= FusionWeights.MAX_WEIGHT)) {
      throw newConfigurationException(
          RewriteChannelProcessor.TYPE,
          tag,
          name,
          "must be between 0 and " + FusionWeights.MAX_WEIGHT + ", but was " + weight);
    }
    return weight;
  }
}
