package org.iterqr.opensearch.processor;

import static org.opensearch.ingest.ConfigurationUtils.newConfigurationException;
import static org.opensearch.ingest.ConfigurationUtils.readIntProperty;
import static org.opensearch.ingest.ConfigurationUtils.readStringProperty;

import java.util.Map;
import org.iterqr.opensearch.client.RewriteLimits;
import org.iterqr.opensearch.page.PageToken;

/**
 * Settings of the request processor.
 *
 * @param budgetMs longest time from the request to the fused response
 * @param windowSize hits of each channel that are fused
 * @param maxRewrites most rewrites asked for
 * @param region market of the users; may be empty
 * @param tenant owner of the traffic; may be empty
 */
record RewriteConfig(int budgetMs, int windowSize, int maxRewrites, String region, String tenant) {
  private static final int MIN_BUDGET_MS = 10;
  private static final int MAX_BUDGET_MS = 60_000;

  /**
   * @param tag of the processor, for messages
   * @param config of the pipeline; the settings read are removed, the pipeline refuses what is left
   * @return the settings
   * @throws org.opensearch.OpenSearchException naming a setting that is wrong
   */
  static RewriteConfig read(String tag, Map<String, Object> config) {
    return new RewriteConfig(
        whole(tag, config, "budget_ms", 300, MIN_BUDGET_MS, MAX_BUDGET_MS),
        whole(tag, config, "window_size", 50, 1, PageToken.MAX_WINDOW_SIZE),
        whole(tag, config, "max_rewrites", 3, 1, RewriteLimits.REWRITES),
        label(tag, config, "region"),
        label(tag, config, "tenant"));
  }

  private static int whole(
      String tag, Map<String, Object> config, String name, int byDefault, int min, int max) {
    int value = readIntProperty(QueryRewriteProcessor.TYPE, tag, config, name, byDefault);
    if (value < min || value > max) {
      throw newConfigurationException(
          QueryRewriteProcessor.TYPE,
          tag,
          name,
          "must be between " + min + " and " + max + ", but was " + value);
    }
    return value;
  }

  private static String label(String tag, Map<String, Object> config, String name) {
    String value = readStringProperty(QueryRewriteProcessor.TYPE, tag, config, name, "");
    if (RewriteLimits.length(value) > RewriteLimits.LABEL_CHARACTERS) {
      throw newConfigurationException(
          QueryRewriteProcessor.TYPE,
          tag,
          name,
          "must be at most " + RewriteLimits.LABEL_CHARACTERS + " characters");
    }
    return value;
  }
}
