package org.iterqr.opensearch.client;

import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.ConnectivityState;
import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.NegotiationType;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioSocketChannel;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
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

  /** A peer that is silent for both together is gone. The health stream keeps this going. */
  private static final long KEEPALIVE_EVERY_S = 10;

  private static final long KEEPALIVE_PATIENCE_S = 5;

  private final ManagedChannel channel;
  private final AtomicLong lastReconnectNanos = new AtomicLong(System.nanoTime());
  private final HealthWatch health;

  /**
   * @param endpoint where the server listens
   * @param security of the connection; not broken
   * @param eventLoops shared by all connections
   * @param executor runs what is called back
   * @param onServing called each time the server begins to serve
   */
  ServerChannel(
      Endpoint endpoint,
      ConnectionSecurity security,
      EventLoopGroup eventLoops,
      Executor executor,
      Runnable onServing) {
    NettyChannelBuilder builder =
        NettyChannelBuilder.forAddress(endpoint.host(), endpoint.port())
            // The native transport needs permissions that a plugin should not have.
            .channelType(NioSocketChannel.class)
            .eventLoopGroup(eventLoops)
            .executor(executor)
            .offloadExecutor(executor)
            .maxInboundMessageSize(MAX_REPLY_BYTES)
            .keepAliveTime(KEEPALIVE_EVERY_S, TimeUnit.SECONDS)
            .keepAliveTimeout(KEEPALIVE_PATIENCE_S, TimeUnit.SECONDS)
            // A name with several addresses, such as a headless service, is used in full.
            .defaultLoadBalancingPolicy("round_robin")
            .proxyDetector(address -> null)
            .disableRetry()
            .disableServiceConfigLookUp()
            .userAgent("iterqr-opensearch");
    if (security instanceof ConnectionSecurity.Tls(SslContext context, String authority)) {
      builder.negotiationType(NegotiationType.TLS).sslContext(context);
      if (!authority.isEmpty()) {
        builder.overrideAuthority(authority);
      }
    } else {
      builder.negotiationType(NegotiationType.PLAINTEXT);
    }
    this.channel = builder.build();
    this.health = new HealthWatch(channel, eventLoops, onServing);
  }

  QueryRewriteServiceGrpc.QueryRewriteServiceStub stub() {
    return QueryRewriteServiceGrpc.newStub(channel);
  }

  HealthWatch.Health health() {
    return health.health();
  }

  /**
   * @return whether it is connected; asked for by each search, it also hurries a lost connection
   */
  ConnectivityState connectivity() {
    ConnectivityState state = channel.getState(false);
    if (state == ConnectivityState.TRANSIENT_FAILURE) {
      long last = lastReconnectNanos.get();
      long now = System.nanoTime();
      if (now - last >= RECONNECT_EVERY_NANOS && lastReconnectNanos.compareAndSet(last, now)) {
        channel.resetConnectBackoff();
      }
    }
    return state;
  }

  /**
   * Connects and follows the server's health: a first call pays one to two seconds for class
   * loading, which no search's budget has. Called once.
   */
  void warmUp() {
    try {
      RewriteQueryResponse.parseFrom(
          RewriteQueryRequest.newBuilder().setQuery("warm-up").build().toByteString());
    } catch (InvalidProtocolBufferException e) {
      logger.debug("warm-up", e);
    }
    health.start();
  }

  /** Lets calls in flight end; takes no new ones. */
  void retire() {
    health.stop();
    channel.shutdown();
  }

  /** Ends calls in flight. */
  void close() {
    health.stop();
    channel.shutdownNow();
  }
}
