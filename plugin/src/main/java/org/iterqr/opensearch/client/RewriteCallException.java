package org.iterqr.opensearch.client;

import org.iterqr.opensearch.outcome.Outcome;

/** A rewrite call that gave no usable reply. */
public final class RewriteCallException extends Exception {
  private static final long serialVersionUID = 1L;

  private final Outcome outcome;

  /**
   * @param outcome the search's outcome because of it
   * @param cause what happened
   */
  public RewriteCallException(Outcome outcome, Throwable cause) {
    super(outcome.wireName() + ": " + cause.getMessage(), cause);
    this.outcome = outcome;
  }

  /**
   * The call was not made. Without a stack trace, as this is how load is shed.
   *
   * @param outcome the search's outcome because of it
   */
  public RewriteCallException(Outcome outcome) {
    super(outcome.wireName(), null, false, false);
    this.outcome = outcome;
  }

  /**
   * @return the search's outcome because of it
   */
  public Outcome outcome() {
    return outcome;
  }
}
