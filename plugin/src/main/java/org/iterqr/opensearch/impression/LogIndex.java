package org.iterqr.opensearch.impression;

import org.opensearch.core.action.ActionListener;

/** An index, or data stream, that a log is written to. */
public interface LogIndex {
  /**
   * @return its name
   */
  String name();

  /**
   * Makes it if it is not there. Called before every batch, so it must cost nothing where it is.
   *
   * @param listener is told when it is there, or why it cannot be made
   */
  void ensure(ActionListener<Void> listener);
}
