package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class UserTextTests {
  private static final String INJECTION = "\"}]} OR *:* <|im_end|>";

  private static Optional<String> found(String json) {
    return UserText.find(Dsl.query(json), null).map(UserText::text);
  }

  /** The query for a rewrite, with the user's text "old". */
  private static Map<String, Object> rewritten(String json, String rewrite) {
    Map<String, Object> query = Dsl.query(json);
    return UserText.find(query, null).orElseThrow().replaceWith(query, rewrite).orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'match':{'title':'old'}}",
        "{'match':{'title':{'query':'old','fuzziness':'AUTO'}}}",
        "{'match_phrase':{'title':{'query':'old'}}}",
        "{'match_phrase_prefix':{'title':'old'}}",
        "{'match_bool_prefix':{'title':'old'}}",
        "{'multi_match':{'query':'old','fields':['title^2','body']}}",
        "{'combined_fields':{'query':'old','fields':['title','body']}}",
        "{'query_string':{'query':'old'}}",
        "{'simple_query_string':{'query':'old'}}",
        "{'bool':{'must':[{'match':{'title':'old'}}],'filter':[{'match':{'tags':'vegan'}}]}}",
        "{'bool':{'should':[{'match':{'title':'old'}},{'match_phrase':{'title':'old'}}]}}",
        "{'dis_max':{'queries':[{'match':{'title':'old'}},{'match':{'body':'old'}}]}}",
        "{'function_score':{'query':{'match':{'title':'old'}},'functions':[]}}",
        "{'script_score':{'query':{'match':{'title':'old'}},'script':{'source':'_score'}}}",
        "{'constant_score':{'filter':{'match':{'title':'old'}}}}",
        "{'boosting':{'positive':{'match':{'title':'old'}},'negative':{'match':{'t':'cheap'}}}}",
        "{'nested':{'path':'variants','query':{'match':{'variants.title':'old'}}}}",
        "{'has_child':{'type':'v','query':{'bool':{'should':[{'match':{'title':'old'}}]}}}}",
      })
  void findsAndReplacesTheTextOfEveryShape(String json) {
    assertEquals(Optional.of("old"), found(json));
    assertEquals(Dsl.query(json.replace("old", "new")), rewritten(json, "new"));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'match_all':{}}",
        "{'term':{'tag':'old'}}",
        "{'bool':{'filter':[{'match':{'title':'old'}}]}}",
        "{'bool':{'must_not':[{'match':{'title':'old'}}]}}",
        "{'bool':{'should':[{'match':{'title':'old'}},{'match':{'brand':'other'}}]}}",
        "{'match':{'price':7}}",
        "{'match':{'title':'   '}}",
        "{'query_string':{'query':'title:old AND price:[1 TO 3]'}}",
        "{'query_string':{'query':'old OR new'}}",
        "{'hybrid':{'queries':[{'match':{'title':'old'}}]}}",
        "{'knn':{'embedding':{'vector':[1.0],'k':3}}}",
      })
  void findsNoTextWhereThereIsNoneOrMoreThanOne(String json) {
    assertEquals(Optional.empty(), found(json));
  }

  @Test
  void aSingleClauseMayStandWithoutItsList() {
    assertEquals(
        Dsl.query("{'bool':{'must':[{'match':{'title':'new'}}]}}"),
        rewritten("{'bool':{'must':{'match':{'title':'old'}}}}", "new"));
  }

  @Test
  void textsThatDifferInSpacesOnlyAreOneText() {
    String json = "{'bool':{'should':[{'match':{'a':' old  pot '}},{'match':{'b':'old pot'}}]}}";
    assertEquals(Optional.of("old pot"), found(json));
  }

  @Test
  void controlCharactersBecomeSpaces() {
    Map<String, Object> query = Map.of("match", Map.of("title", "old\u0000\npot\u001b"));
    assertEquals("old pot", UserText.find(query, null).orElseThrow().text());
  }

  @Test
  void aGivenTextIsReplacedWhereItStandsAndOthersAreKept() {
    Map<String, Object> query =
        Dsl.query("{'bool':{'should':[{'match':{'t':'old'}},{'match':{'brand':'acme'}}]}}");
    UserText text = UserText.find(query, "old").orElseThrow();
    assertEquals(
        Dsl.query("{'bool':{'should':[{'match':{'t':'new'}},{'match':{'brand':'acme'}}]}}"),
        text.replaceWith(query, "new").orElseThrow());
  }

  @Test
  void aGivenTextThatTheQueryHasCleanedReplacesTheCleanedOne() {
    Map<String, Object> query = Dsl.query("{'match':{'t':'old'}}");
    UserText text = UserText.find(query, "Old!!").orElseThrow();
    assertEquals("Old!!", text.text());
    assertEquals(Dsl.query("{'match':{'t':'new'}}"), text.replaceWith(query, "new").orElseThrow());
  }

  @Test
  void aGivenTextNeedsOneClauseToReplace() {
    assertEquals(Optional.empty(), UserText.find(Dsl.query("{'match_all':{}}"), "old"));
    assertEquals(
        Optional.empty(),
        UserText.find(
            Dsl.query("{'bool':{'should':[{'match':{'a':'x'}},{'match':{'b':'y'}}]}}"), "old"));
    assertEquals(Optional.empty(), UserText.find(Dsl.query("{'match':{'a':'x'}}"), "  "));
  }

  @Test
  void aGivenTextMayStandInAQueryStringWithOperators() {
    Map<String, Object> query = Dsl.query("{'query_string':{'query':'old AND pot'}}");
    assertEquals("old AND pot", UserText.find(query, "old AND pot").orElseThrow().replaced());
  }

  @Test
  void filtersAndOptionsAreKept() {
    String json =
        "{'bool':{'must':[{'match':{'title':{'query':'old','operator':'AND','boost':3,"
            + "'fuzziness':'AUTO'}}}],'filter':[{'match':{'title':'old'}}],"
            + "'must_not':[{'match':{'title':'old'}}],'minimum_should_match':'0'}}";
    Map<String, Object> expected = Dsl.query(json.replaceFirst("'query':'old'", "'query':'new'"));
    assertEquals(expected, rewritten(json, "new"));
  }

  @Test
  void theQueryItselfIsNotChanged() {
    String json = "{'bool':{'must':[{'match':{'title':'old'}}]}}";
    Map<String, Object> query = Dsl.query(json);
    UserText.find(query, null).orElseThrow().replaceWith(query, "new");
    assertEquals(Dsl.query(json), query);
  }

  @Test
  void aRewriteIsEscapedOnce() {
    assertEquals(
        Map.of("query_string", Map.of("query", "fish \\& chips")),
        rewritten("{'query_string':{'query':'old','escape':true}}", "fish & chips"));
  }

  @Test
  void aRewriteIsDataWhateverItContains() {
    assertEquals(
        Map.of("match", Map.of("title", INJECTION)),
        rewritten("{'match':{'title':'old'}}", INJECTION));
    assertEquals(
        Map.of("query_string", Map.of("query", "\\\"\\}\\]\\} \\OR \\*\\:\\* \\|im_end\\|")),
        rewritten("{'query_string':{'query':'old'}}", INJECTION));
    assertEquals(
        Map.of("simple_query_string", Map.of("query", "\\\"}]} OR \\*:\\* <\\|im_end\\|>")),
        rewritten("{'simple_query_string':{'query':'old'}}", INJECTION));
  }

  @Test
  void vectorsOfTheUsersTextAreTakenOut() {
    assertEquals(
        Dsl.query("{'bool':{'must':[{'match':{'title':'new'}}]}}"),
        rewritten(
            "{'bool':{'must':[{'match':{'title':'old'}}],"
                + "'should':[{'knn':{'e':{'vector':[1.0],'k':3}}},{'neural':{'e':{}}}]}}",
            "new"));
  }

  @Test
  void whereTheVectorWasRequiredTheTextIs() {
    assertEquals(
        Dsl.query(
            "{'bool':{'should':[{'match':{'title':'new'}}],'filter':[{'term':{'a':1}}],"
                + "'minimum_should_match':'1'}}"),
        rewritten(
            "{'bool':{'must':[{'knn':{'e':{'vector':[1.0],'k':3}}}],"
                + "'should':[{'match':{'title':'old'}}],'filter':[{'term':{'a':1}}]}}",
            "new"));
  }

  @Test
  void minimumShouldMatchIsLoweredToWhatIsLeft() {
    assertEquals(
        Dsl.query("{'bool':{'should':[{'match':{'t':'new'}}],'minimum_should_match':'1'}}"),
        rewritten(
            "{'bool':{'should':[{'match':{'t':'old'}},{'knn':{'e':{'k':3}}}],"
                + "'minimum_should_match':'2'}}",
            "new"));
  }

  @Test
  void aClauseThatWasOnlyAVectorGoesAltogether() {
    assertEquals(
        Dsl.query("{'dis_max':{'queries':[{'match':{'t':'new'}}]}}"),
        rewritten(
            "{'dis_max':{'queries':[{'match':{'t':'old'}},"
                + "{'bool':{'must':[{'knn':{'e':{'k':3}}}],'filter':[{'term':{'a':1}}]}}]}}",
            "new"));
  }
}
