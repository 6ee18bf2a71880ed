package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
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
  void fourOfNamesOfTheirOwnCanBeSearched() {
    assertTrue(NamedClause.canAllBeSearched(List.of()));
    assertTrue(NamedClause.canAllBeSearched(named("a", "b", "c", "d")));
    assertFalse(NamedClause.canAllBeSearched(named("a", "b", "c", "d", "e")));
    assertFalse(NamedClause.canAllBeSearched(named("a", "b", "a")));
  }

  private static List<NamedClause> named(String... names) {
    List<String> clauses = Arrays.stream(names).map(NamedClauseTests::knn).toList();
    List<NamedClause> found = find("{'dis_max':{'queries':[" + String.join(",", clauses) + "]}}");
    assertEquals(List.of(names), found.stream().map(NamedClause::name).toList());
    return found;
  }
}
