package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class EndpointTests {
  @Test
  void readsNamesAndAddresses() {
    assertEquals(new Endpoint("rewrite.example", 50051), Endpoint.parse("rewrite.example:50051"));
    assertEquals(new Endpoint("127.0.0.1", 1), Endpoint.parse("127.0.0.1:1"));
    assertEquals(new Endpoint("::1", 65535), Endpoint.parse("[::1]:65535"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"rewrite.example:50051", "[::1]:65535"})
  void isWrittenAsItIsRead(String value) {
    assertEquals(value, Endpoint.parse(value).toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "host",
        "host:",
        ":1",
        "host:0",
        "host:65536",
        "http://host:1",
        "::1:5",
        "h:1:2"
      })
  void refusesTheRest(String value) {
    assertThrows(IllegalArgumentException.class, () -> Endpoint.parse(value));
  }
}
