package org.iterqr.opensearch.client;

import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslProvider;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.opensearch.common.settings.SecureSetting;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.settings.SettingsException;
import org.opensearch.core.common.settings.SecureString;

/**
 * Whether and how connections to the servers are secured. In opensearch.yml and the keystore only:
 * whoever may change cluster settings need not be trusted with the node's files. The files are read
 * at the node's start and by {@code POST _nodes/reload_secure_settings}.
 */
public final class TlsSettings {
  private static final String TLS = "plugins.iterqr.server.tls.";

  private static final Setting<Boolean> ENABLED =
      Setting.boolSetting(TLS + "enabled", false, Property.NodeScope);

  private static final Setting<String> TRUSTED_CERTIFICATES =
      Setting.simpleString(TLS + "trusted_certificates", Property.NodeScope);

  private static final Setting<String> CERTIFICATE =
      Setting.simpleString(TLS + "certificate", Property.NodeScope);

  private static final Setting<String> KEY = Setting.simpleString(TLS + "key", Property.NodeScope);

  private static final Setting<SecureString> KEY_PASSPHRASE =
      SecureSetting.secureString(TLS + "key_passphrase", null);

  private static final Setting<String> AUTHORITY =
      Setting.simpleString(TLS + "authority", Property.NodeScope);

  /** All of them, to be registered with the node. */
  public static final List<Setting<?>> ALL =
      List.of(ENABLED, TRUSTED_CERTIFICATES, CERTIFICATE, KEY, KEY_PASSPHRASE, AUTHORITY);

  private TlsSettings() {}

  /**
   * Reads the files.
   *
   * @param settings of the node, with the keystore open
   * @param configFolder that the files' names are relative to
   * @return how to connect
   * @throws SettingsException naming the setting that cannot be used
   */
  static ConnectionSecurity read(Settings settings, Path configFolder) {
    if (!ENABLED.get(settings)) {
      return new ConnectionSecurity.Plaintext();
    }
    // The JDK's own TLS: the native one needs permissions that a plugin should not have.
    SslContextBuilder builder =
        GrpcSslContexts.configure(SslContextBuilder.forClient(), SslProvider.JDK);
    if (!TRUSTED_CERTIFICATES.get(settings).isEmpty()) {
      byte[] trusted = file(TRUSTED_CERTIFICATES, settings, configFolder);
      using(TRUSTED_CERTIFICATES, () -> builder.trustManager(new ByteArrayInputStream(trusted)));
    }
    boolean hasCertificate = !CERTIFICATE.get(settings).isEmpty();
    if (hasCertificate != !KEY.get(settings).isEmpty()) {
      throw new SettingsException(
          "[" + CERTIFICATE.getKey() + "] and [" + KEY.getKey() + "]: both or none must be given");
    }
    if (hasCertificate) {
      byte[] certificate = file(CERTIFICATE, settings, configFolder);
      byte[] key = file(KEY, settings, configFolder);
      try (SecureString passphrase = KEY_PASSPHRASE.get(settings)) {
        String password = passphrase.length() == 0 ? null : passphrase.toString();
        using(
            KEY,
            () ->
                builder.keyManager(
                    new ByteArrayInputStream(certificate),
                    new ByteArrayInputStream(key),
                    password));
      }
    }
    try {
      return new ConnectionSecurity.Tls(builder.build(), AUTHORITY.get(settings));
    } catch (IOException e) {
      throw new SettingsException("[" + ENABLED.getKey() + "]: TLS cannot be used", e);
    }
  }

  private static byte[] file(Setting<String> setting, Settings settings, Path configFolder) {
    Path folder = configFolder.toAbsolutePath().normalize();
    Path path = folder.resolve(setting.get(settings)).normalize();
    if (!path.startsWith(folder)) {
      throw new SettingsException(
          "[" + setting.getKey() + "]: must be below the node's config folder, but was " + path);
    }
    try {
      return Files.readAllBytes(path);
    } catch (IOException | SecurityException e) {
      throw new SettingsException("[" + setting.getKey() + "]: cannot read " + path, e);
    }
  }

  /** Names the setting in what Netty throws at bytes that are no PEM. */
  private static void using(Setting<String> setting, Runnable step) {
    try {
      step.run();
    } catch (IllegalArgumentException e) {
      throw new SettingsException(
          "["
              + setting.getKey()
              + "]: no PEM file of certificates or of a PKCS#8 key that goes with them and the"
              + " passphrase",
          e);
    }
  }
}
