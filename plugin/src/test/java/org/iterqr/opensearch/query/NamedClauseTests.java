package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class NamedClauseTests {
  private static final String KNN = "{'knn':{'embedding':{'vector':[1,0],'k':3,'_name':'NAME'}}}";

  private static List<NamedClause> find(String json) {
    return NamedClause.find(Dsl.query(json));
  }

  private static String knn(String name) {
    return KNN.replace("NAME", name);
  }

  @Test
  void aNamedVectorClauseStandsUnderItsFilters() {
    List<NamedClause> found =
        find(
            "{'bool':{'filter':[{'term':{'a':1}}],'must':[{'bool':{'should':[{'match':{'t':'x'}},"
                + knn("e")
                + "],'must_not':{'term':{'b':2}}}}]}}");
    assertEquals(1, found.size());
    assertEquals("e", found.getFirst().name());
    assertEquals(
        Map.of(
            "bool",
            Map.of(
                "must",
                List.of(Dsl.query(knn("e"))),
                "filter",
                List.of(Dsl.query("{'term':{'a':1}}")),
                "must_not",
                List.of(Dsl.query("{'term':{'b':2}}")))),
        found.getFirst().query());
  }

  @Test
  void unnamedAndLexicalClausesAndThoseOfOtherDocumentsAreNone() {
    assertEquals(List.of(), find("{'knn':{'embedding':{'vector':[1,0],'k':3}}}"));
    assertEquals(List.of(), find("{'match':{'t':{'query':'x','_name':'lexical'}}}"));
    assertEquals(List.of(), find("{'nested':{'path':'p','query':" + knn("e") + "}}"));
    assertEquals(List.of(), find("{'bool':{'filter':[" + knn("e") + "]}}"));
  }

  @Test
  void eachNameIsFoundOnceAndFourAreEnough() {
    String many =
        "{'dis_max':{'queries':["
            + String.join(
                ",",
                List.of("a", "b", "a", "c", "d", "e").stream().map(NamedClauseTests::knn).toList())
            + "]}}";
    assertEquals(List.of("a", "b", "c", "d"), find(many).stream().map(NamedClause::name).toList());
  }
}
