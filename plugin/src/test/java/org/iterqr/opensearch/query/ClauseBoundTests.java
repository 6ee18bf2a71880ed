package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ClauseBoundTests {
  private static void assertBound(long expected, String json) {
    assertEquals(expected, ClauseBound.of(Dsl.query(json)), json);
  }

  @Test
  void aTextClauseCountsItsWordsInEachField() {
    assertBound(1, "{'match':{'title':'soup'}}");
    assertBound(3, "{'match':{'title':{'query':'red hot-soup','operator':'OR'}}}");
    assertBound(6, "{'multi_match':{'query':'red hot soup','fields':['title^2','body']}}");
    assertBound(2, "{'query_string':{'query':'hot soup','default_field':'title','fields':[]}}");
    assertBound(4, "{'match':{'title':'辣汤 hot soup'}}");
    assertBound(1, "{'match':{'title':'!!'}}");
  }

  @Test
  void aFuzzyWordIsManyTerms() {
    assertBound(100, "{'match':{'title':{'query':'hot soup','fuzziness':'AUTO'}}}");
    assertBound(2, "{'query_string':{'query':'hot soup','fields':['t'],'fuzziness':'AUTO'}}");
    assertBound(100, "{'query_string':{'query':'hot~ soup','fields':['t']}}");
    assertBound(50, "{'fuzzy':{'title':{'value':'soup'}}}");
  }

  @Test
  void theClausesOfAQueryAddUp() {
    assertBound(
        7,
        "{'bool':{'must':[{'match':{'title':'hot soup'}}],'filter':[{'terms':{'a':[1,2]}},"
            + "{'range':{'p':{'gte':1}}}],'must_not':{'exists':{'field':'x'}},"
            + "'should':[{'dis_max':{'queries':[{'match':{'a':'x'}},{'match':{'b':'x'}}]}}]}}");
    assertBound(1, "{'match_all':{}}");
    assertBound(1, "{}");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'multi_match':{'query':'soup'}}",
        "{'multi_match':{'query':'soup','fields':[]}}",
        "{'query_string':{'query':'soup'}}",
        "{'query_string':{'query':'soup','default_field':'*'}}",
        "{'simple_query_string':{'query':'soup','fields':['title','body.*^2']}}",
        "{'bool':{'filter':[{'multi_match':{'query':'a b c','fields':['*']}}]}}",
      })
  void fieldsThatTheQueryDoesNotNameAreUnknown(String json) {
    assertTrue(ClauseBound.of(Dsl.query(json)) >= ClauseBound.UNKNOWN);
  }
}
