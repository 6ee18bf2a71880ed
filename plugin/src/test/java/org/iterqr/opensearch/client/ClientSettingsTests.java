package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.common.settings.Settings;

class ClientSettingsTests {
  private static final String ENDPOINTS = "plugins.iterqr.server.endpoints";

  @Test
  void readsEndpoints() {
    Endpoint local = new Endpoint("127.0.0.1", 50051);
    assertEquals(List.of(local), ClientSettings.read(Settings.EMPTY).endpoints());
    Settings two = Settings.builder().put(ENDPOINTS, "127.0.0.1:50051,[::1]:2").build();
    assertEquals(List.of(local, new Endpoint("::1", 2)), ClientSettings.read(two).endpoints());
    Settings listed = Settings.builder().putList(ENDPOINTS, "a:1", "b:1").build();
    assertEquals(2, ClientSettings.read(listed).endpoints().size());
  }

  @ParameterizedTest
  @ValueSource(strings = {"nowhere", "a:1,b", "a:1,a:1"})
  void refusesOtherEndpointsByName(String value) {
    Settings settings = Settings.builder().put(ENDPOINTS, value).build();
    Exception refusal =
        assertThrows(IllegalArgumentException.class, () -> ClientSettings.read(settings));
    assertTrue(refusal.getMessage().contains(ENDPOINTS), refusal.getMessage());
  }

  @Test
  void refusesNoEndpoint() {
    Settings settings = Settings.builder().putList(ENDPOINTS).build();
    assertThrows(IllegalArgumentException.class, () -> ClientSettings.read(settings));
  }

  @ParameterizedTest
  @CsvSource({
    "plugins.iterqr.client.max_in_flight, 0",
    "plugins.iterqr.client.breaker.failure_share, 0",
    "plugins.iterqr.client.breaker.failure_share, 1.01",
    "plugins.iterqr.client.breaker.minimum_calls, 0",
    "plugins.iterqr.client.breaker.window, 1ms",
    "plugins.iterqr.client.breaker.open_time, 2h",
    "plugins.iterqr.client.breaker.max_open_time, -1",
    "plugins.iterqr.client.breaker.probes, 0",
    "plugins.iterqr.client.breaker.minimum_timeout, soon",
    "plugins.iterqr.client.cache.size, 1kb",
    "plugins.iterqr.client.cache.ttl, 2h",
    "plugins.iterqr.client.cache.negative_ttl, -5s",
  })
  void refusesWhatIsPastItsLimitByName(String name, String value) {
    Settings settings = Settings.builder().put(name, value).build();
    Exception refusal =
        assertThrows(IllegalArgumentException.class, () -> ClientSettings.read(settings));
    assertTrue(refusal.getMessage().contains(name), refusal.getMessage());
  }
}
