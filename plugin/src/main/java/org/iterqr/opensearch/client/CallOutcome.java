package org.iterqr.opensearch.client;

import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.handler.codec.http2.Http2Exception;
import org.iterqr.opensearch.outcome.Outcome;

/**
 * What a call that ended with a gRPC status other than OK means for its search, and its replica.
 */
final class CallOutcome {
  private CallOutcome() {}

  /**
   * @param status other than OK
   * @return the outcome of the search
   */
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

  /**
   * @param outcome of the search
   * @param isAnswered whether the server itself ended the call; a client that gave up, or a proxy
   *     that did, cannot know more than that nothing came
   * @param allowedMs what the call had
   * @param minimumTimeoutMs a call that had less may time out without being a failure
   * @return what it says of the replica
   */
  static CallVerdict verdict(
      Outcome outcome, boolean isAnswered, long allowedMs, long minimumTimeoutMs) {
    return switch (outcome) {
      case UNAVAILABLE, BAD_REPLY -> CallVerdict.FAILURE;
      // A server that says in time that it has no rewrite yet is slow, perhaps, but well.
      case TIMEOUT -> {
        if (isAnswered) {
          yield CallVerdict.ALIVE;
        }
        yield allowedMs >= minimumTimeoutMs ? CallVerdict.FAILURE : CallVerdict.NEUTRAL;
      }
      case REJECTED -> isAnswered ? CallVerdict.ALIVE : CallVerdict.NEUTRAL;
      default -> CallVerdict.NEUTRAL;
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
