package org.iterqr.opensearch.policy;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.iterqr.opensearch.client.Rewrite;
import org.iterqr.opensearch.fusion.Channel;
import org.iterqr.opensearch.fusion.Window;

/**
 * What a policy made of one search, with what it went by: training learns policies from it.
 *
 * @param policyId which policy
 * @param source whose it is
 * @param original features of the original's result
 * @param rewrites features of the rewrites that have a window, by id
 * @param factors weights as shares of the pipeline's, by id; rewrites that take no part are absent
 */
public record PolicyDecision(
    String policyId,
    Source source,
    OriginalFeatures original,
    Map<String, RewriteFeatures> rewrites,
    Map<String, Double> factors) {
  /** Whose policy it is. */
  public enum Source {
    /** The request's own. */
    REQUEST("request"),
    /** The search pipeline's. */
    PIPELINE("pipeline"),
    /** The checkpoint's, with the reply. */
    CHECKPOINT("checkpoint"),
    /** The plugin's own. */
    DEFAULT("default");

    private final String wireName;

    Source(String wireName) {
      this.wireName = wireName;
    }

    /**
     * @return the name in responses
     */
    public String wireName() {
      return wireName;
    }
  }

  /**
   * @param policy in force
   * @param source whose it is
   * @param queryCharacters length of the user's text in code points
   * @param rewrites all of them, in the reply's order
   * @param windows the original's first, then those of rewrites
   * @return what the policy makes of them
   */
  public static PolicyDecision decide(
      Policy policy,
      Source source,
      int queryCharacters,
      List<Rewrite> rewrites,
      List<Window> windows) {
    Window original = windows.getFirst();
    OriginalFeatures originalFeatures = OriginalFeatures.of(original, queryCharacters);
    Map<String, RewriteFeatures> features = new LinkedHashMap<>();
    Map<String, Double> factors = new LinkedHashMap<>();
    for (Window window : windows) {
      if (window.channel() instanceof Channel.Rewritten(Rewrite rewrite)) {
        RewriteFeatures of =
            RewriteFeatures.of(rewrites.indexOf(rewrite), rewrite.confidence(), original, window);
        features.put(rewrite.id(), of);
        double factor = policy.factor(originalFeatures, of);
        if (factor > 0 && policy.rewrites(queryCharacters)) {
          factors.put(rewrite.id(), factor);
        }
      }
    }
    return new PolicyDecision(policy.id(), source, originalFeatures, features, factors);
  }
}
