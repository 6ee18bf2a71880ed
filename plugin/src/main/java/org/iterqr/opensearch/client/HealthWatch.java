package org.iterqr.opensearch.client;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.protobuf.ProtoUtils;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.iterqr.rewrite.v1.QueryRewriteServiceGrpc;

/**
 * Follows what a server says of its health (grpc.health.v1), from {@link #start} to {@link #stop}.
 * The open stream also lets the connection notice a server that is gone without a word.
 */
final class HealthWatch {
  /** What the server said last. */
  enum Health {
    /** Nothing, or it has no health service. */
    UNKNOWN,
    SERVING,
    NOT_SERVING
  }

  private static final int SERVING_ON_THE_WIRE = 1;
  private static final long AGAIN_AFTER_MS = 1_000;

  /**
   * HealthCheckRequest has one string, HealthCheckResponse one enum, each as field 1: these
   * messages of protobuf's own are the same on the wire, and spare the bundling of grpc-services.
   */
  private static final MethodDescriptor<StringValue, Int32Value> WATCH =
      MethodDescriptor.<StringValue, Int32Value>newBuilder()
          .setType(MethodDescriptor.MethodType.SERVER_STREAMING)
          .setFullMethodName("grpc.health.v1.Health/Watch")
          .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
          .setResponseMarshaller(ProtoUtils.marshaller(Int32Value.getDefaultInstance()))
          .build();

  private final ManagedChannel channel;
  private final ScheduledExecutorService timer;
  private final Runnable onServing;
  private volatile Health health = Health.UNKNOWN;
  private ClientCall<StringValue, Int32Value> call;
  private boolean isStopped;

  /**
   * @param channel to the server
   * @param timer for another try after the stream broke
   * @param onServing called each time the server begins to serve, or is reached again serving
   */
  HealthWatch(ManagedChannel channel, ScheduledExecutorService timer, Runnable onServing) {
    this.channel = channel;
    this.timer = timer;
    this.onServing = onServing;
  }

  Health health() {
    return health;
  }

  /** Opens the stream as soon as there is a connection. */
  synchronized void start() {
    if (isStopped) {
      return;
    }
    call = channel.newCall(WATCH, CallOptions.DEFAULT.withWaitForReady());
    ClientCall<StringValue, Int32Value> opened = call;
    opened.start(
        new ClientCall.Listener<>() {
          @Override
          public void onMessage(Int32Value status) {
            health = status.getValue() == SERVING_ON_THE_WIRE ? Health.SERVING : Health.NOT_SERVING;
            if (health == Health.SERVING) {
              onServing.run();
            }
            opened.request(1);
          }

          @Override
          public void onClose(Status status, Metadata trailers) {
            health = Health.UNKNOWN;
            if (status.getCode() != Status.Code.UNIMPLEMENTED) {
              startAgainLater();
            }
          }
        },
        new Metadata());
    opened.request(1);
    opened.sendMessage(StringValue.of(QueryRewriteServiceGrpc.SERVICE_NAME));
    opened.halfClose();
  }

  /** Closes the stream for good. */
  synchronized void stop() {
    isStopped = true;
    if (call != null) {
      call.cancel("the server is no longer watched", null);
    }
  }

  private synchronized void startAgainLater() {
    if (isStopped) {
      return;
    }
    try {
      timer.schedule(this::start, AGAIN_AFTER_MS, TimeUnit.MILLISECONDS);
    } catch (RejectedExecutionException e) {
      // The node is stopping.
      isStopped = true;
    }
  }
}
