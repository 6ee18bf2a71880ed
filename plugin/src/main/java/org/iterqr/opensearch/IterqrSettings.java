package org.iterqr.opensearch;

import org.iterqr.opensearch.client.Endpoint;
import org.opensearch.common.settings.Setting;

/** The plugin's settings, in opensearch.yml and through the cluster settings API. */
public final class IterqrSettings {
  /** Where the rewrite server listens, {@code host:port}. Can be changed while the node runs. */
  public static final Setting<Endpoint> SERVER_ENDPOINT =
      new Setting<>(
          "plugins.iterqr.server.endpoint",
          "127.0.0.1:50051",
          IterqrSettings::parseEndpoint,
          Setting.Property.NodeScope,
          Setting.Property.Dynamic);

  private IterqrSettings() {}

  private static Endpoint parseEndpoint(String value) {
    try {
      return Endpoint.parse(value);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("[plugins.iterqr.server.endpoint] " + e.getMessage(), e);
    }
  }
}
