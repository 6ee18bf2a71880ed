package org.iterqr.opensearch.impression;

import java.util.List;
import org.opensearch.core.action.ActionListener;

/** Sends entries to their indices. */
@FunctionalInterface
interface LogSender {
  /** What became of one entry. */
  enum Fate {
    /** It is in the index. */
    WRITTEN,
    /** Not now; it may be sent again. */
    AGAIN,
    /** The index will never take it. */
    REFUSED
  }

  /**
   * What became of a batch.
   *
   * @param fates of its entries, in their order
   * @param errorClass of the last entry that was not written; empty if all were
   */
  record Receipt(List<Fate> fates, String errorClass) {}

  /**
   * @param batch not empty
   * @param listener gets the receipt, or why nothing is known of any of them: they may be sent
   *     again, since one that was written after all is not written twice
   */
  void send(List<LogEntry> batch, ActionListener<Receipt> listener);
}
