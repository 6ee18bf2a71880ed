package org.iterqr.opensearch.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.iterqr.opensearch.outcome.Outcome;
import org.junit.jupiter.api.Test;

class OutcomeWordsTests {
  @Test
  void everyOutcomeIsASentenceOfItsOwn() {
    assertEquals(
        Outcome.values().length,
        Arrays.stream(Outcome.values()).map(OutcomeWords::of).collect(Collectors.toSet()).size());
    for (Outcome outcome : Outcome.values()) {
      assertTrue(OutcomeWords.of(outcome).endsWith("."), outcome.wireName());
    }
  }
}
