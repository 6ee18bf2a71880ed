package org.iterqr.opensearch.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.opensearch.outcome.Faults;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.rewrite.v1.QueryRewriteServiceGrpc.QueryRewriteServiceStub;
import org.iterqr.rewrite.v1.RewriteQueryRequest;
import org.iterqr.rewrite.v1.RewriteQueryResponse;

/**
 * One call to one replica: turns the one message of its reply, or its status, into an {@link End}.
 */
final class ReplicaCall implements StreamObserver<RewriteQueryResponse> {
  /** How the call ended. */
  sealed interface End {
    /**
     * @param reply checked
     */
    record Replied(RewriteReply reply) implements End {}

    /**
     * @param outcome of the search because of it
     * @param isAnswered whether the server itself ended the call
     * @param retryAfterNanos for how long the server wants no calls; 0 if it does not say
     * @param cause what happened
     */
    record Failed(Outcome outcome, boolean isAnswered, long retryAfterNanos, Throwable cause)
        implements End {}
  }

  /** Told once of a call's end, on gRPC's executor. */
  interface EndListener {
    void ended(End end);
  }

  private static final Metadata.Key<String> TRACEPARENT =
      Metadata.Key.of(TraceContext.TRACEPARENT_HEADER, Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of(TraceContext.REQUEST_ID_HEADER, Metadata.ASCII_STRING_MARSHALLER);
  private static final String RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo";

  private static final Logger logger = LogManager.getLogger(ReplicaCall.class);

  private final RewriteCall call;
  private final EndListener listener;
  private final AtomicBoolean hasEnded = new AtomicBoolean();
  private RewriteQueryResponse reply;

  private ReplicaCall(RewriteCall call, EndListener listener) {
    this.call = call;
    this.listener = listener;
  }

  /**
   * Starts a call.
   *
   * @param stub of the replica
   * @param call what to rewrite
   * @param allowedNanos how long it may take
   * @param listener told of its end
   */
  static void start(
      QueryRewriteServiceStub stub, RewriteCall call, long allowedNanos, EndListener listener) {
    Metadata headers = new Metadata();
    headers.put(TRACEPARENT, call.trace().traceparent());
    headers.put(REQUEST_ID, call.trace().requestId());
    RewriteQueryRequest request =
        RewriteQueryRequest.newBuilder()
            .setQuery(call.query())
            .setRegion(call.region())
            .setTenant(call.tenant())
            .setMaxRewrites(call.maxRewrites())
            .setRequestId(call.trace().requestId())
            .build();
    ReplicaCall started = new ReplicaCall(call, listener);
    try {
      stub.withDeadlineAfter(allowedNanos, TimeUnit.NANOSECONDS)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
          .rewriteQuery(request, started);
    } catch (Throwable e) {
      // gRPC may tell the observer of it as well.
      Faults.report(logger, "a rewrite server could not be called", e);
      started.end(new End.Failed(Outcome.ERROR, false, 0, e));
    }
  }

  @Override
  public void onNext(RewriteQueryResponse value) {
    reply = value;
  }

  @Override
  public void onError(Throwable error) {
    Status status = Status.fromThrowable(error);
    Metadata trailers = Status.trailersFromThrowable(error);
    // Our server gives its request id back with every answer.
    boolean isAnswered = trailers != null && trailers.containsKey(REQUEST_ID);
    end(new End.Failed(CallOutcome.of(status), isAnswered, retryAfterNanos(error), error));
  }

  @Override
  public void onCompleted() {
    End end;
    try {
      if (reply == null) {
        throw new BadReplyException("no message");
      }
      end = new End.Replied(ReplyReader.read(reply, call.query(), call.maxRewrites()));
    } catch (BadReplyException e) {
      end = new End.Failed(Outcome.BAD_REPLY, true, 0, e);
    }
    end(end);
  }

  private void end(End end) {
    if (hasEnded.compareAndSet(false, true)) {
      listener.ended(end);
    }
  }

  private static long retryAfterNanos(Throwable error) {
    var status = StatusProto.fromThrowable(error);
    if (status != null) {
      for (Any detail : status.getDetailsList()) {
        if (detail.getTypeUrl().equals(RETRY_INFO)) {
          try {
            var delay = RetryInfo.parseFrom(detail.getValue()).getRetryDelay();
            return TimeUnit.SECONDS.toNanos(delay.getSeconds()) + delay.getNanos();
          } catch (InvalidProtocolBufferException e) {
            return 0;
          }
        }
      }
    }
    return 0;
  }
}
