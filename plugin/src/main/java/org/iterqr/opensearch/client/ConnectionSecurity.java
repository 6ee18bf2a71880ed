package org.iterqr.opensearch.client;

import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;

/** How connections to the servers are secured. */
sealed interface ConnectionSecurity {
  /** Not at all. */
  record Plaintext() implements ConnectionSecurity {}

  /**
   * By TLS.
   *
   * @param context with what is trusted and, for mTLS, the node's own certificate
   * @param authority the name that the servers' certificates must have; empty means the endpoint's
   */
  record Tls(SslContext context, String authority) implements ConnectionSecurity {}

  /** They are to be, but what they need cannot be used: none is made. */
  record Broken() implements ConnectionSecurity {}
}
