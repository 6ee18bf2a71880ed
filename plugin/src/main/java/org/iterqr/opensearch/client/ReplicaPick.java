package org.iterqr.opensearch.client;

import java.util.List;
import org.iterqr.opensearch.outcome.Outcome;

/** Chooses the replica of a call. */
final class ReplicaPick {
  /** Whether a replica can be asked; the earlier the better. */
  enum Standing {
    /** Connected. */
    READY,
    /** Not connected yet: a call waits for the connection. */
    CONNECTING,
    /** The last attempt to connect failed: a call fails at once. */
    UNREACHABLE,
    /** It asked for a pause. */
    PAUSED,
    /** It says itself that it does not serve. */
    NOT_SERVING,
    /** Its circuit breaker lets no call pass. */
    BREAKER_OPEN,
    /** Not to be asked by this call. */
    EXCLUDED;

    boolean isPickable() {
      return compareTo(UNREACHABLE) <= 0;
    }
  }

  /**
   * A replica as the choice sees it.
   *
   * @param standing whether it can be asked
   * @param inFlight calls it has not answered yet
   */
  record Candidate(Standing standing, int inFlight) {}

  private ReplicaPick() {}

  /**
   * @param candidates all replicas
   * @param turn counts calls, so that equals take turns
   * @return the place of the best standing with the fewest calls in flight, which a frozen replica
   *     soon has not; -1 if none can be asked
   */
  static int choose(List<Candidate> candidates, int turn) {
    int best = -1;
    for (int i = 0; i < candidates.size(); i++) {
      int place = Math.floorMod(turn + i, candidates.size());
      Candidate candidate = candidates.get(place);
      if (candidate.standing().isPickable()
          && (best < 0 || isBetter(candidate, candidates.get(best)))) {
        best = place;
      }
    }
    return best;
  }

  /**
   * @param candidates none of which can be asked
   * @return the outcome of a search because of that
   */
  static Outcome refusal(List<Candidate> candidates) {
    if (candidates.stream().anyMatch(each -> each.standing() == Standing.BREAKER_OPEN)) {
      return Outcome.BREAKER_OPEN;
    }
    if (candidates.stream().anyMatch(each -> each.standing() == Standing.PAUSED)) {
      return Outcome.REJECTED;
    }
    return Outcome.UNAVAILABLE;
  }

  private static boolean isBetter(Candidate one, Candidate other) {
    int byStanding = one.standing().compareTo(other.standing());
    return byStanding != 0 ? byStanding < 0 : one.inFlight() < other.inFlight();
  }
}
