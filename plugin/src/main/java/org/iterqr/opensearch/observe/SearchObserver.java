package org.iterqr.opensearch.observe;

/**
 * Is told of every answered search, on the thread that answers it: must be quick and never wait.
 */
@FunctionalInterface
public interface SearchObserver {
  /**
   * @param search about to be sent
   */
  void answered(AnsweredSearch search);
}
