package org.iterqr.opensearch.client;

import java.util.HashSet;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.opensearch.common.settings.Setting;
import org.opensearch.common.settings.Setting.Property;
import org.opensearch.common.settings.Settings;
import org.opensearch.common.unit.TimeValue;
import org.opensearch.core.common.unit.ByteSizeUnit;
import org.opensearch.core.common.unit.ByteSizeValue;

/**
 * The client's settings, in opensearch.yml and through the cluster settings API. All of them can be
 * changed while the node runs.
 */
public final class ClientSettings {
  private static final int MAX_ENDPOINTS = 64;
  private static final String ENDPOINTS_KEY = "plugins.iterqr.server.endpoints";
  private static final String BREAKER = "plugins.iterqr.client.breaker.";
  private static final String CACHE = "plugins.iterqr.client.cache.";
  private static final TimeValue AN_HOUR = TimeValue.timeValueHours(1);

  /** Where the rewrite servers listen, each {@code host:port}. */
  public static final Setting<List<Endpoint>> ENDPOINTS =
      Setting.listSetting(
          ENDPOINTS_KEY,
          List.of("127.0.0.1:50051"),
          ClientSettings::endpoint,
          ClientSettings::checkEndpoints,
          Property.NodeScope,
          Property.Dynamic);

  /** Calls of this node that may wait for a server. */
  public static final Setting<Integer> MAX_IN_FLIGHT =
      Setting.intSetting(
          "plugins.iterqr.client.max_in_flight",
          256,
          1,
          100_000,
          Property.NodeScope,
          Property.Dynamic);

  private static final Setting<Double> FAILURE_SHARE =
      Setting.doubleSetting(
          BREAKER + "failure_share", 0.5, 0.01, 1.0, Property.NodeScope, Property.Dynamic);

  private static final Setting<Integer> MINIMUM_CALLS =
      Setting.intSetting(
          BREAKER + "minimum_calls", 10, 1, 10_000, Property.NodeScope, Property.Dynamic);

  private static final Setting<TimeValue> WINDOW = time(BREAKER + "window", 10_000, 100);

  private static final Setting<TimeValue> OPEN_TIME = time(BREAKER + "open_time", 1_000, 10);

  private static final Setting<TimeValue> MAX_OPEN_TIME =
      time(BREAKER + "max_open_time", 10_000, 10);

  private static final Setting<Integer> PROBES =
      Setting.intSetting(BREAKER + "probes", 3, 1, 1_000, Property.NodeScope, Property.Dynamic);

  private static final Setting<TimeValue> MINIMUM_TIMEOUT =
      time(BREAKER + "minimum_timeout", 100, 0);

  private static final Setting<Boolean> CACHE_ENABLED =
      Setting.boolSetting(CACHE + "enabled", true, Property.NodeScope, Property.Dynamic);

  private static final Setting<ByteSizeValue> CACHE_SIZE =
      Setting.byteSizeSetting(
          CACHE + "size",
          new ByteSizeValue(16, ByteSizeUnit.MB),
          new ByteSizeValue(64, ByteSizeUnit.KB),
          new ByteSizeValue(1, ByteSizeUnit.GB),
          Property.NodeScope,
          Property.Dynamic);

  private static final Setting<TimeValue> CACHE_TTL = time(CACHE + "ttl", 60_000, 0);

  private static final Setting<TimeValue> CACHE_NEGATIVE_TTL =
      time(CACHE + "negative_ttl", 10_000, 0);

  /** All of them, to be registered with the node. */
  public static final List<Setting<?>> ALL =
      List.of(
          ENDPOINTS,
          MAX_IN_FLIGHT,
          FAILURE_SHARE,
          MINIMUM_CALLS,
          WINDOW,
          OPEN_TIME,
          MAX_OPEN_TIME,
          PROBES,
          MINIMUM_TIMEOUT,
          CACHE_ENABLED,
          CACHE_SIZE,
          CACHE_TTL,
          CACHE_NEGATIVE_TTL);

  private ClientSettings() {}

  static ClientConfig read(Settings settings) {
    return new ClientConfig(
        ENDPOINTS.get(settings),
        MAX_IN_FLIGHT.get(settings),
        new BreakerSettings(
            FAILURE_SHARE.get(settings),
            MINIMUM_CALLS.get(settings),
            WINDOW.get(settings).nanos(),
            OPEN_TIME.get(settings).nanos(),
            MAX_OPEN_TIME.get(settings).nanos(),
            PROBES.get(settings),
            MINIMUM_TIMEOUT.get(settings).millis()),
        new CacheSettings(
            CACHE_ENABLED.get(settings),
            CACHE_SIZE.get(settings).getBytes(),
            CACHE_TTL.get(settings).nanos(),
            CACHE_NEGATIVE_TTL.get(settings).nanos()));
  }

  private static Setting<TimeValue> time(String key, long byDefaultMs, long minMs) {
    return Setting.timeSetting(
        key,
        new TimeValue(byDefaultMs, TimeUnit.MILLISECONDS),
        new TimeValue(minMs, TimeUnit.MILLISECONDS),
        AN_HOUR,
        Property.NodeScope,
        Property.Dynamic);
  }

  private static Endpoint endpoint(String value) {
    try {
      return Endpoint.parse(value);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("[" + ENDPOINTS_KEY + "] " + e.getMessage(), e);
    }
  }

  private static void checkEndpoints(List<Endpoint> endpoints) {
    if (endpoints.isEmpty() || endpoints.size() > MAX_ENDPOINTS) {
      throw new IllegalArgumentException(
          "["
              + ENDPOINTS_KEY
              + "] must be 1 to "
              + MAX_ENDPOINTS
              + " endpoints, but were "
              + endpoints.size());
    }
    if (new HashSet<>(endpoints).size() < endpoints.size()) {
      throw new IllegalArgumentException("[" + ENDPOINTS_KEY + "] must not repeat an endpoint");
    }
  }
}
