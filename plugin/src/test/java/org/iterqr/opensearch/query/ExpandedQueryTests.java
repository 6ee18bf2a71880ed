package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class ExpandedQueryTests {
  private static final Map<String, Object> ORIGINAL = Dsl.query("{'match':{'title':'hot soop'}}");
  private static final List<ExpandedQuery.Part> PARTS =
      List.of(
          new ExpandedQuery.Part("a", "hot soup", 1),
          new ExpandedQuery.Part("b", "very hot and spicy soup", 1),
          new ExpandedQuery.Part("c", "broth", 0.5));

  private static ExpandedQuery expanded(int maxClauses) {
    return ExpandedQuery.of(
        ORIGINAL,
        PARTS,
        maxClauses,
        part -> Optional.of(Map.of("match", Map.of("title", part.text()))));
  }

  private static List<String> ids(ExpandedQuery query) {
    return query.parts().stream().map(ExpandedQuery.Part::rewriteId).toList();
  }

  @Test
  void rewritesStandBesideTheOriginalUnderTheirNames() {
    assertEquals(
        Dsl.query(
            "{'bool':{'minimum_should_match':'1','should':["
                + "{'bool':{'must':[{'match':{'title':'hot soop'}}],'boost':1.0,"
                + "'_name':'iterqr:original'}},"
                + "{'bool':{'must':[{'match':{'title':'hot soup'}}],'boost':1.0,"
                + "'_name':'iterqr:rewrite:a'}}]}}"),
        expanded(8).query());
  }

  @Test
  void allRewritesThatFitHalfTheLimitAreIn() {
    // 2 clauses of the original, 2 + 5 + 1 of the rewrites.
    assertEquals(List.of("a", "b", "c"), ids(expanded(20)));
    assertFalse(expanded(20).isCut());
    assertEquals(List.of("a", "c"), ids(expanded(16)));
    assertTrue(expanded(16).isCut());
    assertEquals(List.of("a"), ids(expanded(8)));
    assertEquals(List.of("c"), ids(expanded(6)));
    assertEquals(List.of(), ids(expanded(4)));
  }

  @Test
  void aRewriteThatLeavesNothingToSearchForIsNotCut() {
    ExpandedQuery none = ExpandedQuery.of(ORIGINAL, PARTS, 1024, part -> Optional.empty());
    assertEquals(List.of(), none.parts());
    assertFalse(none.isCut());
  }

  @Test
  void thereIsRoomForOneClauseAtLeast() {
    assertTrue(ExpandedQuery.hasRoom(ORIGINAL, 6));
    assertFalse(ExpandedQuery.hasRoom(ORIGINAL, 5));
    assertFalse(ExpandedQuery.hasRoom(Dsl.query("{'query_string':{'query':'soup'}}"), 65_536));
    assertFalse(
        ExpandedQuery.hasRoom(Dsl.query("{'query_string':{'query':'soup'}}"), Integer.MAX_VALUE));
  }
}
