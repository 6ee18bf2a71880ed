package org.iterqr.opensearch.outcome;

import org.apache.logging.log4j.Logger;
import org.opensearch.ExceptionsHelper;

/** Reports what a search survives although nothing should have thrown it. */
public final class Faults {
  private Faults() {}

  /**
   * Logs without query text, which messages and traces may hold. A machine without memory or broken
   * within is the node's to judge, so its error also reaches the node's own handler.
   *
   * @param logger of the class that caught it
   * @param what happens instead
   * @param fault what was thrown
   */
  public static void report(Logger logger, String what, Throwable fault) {
    logger.warn("{}: {}", what, fault.getClass().getName());
    logger.debug(what, fault);
    if (fault instanceof VirtualMachineError && !(fault instanceof StackOverflowError)) {
      ExceptionsHelper.maybeDieOnAnotherThread(fault);
    }
  }
}
