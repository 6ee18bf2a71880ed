package org.iterqr.opensearch.experiment;

/**
 * A split of clients into arms. Treatment grows from the bottom of the clients' order and shadow
 * from its top, so that a change of either percentage moves clients from or to control only.
 *
 * @param name in impressions; empty if there is no experiment
 * @param salt another one shuffles the clients anew
 * @param treatmentPercent of the clients, 0 to 100
 * @param shadowPercent of the clients, 0 to 100 less the treatment
 */
public record Experiment(String name, String salt, double treatmentPercent, double shadowPercent) {
  private static final double PERCENT = 100;

  /**
   * Searches without a client id are left out: split by query, one user would meet several arms.
   *
   * @param clientId of a search; empty if not known
   * @return its arm
   */
  public Assignment assign(String clientId) {
    if (name.isEmpty() || clientId.isEmpty()) {
      return Assignment.NONE;
    }
    double percentile = IdFraction.of(name + '\0' + salt, clientId) * PERCENT;
    ExperimentBucket bucket = ExperimentBucket.CONTROL;
    if (percentile < treatmentPercent) {
      bucket = ExperimentBucket.TREATMENT;
    } else if (percentile >= PERCENT - shadowPercent) {
      bucket = ExperimentBucket.SHADOW;
    }
    return new Assignment(name, bucket);
  }
}
