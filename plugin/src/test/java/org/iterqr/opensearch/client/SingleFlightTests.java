package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import org.junit.jupiter.api.Test;

class SingleFlightTests {
  private final SingleFlight<String, String> flights = new SingleFlight<>();

  @Test
  void equalCallsShareOne() {
    var first = flights.joinOrMake("a", 0, 10, "first");
    assertNull(flights.joinOrMake("a", 0, 10, "second"));
    assertNull(flights.joinOrMake("a", 0, 12, "third"));
    var other = flights.joinOrMake("b", 0, 10, "other");
    assertEquals(List.of("second", "third"), first.land());
    assertEquals(List.of(), other.land());
    assertNotNull(flights.joinOrMake("a", 0, 20, "later"));
  }

  @Test
  void nobodyWaitsForACallThatMayEndTooLate() {
    var patient = flights.joinOrMake("a", 0, 100, "patient");
    var hasty = flights.joinOrMake("a", 0, 50, "hasty");
    assertNotNull(hasty);
    assertNull(flights.joinOrMake("a", 0, 60, "joins the earlier one"));
    assertEquals(List.of(), patient.land());
    assertEquals(List.of("joins the earlier one"), hasty.land());
  }

  @Test
  void aCallWhoseEndWasLostIsNotJoined() {
    assertNotNull(flights.joinOrMake("a", 0, 100, "lost"));
    assertNull(flights.joinOrMake("a", 99, 200, "still joins"));
    assertNotNull(flights.joinOrMake("a", 100, 200, "makes its own"));
  }
}
