package org.iterqr.opensearch.eventtime;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.common.settings.Settings;

class EventTimeSettingTests {
  private static Settings.Builder development() {
    return Settings.builder()
        .put("plugins.iterqr.dev.event_time", true)
        .put("discovery.type", "single-node");
  }

  private static String refusal(Settings settings) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> EventTimeSetting.read(settings))
            .getMessage();
    assertTrue(message.contains("[plugins.iterqr.dev.event_time]"), message);
    return message;
  }

  @Test
  void offIsForEveryNode() {
    assertFalse(EventTimeSetting.read(Settings.builder().put("network.host", "_site_").build()));
  }

  @Test
  void aNodeThatMayFormAClusterRefuses() {
    Settings settings = development().put("discovery.type", "zen").build();
    assertTrue(refusal(settings).contains("[discovery.type] must be [single-node]"));
    assertTrue(refusal(development().putNull("discovery.type").build()).contains("discovery.type"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "127.0.0.1",
        "127.8.8.8",
        "::1",
        "localhost",
        "_local_",
        "_local:ipv4_",
        "_local:ipv6_"
      })
  void loopbackAddressesWillDo(String address) {
    assertTrue(EventTimeSetting.read(development().build()));
    assertTrue(EventTimeSetting.read(development().put("network.host", address).build()));
  }

  @ParameterizedTest
  @CsvSource({
    "network.host, 0.0.0.0",
    "network.host, ::",
    "network.bind_host, _site_",
    "network.publish_host, 10.0.0.7",
    "http.host, _global_",
    "http.bind_host, node.example.org",
    "http.publish_host, 192.168.0.2",
    "transport.host, _eth0_",
    "transport.bind_host, 127.0.0.1.example.org",
    "transport.publish_host, 172.16.0.1",
    "transport.profiles.inner.bind_host, 10.1.1.1",
    "grpc.host, 10.0.0.7"
  })
  void anyOtherAddressIsRefusedByName(String key, String address) {
    String message = refusal(development().put(key, address).build());
    assertTrue(message.contains("[" + key + "]") && message.contains(address), message);
  }

  @Test
  void everyAddressOfAListCounts() {
    Settings settings =
        development().putList("http.bind_host", List.of("127.0.0.1", "10.0.0.7")).build();
    assertTrue(refusal(settings).contains("10.0.0.7"));
  }
}
