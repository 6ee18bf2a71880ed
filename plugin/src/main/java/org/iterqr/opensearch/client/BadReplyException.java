package org.iterqr.opensearch.client;

/** The server's reply breaks the contract. The message never holds query text. */
public final class BadReplyException extends Exception {
  private static final long serialVersionUID = 1L;

  /**
   * @param message which field breaks which limit
   */
  public BadReplyException(String message) {
    super(message);
  }
}
