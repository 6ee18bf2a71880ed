package org.iterqr.opensearch.client;

import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Exception;
import org.iterqr.opensearch.outcome.Outcome;

/** Names the outcome of a search whose rewrite call ended with a gRPC status other than OK. */
final class CallOutcome {
  private CallOutcome() {}

  static Outcome of(Status status) {
    if (isConnectionFault(status)) {
      return Outcome.UNAVAILABLE;
    }
    return switch (status.getCode()) {
      case DEADLINE_EXCEEDED -> Outcome.TIMEOUT;
      case UNAVAILABLE -> Outcome.UNAVAILABLE;
      // The client's own refusal of an over-long reply has the same code as the server's full
      // queue; only the description tells them apart.
      case RESOURCE_EXHAUSTED -> isOversizedReply(status) ? Outcome.BAD_REPLY : Outcome.REJECTED;
      case INVALID_ARGUMENT,
          FAILED_PRECONDITION,
          PERMISSION_DENIED,
          UNAUTHENTICATED,
          NOT_FOUND,
          ABORTED,
          ALREADY_EXISTS ->
          Outcome.REJECTED;
      // Nothing our server sends: another service, or broken bytes. CANCELLED is how gRPC ends a
      // call whose reply it cannot parse; we never cancel one.
      case OK, CANCELLED, INTERNAL, UNKNOWN, UNIMPLEMENTED, DATA_LOSS, OUT_OF_RANGE ->
          Outcome.BAD_REPLY;
    };
  }

  /** No gRPC behind the port: what it said was no HTTP/2, so no call was ever made. */
  private static boolean isConnectionFault(Status status) {
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
      if (cause instanceof Http2Exception) {
        return true;
      }
    }
    return false;
  }

  private static boolean isOversizedReply(Status status) {
    String description = status.getDescription();
    return description != null && description.contains("exceeds maximum size");
  }
}
