package org.iterqr.opensearch.client;

import io.grpc.Status;
import org.iterqr.opensearch.outcome.Outcome;

/** Names the outcome of a search whose rewrite call ended with a gRPC status other than OK. */
final class CallOutcome {
  private CallOutcome() {}

  static Outcome of(Status status) {
    return switch (status.getCode()) {
      case DEADLINE_EXCEEDED, CANCELLED -> Outcome.TIMEOUT;
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
      // Nothing our server sends: no gRPC behind the port, another service, or broken bytes.
      case OK, INTERNAL, UNKNOWN, UNIMPLEMENTED, DATA_LOSS, OUT_OF_RANGE -> Outcome.BAD_REPLY;
    };
  }

  private static boolean isOversizedReply(Status status) {
    String description = status.getDescription();
    return description != null && description.contains("exceeds maximum size");
  }
}
