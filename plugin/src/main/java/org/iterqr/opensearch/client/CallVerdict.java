package org.iterqr.opensearch.client;

/** What the end of a call says about the replica that was asked. */
enum CallVerdict {
  /** A reply of the contract. */
  SUCCESS,
  /** The replica did not do what a healthy one does. */
  FAILURE,
  /** Nothing: it refused the call, or had too little time. */
  NEUTRAL
}
