package org.iterqr.opensearch.experiment;

/** An arm of an experiment. */
public enum ExperimentBucket {
  /** Not part of it: there is none, or the client is not known. Served as the pipeline says. */
  NONE(""),
  /** Searched as if there were no rewriting, at no cost. */
  CONTROL("control"),
  /** Served as the pipeline says. */
  TREATMENT("treatment"),
  /** Rewritten and logged as treatment is, but answered with the plain response. */
  SHADOW("shadow");

  private final String wireName;

  ExperimentBucket(String wireName) {
    this.wireName = wireName;
  }

  /**
   * @return the name in responses and impressions; empty for {@link #NONE}
   */
  public String wireName() {
    return wireName;
  }
}
