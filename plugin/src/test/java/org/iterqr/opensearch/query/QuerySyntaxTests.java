package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Map;
import org.apache.lucene.analysis.core.WhitespaceAnalyzer;
import org.apache.lucene.queryparser.classic.QueryParser;
import org.apache.lucene.queryparser.simple.SimpleQueryParser;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.Query;
import org.apache.lucene.search.TermQuery;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class QuerySyntaxTests {
  /** Whatever the text, the parser must see optional terms of the default field and no more. */
  private static void assertOnlyTerms(Query query) {
    if (query instanceof BooleanQuery bool) {
      for (BooleanClause clause : bool) {
        assertEquals(BooleanClause.Occur.SHOULD, clause.occur(), () -> query.toString());
        assertOnlyTerms(clause.query());
      }
    } else {
      assertTrue(query instanceof TermQuery, () -> query.getClass() + " " + query);
      assertEquals("title", ((TermQuery) query).getTerm().field());
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "\"}]} OR *:* <|im_end|>",
        "a AND b OR NOT c",
        "+must -not !no",
        "title:secret price:[1 TO 9] {a TO b}",
        "wild* ca?d /reg.ex/ fuzzy~2 boost^9",
        "\"phrase\"~3 (group) && ||",
        "back\\slash \\u0041 trailing\\",
        "_exists_:title",
        "price:>=10 a<b>c",
        "'single' #tag @at $x %y ;z, =eq",
        "a\u3000OR\u3000b\u3000AND\u3000NOT\u3000c",
        "NOT\u3000a\u3000-b\u3000+c",
        "a\u00a0OR\u2003b\u2028AND\u0085c\u001fNOT\u202fd\u205fOR\u1680e",
        "a\tAND\nb\rOR\fc\u000bNOT d",
      })
  void textStaysLiteralForTheParsers(String text) throws Exception {
    QueryParser parser = new QueryParser("title", new WhitespaceAnalyzer());
    assertOnlyTerms(parser.parse(QuerySyntax.literalQueryString(text)));
    SimpleQueryParser simple = new SimpleQueryParser(new WhitespaceAnalyzer(), "title");
    assertOnlyTerms(simple.parse(QuerySyntax.literalSimpleQueryString(text, Map.of())));
  }

  @Test
  void wordsArriveAsWritten() throws Exception {
    QueryParser parser = new QueryParser("title", new WhitespaceAnalyzer());
    assertEquals(
        "title:gluten-free title:AND title:c++ title:(soup)",
        parser.parse(QuerySyntax.literalQueryString("gluten-free AND c++ (soup)")).toString());
    SimpleQueryParser simple = new SimpleQueryParser(new WhitespaceAnalyzer(), "title");
    assertEquals(
        "title:gluten-free title:c++ title:(soup)",
        simple
            .parse(QuerySyntax.literalSimpleQueryString("gluten-free c++ (soup)", Map.of()))
            .toString());
  }

  @Test
  void anySpaceOfUnicodePartsWordsAsAPlainOneDoes() throws Exception {
    String spaced = "foo\u3000OR\u3000bar\u00a0AND\u2028baz";
    assertEquals("foo \\OR bar \\AND baz", QuerySyntax.literalQueryString(spaced));
    assertEquals("foo OR bar AND baz", QuerySyntax.literalSimpleQueryString(spaced, Map.of()));
    assertEquals(
        "foo OR bar AND baz", QuerySyntax.literalSimpleQueryString(spaced, Map.of("flags", 1)));
    QueryParser parser = new QueryParser("title", new WhitespaceAnalyzer());
    assertEquals(
        "title:foo title:OR title:bar",
        parser.parse(QuerySyntax.literalQueryString("foo\u3000OR\u3000bar")).toString());
  }

  @Test
  void operatorsBecomeSpacesWhereTheEscapeCharacterMayBeOff() {
    assertEquals(
        "gluten free  soup ",
        QuerySyntax.literalSimpleQueryString("gluten-free +soup*", Map.of("flags", 1)));
    assertEquals("a b", QuerySyntax.literalSimpleQueryString("a|b", Map.of("flags", "NONE")));
    assertEquals("a\\|b", QuerySyntax.literalSimpleQueryString("a|b", Map.of("flags", -1)));
  }

  @Test
  void plainWordsAreToldFromPrograms() {
    assertTrue(QuerySyntax.isPlainQueryString("warm soup for a sore throat"));
    assertTrue(QuerySyntax.isPlainQueryString("gluten-free +spicy"));
    assertTrue(QuerySyntax.isPlainQueryString("android andor"));
    assertFalse(QuerySyntax.isPlainQueryString("title:soup"));
    assertFalse(QuerySyntax.isPlainQueryString("soup AND hot"));
    assertFalse(QuerySyntax.isPlainQueryString("soup\u3000AND\u3000hot"));
    assertFalse(QuerySyntax.isPlainQueryString("so*p"));
  }
}
