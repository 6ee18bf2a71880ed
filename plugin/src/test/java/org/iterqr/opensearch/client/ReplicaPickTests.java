package org.iterqr.opensearch.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.iterqr.opensearch.client.ReplicaPick.Candidate;
import org.iterqr.opensearch.client.ReplicaPick.Standing;
import org.iterqr.opensearch.outcome.Outcome;
import org.junit.jupiter.api.Test;

class ReplicaPickTests {
  private static List<Candidate> idle(Standing... standings) {
    return Arrays.stream(standings).map(standing -> new Candidate(standing, 0)).toList();
  }

  private static List<Integer> inTurn(List<Candidate> candidates) {
    return IntStream.range(-2, 4).mapToObj(turn -> ReplicaPick.choose(candidates, turn)).toList();
  }

  @Test
  void equalsTakeTurns() {
    assertEquals(
        List.of(1, 2, 0, 1, 2, 0), inTurn(idle(Standing.READY, Standing.READY, Standing.READY)));
  }

  @Test
  void fewerCallsInFlightGoFirst() {
    List<Candidate> candidates =
        List.of(
            new Candidate(Standing.READY, 3),
            new Candidate(Standing.READY, 1),
            new Candidate(Standing.READY, 2));
    assertEquals(List.of(1, 1, 1, 1, 1, 1), inTurn(candidates));
  }

  @Test
  void aConnectionGoesBeforeFewerCalls() {
    List<Candidate> candidates =
        List.of(
            new Candidate(Standing.UNREACHABLE, 0),
            new Candidate(Standing.CONNECTING, 0),
            new Candidate(Standing.READY, 50));
    assertEquals(List.of(2, 2, 2, 2, 2, 2), inTurn(candidates));
    assertEquals(1, ReplicaPick.choose(candidates.subList(0, 2), 0));
    assertEquals(0, ReplicaPick.choose(candidates.subList(0, 1), 7));
  }

  @Test
  void theOthersAreNotAsked() {
    List<Candidate> candidates =
        idle(
            Standing.BREAKER_OPEN,
            Standing.NOT_SERVING,
            Standing.CONNECTING,
            Standing.PAUSED,
            Standing.EXCLUDED);
    assertEquals(List.of(2, 2, 2, 2, 2, 2), inTurn(candidates));
    assertEquals(-1, ReplicaPick.choose(idle(Standing.PAUSED, Standing.EXCLUDED), 0));
    assertEquals(-1, ReplicaPick.choose(List.of(), 0));
  }

  @Test
  void theRefusalNamesTheReason() {
    assertEquals(
        Outcome.BREAKER_OPEN,
        ReplicaPick.refusal(idle(Standing.PAUSED, Standing.BREAKER_OPEN, Standing.NOT_SERVING)));
    assertEquals(
        Outcome.REJECTED, ReplicaPick.refusal(idle(Standing.NOT_SERVING, Standing.PAUSED)));
    assertEquals(Outcome.UNAVAILABLE, ReplicaPick.refusal(idle(Standing.NOT_SERVING)));
    assertEquals(Outcome.UNAVAILABLE, ReplicaPick.refusal(List.of()));
  }
}
