package org.iterqr.opensearch.query;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.xcontent.NamedXContentRegistry;
import org.opensearch.search.SearchModule;

class RewriteTemplateTests {
  private static final NamedXContentRegistry REGISTRY =
      new NamedXContentRegistry(new SearchModule(Settings.EMPTY, List.of()).getNamedXContents());
  private static final String INJECTION = "\"}},{\"match_all\":{";

  private static RewriteTemplate template(String json) {
    return RewriteTemplate.of(Dsl.query(json), REGISTRY);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'match':{'title':'{{rewrite}}'}}",
        "{'match':{'title':{'query':'{{rewrite}}','operator':'and'}}}",
        "{'match_phrase':{'title':{'query':'{{rewrite}}','slop':1}}}",
        "{'match_phrase_prefix':{'title':'{{rewrite}}'}}",
        "{'match_bool_prefix':{'title':'{{rewrite}}'}}",
        "{'multi_match':{'query':'{{rewrite}}','fields':['title^2','body']}}",
        "{'combined_fields':{'query':'{{rewrite}}','fields':['title','body']}}",
        "{'query_string':{'query':'{{rewrite}}'}}",
        "{'simple_query_string':{'query':'{{rewrite}}'}}",
        "{'bool':{'must':{'match':{'a':'{{rewrite}}'}},'filter':[{'match':{'b':'{{rewrite}}'}}],"
            + "'should':[{'term':{'c':'d'}}],'must_not':[{'match':{'e':'{{rewrite}}'}}]}}",
        "{'dis_max':{'queries':[{'match':{'a':'{{rewrite}}'}},{'match':{'b':'constant'}}]}}",
        "{'boosting':{'positive':{'match':{'a':'{{rewrite}}'}},'negative':{'term':{'b':1}},"
            + "'negative_boost':0.2}}",
        "{'constant_score':{'filter':{'match':{'a':'{{rewrite}}'}}}}",
        "{'nested':{'path':'v','query':{'match':{'v.title':'{{rewrite}}'}}}}",
        "{'function_score':{'query':{'match':{'a':'{{rewrite}}'}},'functions':[{'weight':2,"
            + "'filter':{'match':{'a':'{{rewrite}}'}}},{'script_score':{'script':{'source':'1',"
            + "'params':{'text':'{{rewrite}}'}}}}]}}",
        "{'function_score':{'script_score':{'script':{'source':'1','params':"
            + "{'texts':['{{rewrite}}',{'deep':'{{rewrite}}'}]}}}}}",
        "{'script_score':{'query':{'match_all':{}},'script':{'source':'1',"
            + "'params':{'text':'{{rewrite}}'}}}}",
        "{'bool':{'must':[{'script':{'script':{'source':'true','params':"
            + "{'text':'{{rewrite}}'}}}}]}}",
      })
  void theRewriteTakesThePlaceholdersPlace(String json) {
    assertEquals(
        Dsl.query(json.replace(RewriteTemplate.PLACEHOLDER, "new")), template(json).filled("new"));
  }

  @Test
  void aRewriteIsDataWhateverItContains() {
    assertEquals(
        Map.of("match", Map.of("title", INJECTION)),
        template("{'match':{'title':'{{rewrite}}'}}").filled(INJECTION));
    assertEquals(
        Map.of("match", Map.of("title", "{{rewrite}}")),
        template("{'match':{'title':'{{rewrite}}'}}").filled("{{rewrite}}"));
    assertEquals(
        Map.of("query_string", Map.of("query", "\\\"\\}\\},\\{\\\"match_all\\\"\\:\\{")),
        template("{'query_string':{'query':'{{rewrite}}'}}").filled(INJECTION));
    assertEquals(
        Map.of("simple_query_string", Map.of("query", "a \\| b\\*")),
        template("{'simple_query_string':{'query':'{{rewrite}}'}}").filled("a | b*"));
    assertEquals(
        Map.of("query", "a OR b", "type", "phrase"),
        template("{'multi_match':{'query':'{{rewrite}}','type':'phrase'}}")
            .filled("a OR b")
            .get("multi_match"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '`',
      value = {
        "{'match':{'title':'soup'}} | must have {{rewrite}}",
        "{} | must have {{rewrite}}",
        "{'match':{'title':'a {{rewrite}}'}} | [match.title]",
        "{'match':{'title':{'query':'{{rewrite}}!'}}} | [match.title.query]",
        "{'match':{'{{rewrite}}':'{{rewrite}}'}} | [match.{{rewrite}}]",
        "{'match':{'title':{'query':'{{rewrite}}','analyzer':'{{rewrite}}'}}}"
            + " | [match.title.analyzer]",
        "{'match':{'title':['{{rewrite}}']}} | [match.title]",
        "{'multi_match':{'query':'a','fields':['{{rewrite}}']}} | [multi_match.fields]",
        "{'term':{'title':'{{rewrite}}'}} | [term.title]",
        "{'term':{'match':{'value':'{{rewrite}}'}}} | [term.match.value]",
        "{'wildcard':{'title':{'value':'{{rewrite}}'}}} | [wildcard.title.value]",
        "{'bool':{'must':[{'match':{'a':'{{rewrite}}'}}],'filter':[{'term':{'b':'{{rewrite}}'}}]}}"
            + " | [bool.filter.term.b]",
        "{'script_score':{'query':{'match_all':{}},'script':{'source':'{{rewrite}}'}}}"
            + " | [script_score.script.source]",
        "{'script_score':{'query':{'match_all':{}},'script':{'source':'1','params':"
            + "{'a':'1 {{rewrite}}'}}}} | [script_score.script.params.a]",
        "{'unknown':{'query':{'match':{'a':'{{rewrite}}'}}}} | [unknown.query.match.a]",
        "{'match':{'a':'{{rewrite}}'},'term':{'b':'c'}} | must be a query: [match]",
        "{'match':{'a':{'query':'{{rewrite}}','fuzzy':1}}} | must be a query: [match]",
        "{'bool':{'must':[{'match':{'a':'{{rewrite}}'}}],'filter':[{'trem':{'b':1}}]}}"
            + " | must be a query: ",
      })
  void whatIsNoTemplateIsRefusedWithTheReason(String json, String reason) {
    IllegalArgumentException refused =
        assertThrows(IllegalArgumentException.class, () -> template(json));
    assertTrue(refused.getMessage().contains(reason), refused.getMessage());
  }

  @Test
  void aQueryOfAllWordsCannotFailByItsFields() {
    assertEquals(
        Optional.of(
            Dsl.query(
                "{'nested':{'path':'v','ignore_unmapped':true,'query':{'match':{'v.price':"
                    + "{'query':'new','operator':'and','lenient':true}}}}}")),
        template("{'nested':{'path':'v','query':{'match':{'v.price':'{{rewrite}}'}}}}")
            .requireAll("new"));
  }

  @Test
  void aScriptIsNoPartOfASearchThatMustNotFail() {
    assertEquals(
        Optional.empty(),
        template(
                "{'script_score':{'query':{'match':{'a':'{{rewrite}}'}},"
                    + "'script':{'source':'1'}}}")
            .requireAll("new"));
  }
}
