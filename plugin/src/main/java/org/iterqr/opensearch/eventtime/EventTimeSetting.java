package org.iterqr.opensearch.eventtime;

import java.util.List;
import java.util.Set;
import org.opensearch.common.network.InetAddresses;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.settings.Settings;
import org.opensearch.discovery.DiscoveryModule;

/**
 * Whether searches may say when they happened. Whoever may search could then write history, so only
 * a node that forms no cluster and listens to its own machine alone accepts the setting.
 */
public final class EventTimeSetting {
  /** Of the node; not for production. */
  public static final Setting<Boolean> ENABLED =
      Setting.boolSetting("plugins.iterqr.dev.event_time", false, Property.NodeScope);

  private static final String ALONE = DiscoveryModule.SINGLE_NODE_DISCOVERY_TYPE;
  private static final String DISCOVERY_KEY = DiscoveryModule.DISCOVERY_TYPE_SETTING.getKey();
  private static final Set<String> ADDRESS_NAMES = Set.of("host", "bind_host", "publish_host");
  private static final Set<String> NETWORKS =
      Set.of("network", "http", "transport", "grpc", "arrow");
  private static final Set<String> LOOPBACK_NAMES =
      Set.of("localhost", "_local_", "_local:ipv4_", "_local:ipv6_");

  private EventTimeSetting() {}

  /**
   * Called while the node is built, before anything listens. Reads what is configured, without
   * asking a name server: an address that is not set is a loopback address by default.
   *
   * @param settings of the node, those that its plugins add included
   * @return whether searches may say when they happened
   * @throws IllegalArgumentException naming the setting, and what of the node does not go with it
   */
  public static boolean read(Settings settings) {
    if (!ENABLED.get(settings)) {
      return false;
    }
    if (!ALONE.equals(DiscoveryModule.DISCOVERY_TYPE_SETTING.get(settings))) {
      throw refused("[" + DISCOVERY_KEY + "] must be [" + ALONE + "]");
    }
    for (String key : settings.keySet()) {
      if (isAddress(key)) {
        for (String address : settings.getAsList(key)) {
          if (!isLoopback(address)) {
            throw refused("[" + key + "] must be a loopback address, but was [" + address + "]");
          }
        }
      }
    }
    return true;
  }

  /** Also of transport profiles: {@code transport.profiles.default.bind_host}. */
  private static boolean isAddress(String key) {
    List<String> parts = List.of(key.split("\\."));
    return NETWORKS.contains(parts.getFirst()) && ADDRESS_NAMES.contains(parts.getLast());
  }

  private static boolean isLoopback(String address) {
    if (LOOPBACK_NAMES.contains(address)) {
      return true;
    }
    return InetAddresses.isInetAddress(address)
        && InetAddresses.forString(address).isLoopbackAddress();
  }

  private static IllegalArgumentException refused(String why) {
    return new IllegalArgumentException(
        "[" + ENABLED.getKey() + "] is for development nodes only: " + why);
  }
}
