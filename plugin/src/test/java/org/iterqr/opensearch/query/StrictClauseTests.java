package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class StrictClauseTests {
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'match':{'t':'old'}} | {'match':{'t':{'query':'a (b','operator':'and','lenient':true}}}",
        "{'match':{'t':{'query':'old','fuzziness':'AUTO','minimum_should_match':'50%','boost':2}}}"
            + " | {'match':{'t':{'query':'a (b','boost':2,'operator':'and','lenient':true}}}",
        "{'match_phrase':{'t':{'query':'old','slop':2}}} | {'multi_match':{'query':'a (b',"
            + "'fields':['t'],'type':'phrase','slop':2,'operator':'and','lenient':true}}",
        "{'multi_match':{'query':'old','fields':['a','b'],'type':'best_fields','fuzziness':1}} |"
            + " {'multi_match':{'query':'a (b','fields':['a','b'],'type':'best_fields',"
            + "'operator':'and','lenient':true}}",
        "{'query_string':{'query':'old'}} |"
            + " {'query_string':{'query':'a \\\\(b','default_operator':'and','lenient':true}}",
        "{'combined_fields':{'query':'old','fields':['a']}} |"
            + " {'combined_fields':{'query':'a (b','fields':['a'],'operator':'and'}}",
        "{'bool':{'must':[{'match':{'t':'old'}}],'filter':[{'match':{'t':'old'}}]}} |"
            + " {'bool':{'must':[{'match':{'t':{'query':'a (b','operator':'and','lenient':true}}}],"
            + "'filter':[{'match':{'t':'old'}}]}}",
      })
  void requiresEveryWordOfTheRewriteAsData(String query, String expected) {
    Map<String, Object> parsed = Dsl.query(query);
    UserText text = UserText.find(parsed, null).orElseThrow();
    assertEquals(Optional.of(Dsl.query(expected)), text.requireAll(parsed, "a (b"));
    assertEquals(Dsl.query(query), parsed, "the original is not changed");
  }
}
