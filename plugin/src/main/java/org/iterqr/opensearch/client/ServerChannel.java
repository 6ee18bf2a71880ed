package org.iterqr.opensearch.client;

import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.netty.shaded.io.grpc.netty.NegotiationType;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioSocketChannel;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.iterqr.rewrite.v1.QueryRewriteServiceGrpc;
import org.iterqr.rewrite.v1.RewriteQueryRequest;
import org.iterqr.rewrite.v1.RewriteQueryResponse;

/** A connection to one endpoint that comes back quickly when its server does. */
final class ServerChannel {
  private static final Logger logger = LogManager.getLogger(ServerChannel.class);

  /** The largest reply of the contract is far below; more is a fault or an attack. */
  private static final int MAX_REPLY_BYTES = 256 * 1024;

  /**
   * gRPC backs off up to two minutes between connection attempts. Searches are cheap probes: while
   * they come, a lost server is tried again this often.
   */
  private static final long RECONNECT_EVERY_NANOS = 500_000_000L;

  private final Endpoint endpoint;
  private final ManagedChannel channel;
  private final AtomicLong lastReconnectNanos = new AtomicLong(System.nanoTime());
  private final ClientCall<byte[], byte[]> healthCheck;

  ServerChannel(Endpoint endpoint, EventLoopGroup eventLoops, Executor executor) {
    this.endpoint = endpoint;
    this.channel =
        NettyChannelBuilder.forAddress(endpoint.host(), endpoint.port())
            // The native transport needs permissions that a plugin should not have.
            .channelType(NioSocketChannel.class)
            .eventLoopGroup(eventLoops)
            .negotiationType(NegotiationType.PLAINTEXT)
            .executor(executor)
            .offloadExecutor(executor)
            .maxInboundMessageSize(MAX_REPLY_BYTES)
            .proxyDetector(address -> null)
            .disableRetry()
            .disableServiceConfigLookUp()
            .userAgent("iterqr-opensearch")
            .build();
    this.healthCheck = channel.newCall(HEALTH_CHECK, CallOptions.DEFAULT.withWaitForReady());
  }

  Endpoint endpoint() {
    return endpoint;
  }

  QueryRewriteServiceGrpc.QueryRewriteServiceStub stub() {
    if (channel.getState(false) == ConnectivityState.TRANSIENT_FAILURE) {
      long last = lastReconnectNanos.get();
      long now = System.nanoTime();
      if (now - last >= RECONNECT_EVERY_NANOS && lastReconnectNanos.compareAndSet(last, now)) {
        channel.resetConnectBackoff();
      }
    }
    return QueryRewriteServiceGrpc.newStub(channel);
  }

  /**
   * Connects and asks for the server's health, whenever it is there: a first call pays one to two
   * seconds for class loading, which no search's budget has. The answer does not matter. Called
   * once.
   */
  void warmUp() {
    try {
      RewriteQueryResponse.parseFrom(
          RewriteQueryRequest.newBuilder().setQuery("warm-up").build().toByteString());
    } catch (InvalidProtocolBufferException e) {
      logger.debug("warm-up", e);
    }
    try {
      healthCheck.start(
          new ClientCall.Listener<>() {
            @Override
            public void onClose(Status status, Metadata trailers) {
              logger.debug("rewrite server [{}] answered warm-up: {}", endpoint, status.getCode());
            }
          },
          new Metadata());
      healthCheck.request(1);
      healthCheck.sendMessage(new byte[0]);
      healthCheck.halfClose();
    } catch (IllegalStateException e) {
      logger.debug("retired before it was warm", e);
    }
  }

  /** Lets calls in flight end; takes no new ones. */
  void retire() {
    healthCheck.cancel("another server is used", null);
    channel.shutdown();
  }

  /** Ends calls in flight. */
  void close() {
    channel.shutdownNow();
  }

  private static final MethodDescriptor<byte[], byte[]> HEALTH_CHECK =
      MethodDescriptor.<byte[], byte[]>newBuilder()
          .setType(MethodDescriptor.MethodType.UNARY)
          .setFullMethodName("grpc.health.v1.Health/Check")
          .setRequestMarshaller(new BytesMarshaller())
          .setResponseMarshaller(new BytesMarshaller())
          .build();

  private static final class BytesMarshaller implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }
}
