package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.iterqr.opensearch.client.CircuitBreaker.Permit;
import org.iterqr.opensearch.client.CircuitBreaker.State;
import org.junit.jupiter.api.Test;

class CircuitBreakerTests {
  private static final long MS = TimeUnit.MILLISECONDS.toNanos(1);

  /** Half of at least 4 calls in 10 s; open for 1, 2, 4 and then 5 s; 2 probes. */
  private static final BreakerSettings SETTINGS =
      new BreakerSettings(0.5, 4, 10_000 * MS, 1_000 * MS, 5_000 * MS, 2, 100);

  // Near the overflow that System.nanoTime may have.
  private long now = Long.MAX_VALUE - 3_000 * MS;
  private final List<State> changes = new ArrayList<>();
  private final CircuitBreaker breaker =
      new CircuitBreaker(() -> SETTINGS, () -> now, (from, to) -> changes.add(to));

  private void calls(CallVerdict... verdicts) {
    for (CallVerdict verdict : verdicts) {
      breaker.ended(breaker.tryAcquire(), verdict);
    }
  }

  private void open() {
    calls(CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE);
    assertEquals(State.OPEN, breaker.state());
  }

  private void openAgain() {
    calls(CallVerdict.FAILURE);
    assertEquals(State.OPEN, breaker.state());
  }

  private void assertOpenFor(long ms) {
    now += ms * MS - 1;
    assertFalse(breaker.allows());
    assertNull(breaker.tryAcquire());
    now += 1;
    assertTrue(breaker.allows());
  }

  @Test
  void fewFailuresDoNotOpenIt() {
    calls(CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE);
    assertTrue(breaker.allows());
    for (int i = 0; i < 5; i++) {
      calls(CallVerdict.SUCCESS);
    }
    calls(CallVerdict.FAILURE);
    assertEquals(State.CLOSED, breaker.state());
  }

  @Test
  void theShareOfFailuresOpensIt() {
    calls(CallVerdict.SUCCESS, CallVerdict.SUCCESS, CallVerdict.FAILURE);
    assertEquals(State.CLOSED, breaker.state());
    calls(CallVerdict.FAILURE);
    assertEquals(State.OPEN, breaker.state());
    assertEquals(1, breaker.timesOpened());
  }

  @Test
  void neutralCallsCountForNothing() {
    for (int i = 0; i < 100; i++) {
      calls(CallVerdict.NEUTRAL, CallVerdict.ALIVE);
    }
    open();
  }

  @Test
  void aBusyServerThatAnswersItsProbesIsAskedAgain() {
    open();
    now += 1_000 * MS;
    calls(CallVerdict.ALIVE);
    assertEquals(State.HALF_OPEN, breaker.state());
    calls(CallVerdict.ALIVE);
    assertEquals(State.CLOSED, breaker.state());
  }

  @Test
  void probesOfWhichNothingIsKnownDoNotCloseIt() {
    open();
    now += 1_000 * MS;
    for (int i = 0; i < 100; i++) {
      calls(CallVerdict.NEUTRAL);
    }
    assertEquals(State.HALF_OPEN, breaker.state());
  }

  @Test
  void failuresAreForgotten() {
    calls(CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE);
    now += 11_000 * MS;
    calls(CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE);
    assertEquals(State.CLOSED, breaker.state());
    now += 8_000 * MS;
    calls(CallVerdict.FAILURE);
    assertEquals(State.OPEN, breaker.state());
  }

  @Test
  void probesThatSucceedCloseIt() {
    open();
    assertOpenFor(1_000);
    calls(CallVerdict.SUCCESS);
    assertEquals(State.HALF_OPEN, breaker.state());
    calls(CallVerdict.SUCCESS);
    assertEquals(State.CLOSED, breaker.state());
    assertEquals(List.of(State.OPEN, State.HALF_OPEN, State.CLOSED), changes);
    calls(CallVerdict.FAILURE, CallVerdict.FAILURE, CallVerdict.FAILURE);
    assertEquals(State.CLOSED, breaker.state(), "what was before is forgotten");
  }

  @Test
  void atMostSoManyProbesPass() {
    open();
    now += 1_000 * MS;
    Permit first = breaker.tryAcquire();
    Permit second = breaker.tryAcquire();
    assertNotNull(first);
    assertNotNull(second);
    assertNull(breaker.tryAcquire());
    breaker.ended(first, CallVerdict.NEUTRAL);
    assertNotNull(breaker.tryAcquire(), "the first said nothing, so another may try");
    breaker.ended(second, CallVerdict.SUCCESS);
    assertNull(breaker.tryAcquire(), "one has succeeded and one is under way");
  }

  @Test
  void fewerProbesThanHaveSucceededCloseItWithTheNext() {
    int[] probes = {3};
    CircuitBreaker changing =
        new CircuitBreaker(
            () -> new BreakerSettings(0.5, 1, 10_000 * MS, 1_000 * MS, 5_000 * MS, probes[0], 100),
            () -> now,
            (from, to) -> {});
    changing.ended(changing.tryAcquire(), CallVerdict.FAILURE);
    now += 1_000 * MS;
    changing.ended(changing.tryAcquire(), CallVerdict.SUCCESS);
    changing.ended(changing.tryAcquire(), CallVerdict.SUCCESS);
    probes[0] = 1;
    Permit next = changing.tryAcquire();
    assertNotNull(next, "otherwise nothing would ever close it");
    assertNull(changing.tryAcquire());
    changing.ended(next, CallVerdict.SUCCESS);
    assertEquals(State.CLOSED, changing.state());
  }

  @Test
  void itStaysOpenLongerWhileProbesFail() {
    open();
    for (long ms : new long[] {1_000, 2_000, 4_000, 5_000, 5_000}) {
      assertOpenFor(ms);
      openAgain();
    }
    assertEquals(6, breaker.timesOpened());
    now += 5_000 * MS;
    calls(CallVerdict.SUCCESS, CallVerdict.SUCCESS);
    open();
    assertOpenFor(1_000);
  }

  @Test
  void callsOfAnEarlierStateHaveNoSay() {
    Permit slow = breaker.tryAcquire();
    Permit slower = breaker.tryAcquire();
    open();
    now += 1_000 * MS;
    calls(CallVerdict.SUCCESS);
    breaker.ended(slow, CallVerdict.FAILURE);
    assertEquals(State.HALF_OPEN, breaker.state());
    breaker.ended(slower, CallVerdict.SUCCESS);
    assertEquals(State.HALF_OPEN, breaker.state());
  }

  @Test
  void aServerThatSaysItIsWellIsProbedAtOnce() {
    breaker.probeSoon();
    open();
    assertFalse(breaker.allows());
    breaker.probeSoon();
    calls(CallVerdict.SUCCESS, CallVerdict.SUCCESS);
    assertEquals(State.CLOSED, breaker.state());
  }
}
