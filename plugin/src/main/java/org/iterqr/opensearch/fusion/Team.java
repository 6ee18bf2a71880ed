package org.iterqr.opensearch.fusion;

/** Which side of an interleaving a document was picked by. */
public enum Team {
  /** Not interleaved. */
  NONE(""),
  /** The user's own query. */
  ORIGINAL("original"),
  /** The rewrites, fused with each other. */
  REWRITES("rewrites");

  private final String wireName;

  Team(String wireName) {
    this.wireName = wireName;
  }

  /**
   * @return the name on hits; empty for {@link #NONE}
   */
  public String wireName() {
    return wireName;
  }
}
