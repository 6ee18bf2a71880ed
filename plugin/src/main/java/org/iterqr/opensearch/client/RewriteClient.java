package org.iterqr.opensearch.client;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioEventLoopGroup;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.Closeable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import org.iterqr.opensearch.outcome.Outcome;
import org.iterqr.rewrite.v1.RewriteQueryRequest;
import org.iterqr.rewrite.v1.RewriteQueryResponse;
import org.opensearch.core.action.ActionListener;

/**
 * Asks the rewrite server for rewrites, never blocking the caller. Thread-safe. Listeners are
 * called on the executor given, without the caller's thread context.
 */
public final class RewriteClient implements Closeable {
  private static final Metadata.Key<String> TRACEPARENT =
      Metadata.Key.of(TraceContext.TRACEPARENT_HEADER, Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of(TraceContext.REQUEST_ID_HEADER, Metadata.ASCII_STRING_MARSHALLER);

  private final ExecutorService executor;
  private final EventLoopGroup eventLoops;
  private volatile ServerChannel channel;

  /**
   * Starts connecting at once.
   *
   * @param endpoint where the server listens
   * @param executor of the node's thread pool; runs the listeners
   */
  public RewriteClient(Endpoint endpoint, ExecutorService executor) {
    this.executor = executor;
    this.eventLoops =
        new NioEventLoopGroup(
            1,
            task -> {
              Thread thread = new Thread(task, "iterqr-grpc");
              thread.setDaemon(true);
              return thread;
            });
    this.channel = connect(endpoint);
  }

  /**
   * Sends later calls to another server; calls in flight end on the old connection.
   *
   * @param endpoint where the server listens
   */
  public synchronized void endpoint(Endpoint endpoint) {
    ServerChannel old = channel;
    if (!old.endpoint().equals(endpoint)) {
      channel = connect(endpoint);
      old.retire();
    }
  }

  /**
   * Starts a call.
   *
   * @param call what to rewrite, until when
   * @param listener gets the checked reply, or a {@link RewriteCallException} that names the
   *     outcome
   */
  public void rewrite(RewriteCall call, ActionListener<RewriteReply> listener) {
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
    channel
        .stub()
        .withDeadlineAfter(call.deadlineMs(), TimeUnit.MILLISECONDS)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
        .rewriteQuery(request, new ReplyObserver(call, listener));
  }

  @Override
  public synchronized void close() {
    channel.close();
    eventLoops.shutdownGracefully(0, 1, TimeUnit.SECONDS);
  }

  private ServerChannel connect(Endpoint endpoint) {
    ServerChannel connected = new ServerChannel(endpoint, eventLoops, executor);
    executor.execute(connected::warmUp);
    return connected;
  }

  /** Turns the one message of a unary call, or its status, into the listener's answer. */
  private static final class ReplyObserver implements StreamObserver<RewriteQueryResponse> {
    private final RewriteCall call;
    private final ActionListener<RewriteReply> listener;
    private RewriteQueryResponse reply;

    ReplyObserver(RewriteCall call, ActionListener<RewriteReply> listener) {
      this.call = call;
      this.listener = listener;
    }

    @Override
    public void onNext(RewriteQueryResponse value) {
      reply = value;
    }

    @Override
    public void onError(Throwable error) {
      listener.onFailure(
          new RewriteCallException(CallOutcome.of(Status.fromThrowable(error)), error));
    }

    @Override
    public void onCompleted() {
      RewriteReply checked;
      try {
        if (reply == null) {
          throw new BadReplyException("no message");
        }
        checked = ReplyReader.read(reply, call.query(), call.maxRewrites());
      } catch (BadReplyException e) {
        listener.onFailure(new RewriteCallException(Outcome.BAD_REPLY, e));
        return;
      }
      listener.onResponse(checked);
    }
  }
}
