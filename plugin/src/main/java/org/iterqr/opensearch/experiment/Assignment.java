package org.iterqr.opensearch.experiment;

/**
 * Where a search stands in the running experiment.
 *
 * @param experiment its name; empty if the search is not part of one
 * @param bucket its arm
 */
public record Assignment(String experiment, ExperimentBucket bucket) {
  /** Not part of an experiment. */
  public static final Assignment NONE = new Assignment("", ExperimentBucket.NONE);
}
