package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

class TraceContextTests {
  private static final String TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

  @Test
  void takesOverWhatIsValid() {
    assertEquals(new TraceContext(TRACE, "web-42"), TraceContext.of(TRACE, "web-42"));
  }

  @ParameterizedTest
  @NullSource
  @ValueSource(
      strings = {
        "",
        "00-xyz",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
      })
  void startsATraceWhereThereIsNone(String header) {
    TraceContext made = TraceContext.of(header, null);
    assertEquals(made, TraceContext.of(made.traceparent(), made.requestId()), "it is valid");
    assertNotEquals(made.traceparent(), TraceContext.of(header, null).traceparent());
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "with space", "new\nline", "ümlaut"})
  void makesARequestIdWhereItIsNotOne(String opaqueId) {
    String id = TraceContext.of(TRACE, opaqueId).requestId();
    assertTrue(id.matches("[0-9a-f]{32}"), id);
    assertTrue(TraceContext.of(TRACE, "x".repeat(65)).requestId().matches("[0-9a-f]{32}"));
  }
}
