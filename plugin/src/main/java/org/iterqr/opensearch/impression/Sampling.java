package org.iterqr.opensearch.impression;

import org.iterqr.opensearch.experiment.IdFraction;
import org.iterqr.opensearch.identity.SearchIdentity;

/** Whether a search is logged: all searches of a client, or none. */
final class Sampling {
  private static final String PURPOSE = "iterqr.sample";

  private Sampling() {}

  /**
   * @param identity of a search; without a client id its query id decides
   * @param rate share of the clients that are logged; who is in stays in when it grows
   * @return whether this search is logged
   */
  static boolean takes(SearchIdentity identity, double rate) {
    if (rate >= 1) {
      return true;
    }
    String unit = identity.clientId().isEmpty() ? identity.queryId() : identity.clientId();
    return IdFraction.of(PURPOSE, unit) < rate;
  }
}
