package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TemplatedTextTests {
  private static final RewriteTemplate TEMPLATE =
      new RewriteTemplate(Dsl.query("{'match':{'title':'{{rewrite}}'}}"));
  private static final String NO_TEXT = "{'term':{'title':'old'}}";

  private static Optional<String> found(String json, String given, String typed) {
    return Rewriting.find(Dsl.query(json), given, typed, Optional.of(TEMPLATE))
        .map(Rewriting::text);
  }

  private static Optional<Map<String, Object>> around(String json) {
    return new TemplatedText("old", TEMPLATE).replaceWith(Dsl.query(json), "new");
  }

  @Test
  void theTextMayBeAnywhereTheSearchSaysIt() {
    assertEquals(Optional.of("given"), found(NO_TEXT, " given\n", "typed"));
    assertEquals(Optional.of("typed"), found(NO_TEXT, null, "typed"));
    assertEquals(Optional.of("old"), found("{'match':{'title':'old'}}", null, "typed"));
    assertEquals(Optional.empty(), found(NO_TEXT, null, ""));
    assertEquals(Optional.empty(), found(NO_TEXT, " ", "typed"));
  }

  @Test
  void aHybridQueryCannotBeAWindow() {
    assertEquals(
        Optional.empty(), found("{'hybrid':{'queries':[{'match':{'a':'b'}}]}}", "given", ""));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'bool':{'must':[{'term':{'a':'b'}}],'filter':[F],'must_not':[N]}}",
        "{'bool':{'filter':F,'must_not':N}}",
        "{'bool':{'must':[{'bool':{'filter':[F]}}],'must_not':[N]}}",
        "{'function_score':{'query':{'bool':{'filter':[F],'must_not':[N]}}}}",
        "{'script_score':{'query':{'bool':{'filter':[F],'must_not':[N]}},'script':{'source':'1'}}}",
        "{'boosting':{'positive':{'constant_score':{'filter':{'bool':{'filter':[F],"
            + "'must_not':[N]}}}},'negative':{'bool':{'filter':{'term':{'x':1}}}}}}",
      })
  void theUsersRestrictionsHold(String json) {
    String filter = "{'term':{'region':'south'}}";
    String not = "{'term':{'closed':true}}";
    assertEquals(
        Optional.of(
            Dsl.query(
                "{'bool':{'must':[{'match':{'title':'new'}}],'filter':["
                    + filter
                    + "],'must_not':["
                    + not
                    + "]}}")),
        around(json.replace("F", filter).replace("N", not)));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'match_all':{}}",
        "{'bool':{'should':[{'bool':{'filter':[{'term':{'a':1}}]}},{'term':{'b':2}}]}}",
        "{'nested':{'path':'v','query':{'bool':{'filter':[{'term':{'v.a':1}}]}}}}",
      })
  void whatHitsMayComeAroundIsNoRestriction(String json) {
    assertEquals(
        Optional.of(
            Dsl.query("{'bool':{'must':[{'match':{'title':'new'}}],'filter':[],'must_not':[]}}")),
        around(json));
  }

  @Test
  void whatIsPackedIsNotSearchedFor() {
    String wrapped = "{'bool':{'must':[{'wrapper':{'query':'e30='}}]}}";
    assertEquals(Optional.empty(), around(wrapped));
    assertEquals(
        Optional.empty(), new TemplatedText("old", TEMPLATE).requireAll(Dsl.query(wrapped), "new"));
  }
}
