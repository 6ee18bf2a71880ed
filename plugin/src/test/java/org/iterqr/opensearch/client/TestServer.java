package org.iterqr.opensearch.client;

import com.google.protobuf.Int32Value;
import com.google.protobuf.StringValue;
import io.grpc.MethodDescriptor;
import io.grpc.Server;
import io.grpc.ServerServiceDefinition;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.ProtoUtils;
import io.grpc.stub.ServerCalls;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;
import org.iterqr.rewrite.v1.Outcome;
import org.iterqr.rewrite.v1.QueryRewriteServiceGrpc;
import org.iterqr.rewrite.v1.Rewrite;
import org.iterqr.rewrite.v1.RewriteQueryRequest;
import org.iterqr.rewrite.v1.RewriteQueryResponse;
import org.iterqr.rewrite.v1.Source;

/** A gRPC server on a free port that answers as a test wants, and says how it is. */
final class TestServer implements AutoCloseable {
  /** Answers one call. */
  interface Answer extends BiConsumer<RewriteQueryRequest, StreamObserver<RewriteQueryResponse>> {}

  /** Never answers. */
  static final Answer SILENT = (request, observer) -> {};

  private final AtomicInteger calls = new AtomicInteger();
  private final List<StreamObserver<Int32Value>> watchers = new CopyOnWriteArrayList<>();
  private final Server server;
  private volatile Answer answer;
  private volatile int health = 1;

  TestServer(Answer answer) throws IOException {
    this(answer, 0);
  }

  TestServer(Answer answer, int port) throws IOException {
    this(answer, NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", port)));
  }

  TestServer(Answer answer, NettyServerBuilder builder) throws IOException {
    this.answer = answer;
    this.server =
        builder
            .addService(
                new QueryRewriteServiceGrpc.QueryRewriteServiceImplBase() {
                  @Override
                  public void rewriteQuery(
                      RewriteQueryRequest request, StreamObserver<RewriteQueryResponse> observer) {
                    calls.incrementAndGet();
                    TestServer.this.answer.accept(request, observer);
                  }
                })
            .addService(healthService())
            .build()
            .start();
  }

  static Answer rewrites(String... texts) {
    return (request, observer) -> {
      observer.onNext(reply(texts).build());
      observer.onCompleted();
    };
  }

  static RewriteQueryResponse.Builder reply(String... texts) {
    RewriteQueryResponse.Builder reply =
        RewriteQueryResponse.newBuilder()
            .setOutcome(texts.length == 0 ? Outcome.OUTCOME_NO_REWRITES : Outcome.OUTCOME_COMPLETE)
            .setSource(Source.SOURCE_GENERATED)
            .setCheckpointId("c1");
    for (int i = 0; i < texts.length; i++) {
      reply.addRewrites(
          Rewrite.newBuilder()
              .setRewriteId(String.format(java.util.Locale.ROOT, "%016x", i))
              .setText(texts[i])
              .setConfidence(0.5));
    }
    return reply;
  }

  static Answer fails(Status status) {
    return (request, observer) -> observer.onError(status.asRuntimeException());
  }

  Endpoint endpoint() {
    return new Endpoint("127.0.0.1", server.getPort());
  }

  int calls() {
    return calls.get();
  }

  void answer(Answer next) {
    answer = next;
  }

  void serving(boolean serving) {
    health = serving ? 1 : 2;
    for (StreamObserver<Int32Value> watcher : watchers) {
      watcher.onNext(Int32Value.of(health));
    }
  }

  @Override
  public void close() {
    server.shutdownNow();
    try {
      server.awaitTermination();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private ServerServiceDefinition healthService() {
    MethodDescriptor<StringValue, Int32Value> watch =
        MethodDescriptor.<StringValue, Int32Value>newBuilder()
            .setType(MethodDescriptor.MethodType.SERVER_STREAMING)
            .setFullMethodName("grpc.health.v1.Health/Watch")
            .setRequestMarshaller(ProtoUtils.marshaller(StringValue.getDefaultInstance()))
            .setResponseMarshaller(ProtoUtils.marshaller(Int32Value.getDefaultInstance()))
            .build();
    return ServerServiceDefinition.builder("grpc.health.v1.Health")
        .addMethod(
            watch,
            ServerCalls.asyncServerStreamingCall(
                (service, watcher) -> {
                  watchers.add(watcher);
                  watcher.onNext(Int32Value.of(health));
                }))
        .build();
  }
}
