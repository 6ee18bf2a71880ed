package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
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
        "h:1:2",
        "my_host:1",
        "a..b:1",
        "-a:1",
        "10.0.0:1",
        "300.1.1.1:1",
        "[::::]:1"
      })
  void refusesTheRest(String value) {
    assertThrows(IllegalArgumentException.class, () -> Endpoint.parse(value));
  }

  /** A setting that gRPC throws at would keep nodes from applying the cluster state. */
  @ParameterizedTest
  @ValueSource(strings = {"rewrite-1.example:50051", "host.:1", "1a:1", "127.0.0.1:1", "[::1]:1"})
  void grpcTakesWhatIsAccepted(String value) {
    Endpoint endpoint = Endpoint.parse(value);
    assertNotNull(NettyChannelBuilder.forAddress(endpoint.host(), endpoint.port()));
  }
}
