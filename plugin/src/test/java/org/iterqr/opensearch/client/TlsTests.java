package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.ClientAuth;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslProvider;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.opensearch.common.settings.KeyStoreWrapper;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.settings.SettingsException;
import org.opensearch.core.action.ActionListener;

/** The client against servers that have certificates. */
@Timeout(60)
class TlsTests {
  private static final String TLS = "plugins.iterqr.server.tls.";

  @TempDir private static Path config;
  private static TestIdentity serverIdentity;
  private static TestIdentity nodeIdentity;

  private final ExecutorService executor = Executors.newCachedThreadPool();
  private final List<AutoCloseable> open = new ArrayList<>();

  @BeforeAll
  static void makeIdentities() throws Exception {
    serverIdentity = TestIdentity.make(config, "rewriter");
    nodeIdentity = TestIdentity.make(config, "node");
  }

  @AfterEach
  void close() throws Exception {
    for (AutoCloseable each : open) {
      each.close();
    }
    executor.shutdownNow();
  }

  /**
   * @param trusted whose clients may call; null for all
   */
  private TestServer server(TestIdentity identity, TestIdentity trusted) throws IOException {
    SslContextBuilder context =
        GrpcSslContexts.configure(
            SslContextBuilder.forServer(identity.certificate().toFile(), identity.key().toFile()),
            SslProvider.JDK);
    if (trusted != null) {
      context.trustManager(trusted.certificate().toFile()).clientAuth(ClientAuth.REQUIRE);
    }
    TestServer server =
        new TestServer(
            TestServer.rewrites("pad thai"),
            NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
                .sslContext(context.build()));
    open.add(server);
    return server;
  }

  private static Settings.Builder settings(TestServer server) {
    return Settings.builder()
        .put("plugins.iterqr.client.cache.enabled", false)
        .put("plugins.iterqr.server.endpoints", server.endpoint().toString())
        .put(TLS + "enabled", true);
  }

  private RewriteClient client(Settings settings) {
    RewriteClient client = new RewriteClient(settings, config, executor);
    open.add(client);
    return client;
  }

  private static String ask(RewriteClient client) throws InterruptedException {
    CompletableFuture<RewriteReply> future = new CompletableFuture<>();
    client.rewrite(
        new RewriteCall("pad tai", "", "", 3, 10_000, TraceContext.of(null, null)),
        ActionListener.wrap(future::complete, future::completeExceptionally));
    try {
      return future.get().rewrites().getFirst().text();
    } catch (ExecutionException e) {
      return ((RewriteCallException) e.getCause()).outcome().wireName();
    }
  }

  @Test
  void aTrustedServerIsAsked() throws Exception {
    TestServer server = server(serverIdentity, null);
    Settings trusting = settings(server).put(TLS + "trusted_certificates", "rewriter.pem").build();
    assertEquals("pad thai", ask(client(trusting)));
    Settings named = Settings.builder().put(trusting).put(TLS + "authority", "rewriter").build();
    assertEquals("pad thai", ask(client(named)));
  }

  @Test
  void aServerThatCannotBeTrustedIsNot() throws Exception {
    TestServer server = server(serverIdentity, null);
    assertEquals("unavailable", ask(client(settings(server).build())));
    Settings other = settings(server).put(TLS + "trusted_certificates", "node.pem").build();
    assertEquals("unavailable", ask(client(other)));
    Settings misnamed =
        settings(server)
            .put(TLS + "trusted_certificates", "rewriter.pem")
            .put(TLS + "authority", "another")
            .build();
    assertEquals("unavailable", ask(client(misnamed)));
    assertEquals(0, server.calls());
  }

  @Test
  void oneSideWithoutTls() throws Exception {
    TestServer secured = server(serverIdentity, null);
    Settings plain = settings(secured).put(TLS + "enabled", false).build();
    assertEquals("unavailable", ask(client(plain)));
    TestServer open = new TestServer(TestServer.rewrites("pad thai"));
    this.open.add(open);
    Settings secure = settings(open).put(TLS + "trusted_certificates", "rewriter.pem").build();
    assertEquals("unavailable", ask(client(secure)));
  }

  @Test
  void theNodesOwnCertificateIsShown() throws Exception {
    TestServer server = server(serverIdentity, nodeIdentity);
    Settings nameless = settings(server).put(TLS + "trusted_certificates", "rewriter.pem").build();
    assertEquals("unavailable", ask(client(nameless)));
    Settings named =
        Settings.builder()
            .put(nameless)
            .put(TLS + "certificate", "node.pem")
            .put(TLS + "key", "node.key")
            .build();
    assertEquals("pad thai", ask(client(named)));
  }

  @Test
  void theKeysPassphraseIsInTheKeystore() throws Exception {
    TestServer server = server(serverIdentity, nodeIdentity);
    Path encrypted = nodeIdentity.encryptedKey("open sesame");
    Settings.Builder settings =
        settings(server)
            .put(TLS + "trusted_certificates", "rewriter.pem")
            .put(TLS + "certificate", "node.pem")
            .put(TLS + "key", encrypted.getFileName().toString());
    RewriteClient client = client(settings.build());
    assertEquals("unavailable", ask(client), "no passphrase: no server is asked");
    assertThrows(SettingsException.class, () -> client.reload(settings.build()));
    KeyStoreWrapper keystore = KeyStoreWrapper.create();
    keystore.setString(TLS + "key_passphrase", "open sesame".toCharArray());
    client.reload(settings.setSecureSettings(keystore).build());
    assertEquals("pad thai", ask(client));
  }

  @Test
  void renewedCertificatesAreReloaded() throws Exception {
    Path trusted = config.resolve("trusted.pem");
    Files.copy(serverIdentity.certificate(), trusted);
    TestServer server = server(serverIdentity, null);
    Settings settings = settings(server).put(TLS + "trusted_certificates", "trusted.pem").build();
    RewriteClient client = client(settings);
    assertEquals("pad thai", ask(client));
    Files.writeString(trusted, "nonsense");
    SettingsException refusal =
        assertThrows(SettingsException.class, () -> client.reload(settings));
    assertTrue(refusal.getMessage().contains(TLS + "trusted_certificates"));
    assertEquals("pad thai", ask(client), "as it was before");
    Files.writeString(trusted, Files.readString(nodeIdentity.certificate()));
    client.reload(settings);
    assertEquals("unavailable", ask(client));
    Files.writeString(trusted, Files.readString(serverIdentity.certificate()));
    client.reload(settings);
    assertEquals("pad thai", ask(client));
  }

  @ParameterizedTest
  @CsvSource({
    "trusted_certificates, missing.pem, trusted_certificates",
    "trusted_certificates, ../rewriter.pem, trusted_certificates",
    "trusted_certificates, /etc/hostname, trusted_certificates",
    "trusted_certificates, node.key, trusted_certificates",
    "certificate, node.pem, key",
    "key, node.key, certificate",
  })
  void whatCannotBeUsedIsNamed(String name, String value, String named) {
    Settings settings =
        Settings.builder().put(TLS + "enabled", true).put(TLS + name, value).build();
    SettingsException refusal =
        assertThrows(SettingsException.class, () -> TlsSettings.read(settings, config));
    assertTrue(refusal.getMessage().contains("[" + TLS + named + "]"), refusal.getMessage());
  }
}
