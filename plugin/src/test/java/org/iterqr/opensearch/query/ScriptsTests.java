package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ScriptsTests {
  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'query':{'function_score':{'functions':[{'field_value_factor':{'field':'p'}}]}}}",
        "{'query':{'script_score':{'query':{},'script':{'source':'-1'}}}}",
        "{'query':{'function_score':{'functions':[{'script_score':{'script':{}}}]}}}",
        "{'query':{'bool':{'filter':[{'script':{'script':{'source':'true'}}}]}}}",
        "{'query':{'terms_set':{'tags':{'minimum_should_match_script':{}}}}}",
        "{'query':{'bool':{'filter':[{'wrapper':{'query':'e30='}}]}}}",
        "{'sort':[{'_script':{'type':'number'}}]}",
        "{'script_fields':{'x':{'script':{}}}}",
        "{'aggregations':{'a':{'terms':{'script':{'source':'1'}}}}}",
        "{'aggregations':{'a':{'aggregations':{'b':{'scripted_metric':{'map_script':{}}}}}}}",
      })
  void scriptsAreFoundWhereverTheyStand(String source) {
    assertTrue(Scripts.in(Dsl.query(source)));
  }

  @Test
  void aSearchWithoutOneHasNone() {
    assertFalse(
        Scripts.in(
            Dsl.query(
                "{'query':{'bool':{'must':[{'match':{'description':'script'}}],"
                    + "'filter':[{'terms':{'tags':['script_score']}}]}},'sort':['_score']}")));
  }
}
