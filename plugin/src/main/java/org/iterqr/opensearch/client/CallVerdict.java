package org.iterqr.opensearch.client;

/** What the end of a call says about the replica that was asked. */
enum CallVerdict {
  /** A reply of the contract. */
  SUCCESS,
  /** The server itself said that it has no reply, now or in time: it is slow or busy, but there. */
  ALIVE,
  /** The replica did not do what a healthy one does. */
  FAILURE,
  /** Nothing: somebody else ended the call, or it had too little time. */
  NEUTRAL
}
